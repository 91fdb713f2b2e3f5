//! Model stores of Ollama as they are on the machine: which blobs the manifests in one refer to.
//! Which of them stay when a package goes is decided in `plan/removal.rs` and `plan/earlier.rs`.

use payload::{Digest, RelPath};
use serde::Deserialize;

use super::root::{Found, FsError, Root};

/// A manifest in a store, whoever put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreManifest {
    pub path: RelPath,
    /// The model's name, as Ollama shows it.
    pub model: String,
    /// The blobs it refers to; `None` when it cannot be read: then it may be any of them.
    blobs: Option<Vec<Digest>>,
    store: RelPath,
}

/// `<store>/manifests/<host>/<namespace>/<model>/<tag>`
const MANIFEST_DEPTH: usize = 5;
/// Manifests have some hundred bytes.
const LIMIT: u64 = 4 << 20;

/// The store that has its manifest at this path.
pub fn store_of(manifest: &RelPath) -> Option<RelPath> {
    let mut store = manifest.clone();
    for _ in 0..MANIFEST_DEPTH {
        store = store.parent()?;
    }
    (store.join("manifests").ok()? == *manifest.ancestors().get(store.components().count())?).then_some(store)
}

impl StoreManifest {
    /// A model of this store with these blobs.
    #[cfg(test)]
    pub fn of(store: RelPath, path: RelPath, blobs: Option<Vec<Digest>>) -> Self {
        Self { model: name(&path), path, blobs, store }
    }

    /// Whether the file at `path` is a blob of this manifest's model.
    pub fn needs(&self, path: &RelPath) -> bool {
        let Ok(blobs) = self.store.join("blobs") else { return false };
        let is_blob = path.parent().as_ref() == Some(&blobs);
        is_blob && self.blobs.as_ref().is_none_or(|blobs| blobs.iter().any(|blob| blob.blob_name() == path.name()))
    }
}

/// All manifests in a store.
///
/// # Errors
/// A directory of it cannot be read.
pub fn manifests(root: &Root, store: &RelPath) -> Result<Vec<StoreManifest>, FsError> {
    let Ok(above) = store.join("manifests") else { return Ok(Vec::new()) };
    let mut level = vec![above];
    for _ in 1..MANIFEST_DEPTH {
        let mut below = Vec::new();
        for directory in &level {
            if matches!(root.look(directory)?, Found::Directory(_)) {
                below.extend(root.names(directory)?.iter().filter_map(|name| directory.join(name).ok()));
            }
        }
        level = below;
    }
    let mut manifests = Vec::new();
    for path in level {
        if !matches!(root.look(&path)?, Found::File(_)) {
            continue;
        }
        let blobs = root.read(&path, LIMIT).ok().flatten().and_then(|bytes| blobs(&bytes));
        manifests.push(StoreManifest { model: name(&path), path, blobs, store: store.clone() });
    }
    Ok(manifests)
}

#[derive(Deserialize)]
struct Manifest {
    config: Blob,
    layers: Vec<Blob>,
}

#[derive(Deserialize)]
struct Blob {
    digest: String,
}

fn blobs(bytes: &[u8]) -> Option<Vec<Digest>> {
    let manifest: Manifest = serde_json::from_slice(bytes).ok()?;
    let digests = manifest.layers.iter().chain([&manifest.config]).map(|blob| &blob.digest);
    digests.map(|digest| digest.parse().ok()).collect()
}

/// Without what Ollama leaves out.
fn name(manifest: &RelPath) -> String {
    let parts: Vec<&str> = manifest.as_str().rsplit('/').take(MANIFEST_DEPTH - 1).collect();
    match parts[..] {
        [tag, model, "library", "registry.ollama.ai"] => format!("{model}:{tag}"),
        [tag, model, namespace, "registry.ollama.ai"] => format!("{namespace}/{model}:{tag}"),
        [tag, model, namespace, host] => format!("{host}/{namespace}/{model}:{tag}"),
        _ => manifest.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_and_models_are_named() {
        let manifest: RelPath = "srv/models/manifests/registry.ollama.ai/library/llama3/8b".parse().unwrap();
        assert_eq!(store_of(&manifest).unwrap().as_str(), "srv/models");
        assert_eq!(name(&manifest), "llama3:8b");
        let elsewhere: RelPath = "srv/models/other/registry.ollama.ai/library/llama3/8b".parse().unwrap();
        assert_eq!(store_of(&elsewhere), None);
        assert_eq!(name(&"s/manifests/hf.co/me/x/q4".parse().unwrap()), "hf.co/me/x:q4");
    }

    #[test]
    fn a_manifest_needs_its_blobs_and_an_unreadable_one_needs_all() {
        let digest = Digest::of(b"weights");
        let text = format!(r#"{{"config":{{"digest":"{digest}"}},"layers":[]}}"#);
        let manifest = |blobs| StoreManifest {
            path: "s/manifests/a/b/c/d".parse().unwrap(),
            model: String::new(),
            blobs,
            store: "s".parse().unwrap(),
        };
        let at = |name: &str| format!("s/{name}").parse::<RelPath>().unwrap();
        let own = at(&format!("blobs/{}", digest.blob_name()));
        assert!(manifest(blobs(text.as_bytes())).needs(&own));
        assert!(!manifest(blobs(text.as_bytes())).needs(&at("blobs/sha256-other")));
        assert!(!manifest(None).needs(&at("x.gguf")));
        assert!(manifest(blobs(b"broken")).needs(&own));
    }
}
