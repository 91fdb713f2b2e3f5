//! The crates that the stub is linked from, as `builder/build/crates.rs` found them while it was compiled.
//! What is said about them is in `sbom.rs` and `licenses.rs`.

use include_dir::{Dir, include_dir};
use payload::index::Arch;
use serde::Deserialize;

/// For each architecture the list, in JSON, and every licence text once.
static CRATES: Dir<'_> = include_dir!("$OUT_DIR/crates");

/// One crate.
#[derive(Debug, Deserialize)]
pub(super) struct LinkedCrate {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) license: String,
    /// Of the crate as it is published; the workspace's own have none.
    pub(super) sha256: Option<String>,
}

/// All that the stub for `arch` is linked from, by name. Nothing for a stub that was compiled elsewhere.
pub(super) fn all(arch: Arch) -> Vec<LinkedCrate> {
    serde_json::from_str(file(arch, "json")).unwrap_or_default()
}

/// The list for people, with all licence texts. Nothing for a stub that was compiled elsewhere.
pub(super) fn texts(arch: Arch) -> &'static str {
    file(arch, "txt")
}

fn file(arch: Arch, ending: &str) -> &'static str {
    let file = CRATES.get_file(format!("{}.{ending}", arch.name()));
    file.and_then(include_dir::File::contents_utf8).unwrap_or_default()
}
