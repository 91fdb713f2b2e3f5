//! The crates that the stub is linked from, as `builder/build/crates.rs` found them while it was compiled.
//! What is said about them is in `sbom.rs` and `licenses.rs`.

use serde::Deserialize;

const LIST: &str = include_str!(concat!(env!("OUT_DIR"), "/crates.json"));
/// The list for people, and every licence text once; empty for a stub that was compiled elsewhere.
pub(super) const TEXTS: &str = include_str!(concat!(env!("OUT_DIR"), "/crates.txt"));

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

/// All of them, by name.
pub(super) fn all() -> Vec<LinkedCrate> {
    serde_json::from_str(LIST).unwrap_or_default()
}
