//! One file for each kind of source: what to ask for, and what the answers mean.
//! Which source a component has is read in `manifest/source.rs`.

mod asset;
pub(crate) mod github;
pub(crate) mod local;
pub(crate) mod oci;
pub(crate) mod registry;
