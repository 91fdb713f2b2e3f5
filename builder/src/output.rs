//! Finished packages: written under their name at once, and looked into.
//! What is in one is decided in `pack.rs`.

pub(crate) mod ansible;
pub(crate) mod beside;
mod direct;
pub(crate) mod emit;
pub mod inspect;
pub mod model;
pub mod report;
pub mod split;
pub mod terms;
mod transfer;
mod tree;
pub(crate) mod volumes;
