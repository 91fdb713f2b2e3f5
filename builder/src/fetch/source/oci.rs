//! A model's manifest as registries serve it, and as Ollama writes it to disk after a pull.
//! Format: Docker image manifest, version 2, schema 2, with Ollama's media types.

use payload::Digest;
use serde::{Deserialize, Serialize};

/// What is asked for.
pub(crate) const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json";
const KIND_PREFIX: &str = "application/vnd.ollama.image.";

/// A manifest that names content Ollama can run.
#[derive(Debug)]
pub(crate) struct ModelManifest {
    wire: Wire,
    pub config: Blob,
    pub layers: Vec<Blob>,
}

/// A blob that a manifest names.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub media_type: String,
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// The fields that Ollama keeps, in the order in which it writes them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: Layer,
    layers: Vec<Layer>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
}

/// Reads a manifest as served.
pub(crate) fn parse(bytes: &[u8]) -> Result<ModelManifest, String> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| format!("the answer is no model manifest: {error}"))?;
    if value.get("manifests").is_some() {
        return Err("this is a list of images for several platforms, not a model".to_owned());
    }
    let mut wire: Wire =
        serde_json::from_value(value).map_err(|error| format!("the answer is no model manifest: {error}"))?;
    if wire.schema_version != 2 {
        return Err(format!("the manifest has schema version {}, not 2", wire.schema_version));
    }
    let config = blob(&mut wire.config)?;
    let layers = wire.layers.iter_mut().map(blob).collect::<Result<Vec<_>, _>>()?;
    let weights = layers.iter().any(|layer| matches!(layer.kind(), "model" | "tensor"));
    if !weights {
        return Err("the manifest names no weights: a model that runs in the cloud, or no model of Ollama".to_owned());
    }
    Ok(ModelManifest { wire, config, layers })
}

fn blob(layer: &mut Layer) -> Result<Blob, String> {
    let digest: Digest = layer.digest.parse().map_err(|error| format!("the manifest names a blob wrongly: {error}"))?;
    // Ollama compares digests as text and writes them in lower case.
    layer.digest = digest.to_string();
    Ok(Blob { media_type: layer.media_type.clone(), digest, size: layer.size })
}

impl Blob {
    /// `model`, `template`, `license`…; for other media types all of it.
    pub(crate) fn kind(&self) -> &str {
        let kind = self.media_type.strip_prefix(KIND_PREFIX).unwrap_or(&self.media_type);
        if kind == "application/vnd.docker.container.image.v1+json" { "config" } else { kind }
    }
}

impl ModelManifest {
    /// Config first, then the layers in their order.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// The bytes that `ollama pull` leaves on disk: compact, without a newline, as Go's `encoding/json` writes them.
    pub(crate) fn as_pulled(&self) -> Result<Vec<u8>, String> {
        let text = serde_json::to_string(&self.wire).map_err(|error| error.to_string())?;
        // In compact JSON these characters are inside strings only.
        let escaped = text
            .replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('\u{2028}', "\\u2028")
            .replace('\u{2029}', "\\u2029");
        Ok(escaped.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex() -> String {
        Digest::of(b"x").to_string()
    }

    #[test]
    fn the_manifest_becomes_what_a_pull_leaves() {
        let digest = hex();
        let served = format!(
            r#"{{ "layers": [ {{"size": 1, "digest": "{}", "mediaType": "application/vnd.ollama.image.model",
               "annotations": {{"a": "b"}}, "from": "/a<b>&c"}} ],
               "mediaType": "{ACCEPT}", "schemaVersion": 2, "extra": 1,
               "config": {{"digest": "{digest}", "mediaType": "application/vnd.docker.container.image.v1+json", "size": 1}} }}"#,
            digest.to_uppercase().replace("SHA256", "sha256")
        );
        let pulled = format!(
            concat!(
                r#"{{"schemaVersion":2,"mediaType":"{accept}","config":{{"mediaType":"#,
                r#""application/vnd.docker.container.image.v1+json","digest":"{digest}","size":1}},"layers":["#,
                r#"{{"mediaType":"application/vnd.ollama.image.model","digest":"{digest}","size":1,"#,
                r#""from":"/a\u003cb\u003e\u0026c"}}]}}"#
            ),
            accept = ACCEPT,
            digest = digest
        );
        let manifest = parse(served.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(manifest.as_pulled().unwrap()).unwrap(), pulled);
        let kinds: Vec<_> = manifest.blobs().map(Blob::kind).collect();
        assert_eq!(kinds, ["config", "model"]);
    }

    #[test]
    fn what_is_no_local_model_is_refused_with_a_reason() {
        let layer = |kind: &str| format!(r#"{{"mediaType":"{kind}","digest":"{}","size":1}}"#, hex());
        let manifest = |version: u8, layers: &str| {
            format!(r#"{{"schemaVersion":{version},"config":{},"layers":[{layers}]}}"#, layer("c"))
        };
        let model = layer("application/vnd.ollama.image.model");
        assert!(parse(manifest(2, &model).as_bytes()).is_ok());
        for (text, reason) in [
            (manifest(1, &model), "schema version 1"),
            (manifest(2, ""), "no weights"),
            (manifest(2, &model).replace("sha256:", "md5:"), "wrongly"),
            (r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(), "several platforms"),
            ("<html>".to_owned(), "no model manifest"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
