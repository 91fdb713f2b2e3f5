//! What stays known on the machine: the receipt of an installed package, and the installer's own files.
//! What is done because of it is decided in `plan.rs`.

pub(crate) mod choice;
pub(crate) mod listed;
pub mod log;
pub(crate) mod made;
pub(crate) mod others;
pub mod receipt;
pub(crate) mod state;
pub(crate) mod version_order;
pub(crate) mod vouch;
