//! The builder's stages as a library, so that integration tests reach them:
//! manifest → resolve → fetch → verify → place → pack → emit.
//! The command line, the environment and the terminal belong to `main.rs`.

mod ansible;
mod background;
mod check;
mod content;
mod digesting;
mod error;
mod evidence;
pub mod fetch;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod lock;
pub mod manifest;
pub mod output;
mod pack;
mod prep;
pub mod progress;
pub mod report;
pub mod signing;
mod small_file;
mod unfinished;

pub use check::{Problem, check};
pub use error::BuildError;
pub use output::emit::payload_exit_code;
pub use pack::stub::stub;
pub use prep::{Built, Format, Request, prep, read_manifest, sources_of};
pub use small_file::read_by_hand as read_small;
pub use unfinished::remove_all as remove_unfinished;
