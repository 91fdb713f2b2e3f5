//! Packages in several files: how one is cut into volumes, where the bytes of one come from, and how a volume is found.
//! What the bytes mean is in `read.rs`; who is asked for the next medium is the program's business.

mod blame;
pub(crate) mod cut;
pub(crate) mod find;
pub(crate) mod list;
pub(crate) mod parts;
pub(crate) mod proof;
pub(crate) mod transfer;
