//! From what was typed to the file that does it.
//! What an action does is in the file of its name.

use payload::Package;

use super::cli::Args;
use super::open::open;
use super::{
    dry_run, explain, extract, install, introduce, list, list_installed, medium, recover, status, uninstall, verify,
    version,
};
use crate::error::Error;
use crate::host::limits;
use crate::report::screen::Screen;
use crate::report::signature;

/// Does what was asked for.
///
/// # Errors
/// Whatever kept it from being done.
pub fn run(args: &Args, screen: Screen) -> Result<(), Error> {
    limits::check()?;
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    if args.version {
        version::version(args, screen)
    } else if let Some(asked) = &args.explain {
        explain::explain(asked, screen)
    } else if args.list_installed {
        list_installed::list_installed(args, screen)
    } else if args.status {
        status::status(args, screen)
    } else if args.recover {
        recover::recover(args, screen)
    } else if args.uninstall {
        uninstall::uninstall(args, screen)
    } else {
        let package = open(args)?;
        for line in signature::stub_lines(&package) {
            screen.warn(&line);
        }
        with_package(&package, args, workers, screen)
    }
}

fn with_package(package: &Package, args: &Args, workers: usize, screen: Screen) -> Result<(), Error> {
    if args.verify {
        verify::verify(package, args, workers, screen)
    } else if args.list {
        list::list(package, screen);
        Ok(())
    } else if let Some(directory) = &args.extract {
        let workers = medium::prepare(package, args, workers, screen)?;
        extract::extract(package, directory, workers, screen)
    } else if args.dry_run {
        dry_run::dry_run(package, args, screen)
    } else if args.install {
        install::install(package, args, workers, screen)
    } else {
        introduce::introduce(package, screen);
        Ok(())
    }
}
