//! A collection as `ansible-galaxy collection build` makes it, and `ansible-galaxy collection install` takes it: an
//! archive with a list of its files and their digests. Without a clock: the same files give the same archive.

use std::collections::BTreeSet;
use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};
use payload::Digest;
use serde_json::{Value, json};

use super::Generated;
use super::names::NAMESPACE;

/// What a collection says of itself.
pub(super) struct Facts<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) description: &'a str,
}

/// The archive.
///
/// # Errors
/// A path is too long for it.
pub(super) fn archive(facts: &Facts<'_>, mut content: Vec<Generated>) -> io::Result<Vec<u8>> {
    content.sort_by(|one, other| one.path.cmp(&other.path));
    let directories = directories(&content);
    let list = pretty(&files(&directories, &content));
    let manifest = pretty(&manifest(facts, &list));
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header(manifest.len(), false), "MANIFEST.json", manifest.as_slice())?;
    tar.append_data(&mut header(list.len(), false), "FILES.json", list.as_slice())?;
    for directory in &directories {
        tar.append_data(&mut header(0, true), directory, io::empty())?;
    }
    for file in &content {
        tar.append_data(&mut header(file.bytes.len(), false), &file.path, file.bytes.as_slice())?;
    }
    let mut packed = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    packed.write_all(&tar.into_inner()?)?;
    packed.finish()
}

fn header(size: usize, directory: bool) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size as u64);
    header.set_mode(if directory { 0o755 } else { 0o644 });
    header.set_entry_type(if directory { tar::EntryType::Directory } else { tar::EntryType::Regular });
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Those above the files, the higher ones first.
fn directories(content: &[Generated]) -> BTreeSet<String> {
    let above = |file: &Generated| {
        let ends: Vec<usize> = file.path.match_indices('/').map(|(at, _)| at).collect();
        ends.into_iter().map(|end| file.path[..end].to_owned()).collect::<Vec<_>>()
    };
    content.iter().flat_map(above).collect()
}

fn files(directories: &BTreeSet<String>, content: &[Generated]) -> Value {
    let directory =
        |name: &str| json!({"name": name, "ftype": "dir", "chksum_type": null, "chksum_sha256": null, "format": 1});
    let file = |file: &Generated| json!({"name": file.path, "ftype": "file", "chksum_type": "sha256", "chksum_sha256": Digest::of(&file.bytes).hex(), "format": 1});
    let all = std::iter::once(directory("."))
        .chain(directories.iter().map(|name| directory(name)))
        .chain(content.iter().map(file));
    json!({"files": all.collect::<Vec<_>>(), "format": 1})
}

fn manifest(facts: &Facts<'_>, list: &[u8]) -> Value {
    json!({
        "collection_info": {
            "namespace": NAMESPACE,
            "name": facts.name,
            "version": facts.version,
            "authors": ["airgap-deploy"],
            "readme": "README.md",
            "tags": ["infrastructure"],
            "description": facts.description,
            "license": ["MIT", "Apache-2.0"],
            "license_file": null,
            "dependencies": {},
            "repository": null,
            "documentation": null,
            "homepage": null,
            "issues": null,
        },
        "file_manifest_file": {
            "name": "FILES.json",
            "ftype": "file",
            "chksum_type": "sha256",
            "chksum_sha256": Digest::of(list).hex(),
            "format": 1,
        },
        "format": 1,
    })
}

fn pretty(value: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}
