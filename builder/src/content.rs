//! What was fetched becomes placements: archives are unpacked, models described, units completed.
//! How placements become a file is in `pack.rs`.

pub(crate) mod archive;
pub(crate) mod error;
pub(crate) mod gguf;
pub(crate) mod local;
pub(crate) mod model;
pub(crate) mod place;
pub(crate) mod unit;
