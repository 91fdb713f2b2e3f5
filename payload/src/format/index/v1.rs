//! Version 1 of the index as JSON: the wire types. Documented in `docs/format.md`.
//! Frozen: a change of meaning is a new version in a new file. Consistency is checked in `check.rs`.

mod read;
mod write;

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::{FORMAT, Index};
use crate::PayloadError;

#[derive(Deserialize)]
struct Probe {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireIndex {
    format: u32,
    package: WirePackage,
    target: WireTarget,
    build: WireBuild,
    install: WireInstall,
    components: Vec<WireComponent>,
    directories: Vec<WireDirectory>,
    files: Vec<WireFile>,
    links: Vec<WireLink>,
    units: Vec<WireUnit>,
    models: Vec<WireModel>,
    documents: Vec<WireDocument>,
    blobs: Vec<WireBlob>,
    total_length: u64,
    /// Reserved for packages that are cut into volumes; always empty in a single file.
    volumes: Vec<WireNever>,
}

/// Has no value: a list of these is empty.
#[derive(Serialize, Deserialize)]
enum WireNever {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePackage {
    name: String,
    version: String,
    description: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTarget {
    os: String,
    arch: String,
    glibc: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireBuild {
    builder_version: String,
    manifest: String,
    stub: WireStub,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireStub {
    size: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireInstall {
    prefix: String,
    user: Option<String>,
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    command: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireComponent {
    name: String,
    #[serde(rename = "type")]
    kind: WireComponentKind,
    required: bool,
    sources: Vec<WireSource>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireComponentKind {
    ExternalBinary,
    ModelFile,
    ConfigFile,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSource {
    location: String,
    size: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDirectory {
    path: String,
    mode: String,
    owner: String,
    group: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    only_for: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFile {
    path: String,
    blob: String,
    mode: String,
    owner: String,
    group: String,
    role: WireRole,
    component: usize,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    only_for: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    elf: Option<WireElf>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireRole {
    Program,
    ModelBlob,
    ModelManifest,
    Config,
    Unit,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireElf {
    machine: String,
    glibc: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireLink {
    path: String,
    /// Another path of the index: a hard link to that file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    hard: Option<String>,
    /// The text of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    symbolic: Option<String>,
    owner: String,
    group: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    only_for: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireUnit {
    name: String,
    path: String,
    drop_in: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireModel {
    name: String,
    manifest: String,
    memory: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDocument {
    name: String,
    size: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireBlob {
    digest: String,
    size: u64,
    encoding: WireEncoding,
    stored_size: u64,
    chunks: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireEncoding {
    Raw,
    Xz,
}

/// Reads an index. Its text is the one that [`render`] writes, byte for byte: another order of keys, another form of a
/// digest or mode, or a key twice would let two readers see two things.
pub(super) fn parse(bytes: &[u8]) -> Result<Index, PayloadError> {
    let probe: Probe = serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?;
    if probe.format != FORMAT {
        return Err(PayloadError::Format(format!(
            "it has format version {}, this program reads version {FORMAT}",
            probe.format
        )));
    }
    let index = read::index(serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?)?;
    let mut expected = Expected(bytes);
    write_text(&index, &mut expected)
        .ok()
        .filter(|()| expected.0.is_empty())
        .ok_or_else(|| PayloadError::Format("it is not written in the one form that version 1 has".to_owned()))?;
    Ok(index)
}

pub(super) fn render(index: &Index) -> Result<Vec<u8>, PayloadError> {
    let mut bytes = Vec::new();
    write_text(index, &mut bytes).map_err(|error| PayloadError::Format(error.to_string()))?;
    Ok(bytes)
}

fn unreadable(error: &serde_json::Error) -> PayloadError {
    PayloadError::Format(error.to_string())
}

fn write_text(index: &Index, mut out: impl Write) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut out, &write::index(index))?;
    out.write_all(b"\n")
}

/// Takes the bytes that are expected next, and no others.
struct Expected<'a>(&'a [u8]);

impl Write for Expected<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
