//! From what was typed to the file that does it.
//! What an action does is in the file of its name.

use nix::unistd::{geteuid, getuid};
use payload::Package;

use super::cli::Args;
use super::open::open;
use super::report::{Report, Surroundings, action};
use super::target::open_root;
use super::{
    dry_run, explain, extract, history, install, introduce, list, list_installed, medium, recover, status, uninstall,
    verify, version,
};
use crate::error::Error;
use crate::host::limits;
use crate::record::log::{About, Entry, Log};
use crate::report::evidence::Evidence;
use crate::report::screen::{Level, Screen, complete};
use crate::report::signature;

/// Does what was asked for.
///
/// # Errors
/// Whatever kept it from being done.
pub fn run(args: &Args, screen: Screen, surroundings: &Surroundings) -> Result<(), Error> {
    let report = Report::begin(args, surroundings)?;
    let evidence = Evidence::new(report.is_some(), log(args, surroundings));
    let outcome = act(args, screen, &evidence).and_then(|()| complete());
    if let Some(why) = evidence.log().end(&outcome) {
        screen.warn(&format!("note: the log of this is not complete: {}", payload::printable(&why)));
    }
    match report {
        Some(report) => report.end(outcome, (surroundings.now)(), &evidence, args),
        None => outcome,
    }
}

/// Of what changes the machine, and only by who may: others are refused, and may not write it.
fn log(args: &Args, surroundings: &Surroundings) -> Log {
    let changes = args.install || args.uninstall || args.recover;
    if args.dry_run || !changes {
        return Log::none();
    }
    let Ok(root) = open_root(args) else { return Log::none() };
    if root.is_live() && !geteuid().is_root() {
        return Log::none();
    }
    let entry = Entry {
        action: action(args).to_owned(),
        uid: getuid().as_raw(),
        sudo_user: surroundings.sudo_user.clone(),
        about: About { file: args.install.then(|| file_name(args)), ..About::default() },
        ..Entry::default()
    };
    Log::begin(root, surroundings.now, entry)
}

fn act(args: &Args, screen: Screen, evidence: &Evidence) -> Result<(), Error> {
    limits::check()?;
    if screen.level == Level::Verbose && reads_content(args) {
        screen.warn(&format!("SHA-256: {}", payload::sha256_implementation()));
    }
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    if args.version {
        version::version(args, screen)
    } else if let Some(asked) = &args.explain {
        explain::explain(asked, screen)
    } else if args.history {
        history::history(args, screen)
    } else if args.list_installed {
        list_installed::list_installed(args, screen)
    } else if args.status {
        status::status(args, screen, evidence)
    } else if args.recover {
        recover::recover(args, screen, evidence)
    } else if args.uninstall {
        uninstall::uninstall(args, screen, evidence)
    } else {
        let package = open(args)?;
        for line in signature::stub_lines(&package) {
            screen.warn(&line);
        }
        evidence.package(&package, file_name(args));
        with_package(&package, args, workers, screen, evidence)
    }
}

/// Whether content is compared, and how long that takes depends on the processor.
fn reads_content(args: &Args) -> bool {
    args.install || args.verify || args.extract.is_some() || args.full || args.verify_installed
}

/// The file that the package is, as the caller knows it.
fn file_name(args: &Args) -> String {
    let file = args.payload.clone().or_else(|| std::env::current_exe().ok());
    file.map_or_else(String::new, |file| file.display().to_string())
}

fn with_package(
    package: &Package,
    args: &Args,
    workers: usize,
    screen: Screen,
    evidence: &Evidence,
) -> Result<(), Error> {
    if args.verify {
        verify::verify(package, args, workers, screen, evidence)
    } else if args.list {
        list::list(package, screen)
    } else if let Some(directory) = &args.extract {
        let workers = medium::prepare(package, args, workers, screen)?;
        extract::extract(package, directory, workers, screen)
    } else if args.dry_run {
        dry_run::dry_run(package, args, screen, evidence)
    } else if args.install {
        install::install(package, args, workers, screen, evidence)
    } else {
        introduce::introduce(package, screen);
        Ok(())
    }
}
