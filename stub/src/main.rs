//! The stub: open → verify → plan → preflight → apply → receipt. Parses, calls one function, prints one error, maps one
//! exit code. What it does is decided by the package appended to it, and by what was typed.

mod account;
mod apply;
mod cli;
mod error;
mod exit;
mod failpoint;
mod host;
mod inspect;
mod interrupt;
mod journal;
mod machine;
mod open;
mod plan;
mod preflight;
mod receipt;
mod recover;
mod report;
mod root;
mod run;
mod screen;
mod stage;
mod state;
mod status;
mod step;
mod text;
mod tool;
mod uninstall;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Args;
use crate::exit::Exit;
use crate::screen::{Level, Screen};

fn main() -> ExitCode {
    // Whatever the caller's mask is, what is created gets the mode that was asked for.
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let args = Args::parse();
    let level = match (args.quiet, args.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Normal,
    };
    let screen = Screen { level, json: args.json };
    match run::run(&args, screen) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            if args.json {
                screen.json(&error.to_json());
            }
            error.lines().iter().for_each(|line| screen.warn(line));
            error.exit().into()
        }
    }
}
