//! The stub as a library, for its own program and for the fuzz targets: open → verify → plan → preflight → apply →
//! receipt. What was typed is read in `command/cli.rs`; nothing here is meant for other programs.

pub mod apply;
pub mod command;
mod error;
pub mod exit;
pub mod host;
mod plan;
pub mod record;
pub mod report;
