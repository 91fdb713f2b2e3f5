//! From what was typed to what is done: one file for each action.
//! The stages that they go through have rooms of their own.

pub mod cli;
mod dry_run;
mod explain;
#[expect(clippy::disallowed_methods, reason = "it writes below a directory of the caller's, not to the target")]
mod extract;
mod history;
mod install;
mod introduce;
mod list;
mod list_installed;
mod medium;
#[expect(clippy::disallowed_methods, reason = "it opens for reading, with a flag that only OpenOptions has")]
mod open;
mod recover;
pub mod report;
pub mod run;
mod status;
mod target;
mod uninstall;
mod verify;
mod version;
