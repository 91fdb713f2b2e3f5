//! The stub: open → verify → plan → preflight → apply → receipt. Parses, calls one function, prints one error, maps one
//! exit code. What it does is decided by the package appended to it, and by what was typed.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use stub::command::cli::Args;
use stub::command::report::Surroundings;
use stub::exit::Exit;
use stub::report::screen::{Level, Screen};

fn main() -> ExitCode {
    let offline = stub::host::offline::enforce();
    // Whatever the caller's mask is: modes are set by number, and the tools that are run create what others can read.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let args = Args::parse();
    let surroundings = Surroundings { now: SystemTime::now, sudo_user: std::env::var("SUDO_USER").ok() };
    let level = match (args.quiet, args.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Normal,
    };
    let screen = Screen { level, json: args.json };
    if let Err(problem) = offline {
        screen.warn(&format!(
            "note: this kernel cannot close the network to this program ({problem}); it opens no connection"
        ));
    }
    match stub::command::run::run(&args, screen, &surroundings) {
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
