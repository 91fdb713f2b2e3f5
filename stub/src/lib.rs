//! The stub as a library, for its own program and for the fuzz targets: open → verify → plan → preflight → apply →
//! receipt. What was typed is read in `cli.rs`; nothing here is meant for other programs.

mod account;
mod apply;
mod change;
pub mod cli;
mod error;
pub mod exit;
mod failpoint;
mod host;
mod inspect;
mod interrupt;
pub mod journal;
mod limits;
mod machine;
pub mod offline;
mod open;
mod plan;
mod preflight;
pub mod receipt;
mod recover;
mod report;
mod root;
pub mod run;
pub mod screen;
mod sockets;
mod stage;
mod state;
mod status;
mod step;
mod tool;
mod uninstall;
mod unit;
