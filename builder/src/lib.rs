//! The builder's stages as a library, so that integration tests reach them.
//! The command line, the environment and the terminal belong to `main.rs`.

pub mod artifact;
pub mod lock;
pub mod manifest;
pub mod progress;
pub mod source;
