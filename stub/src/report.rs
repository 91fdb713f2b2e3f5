//! What people and programs are told: plans, the state of an installation, and where such lines go.
//! What is true is found out elsewhere, before anything is told.

pub mod json;
pub mod list;
pub mod screen;
pub mod status;
pub mod text;
