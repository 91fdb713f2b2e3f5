//! What people and programs are told: plans, the state of an installation, and where such lines go.
//! What is true is found out elsewhere, before anything is told.

pub(crate) mod board;
pub(crate) mod evidence;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod proof;
pub(crate) mod removal;
pub mod screen;
pub(crate) mod signature;
pub(crate) mod status;
pub(crate) mod summary;
pub(crate) mod text;
