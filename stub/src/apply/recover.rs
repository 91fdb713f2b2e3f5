//! After a crash, a failure or an interruption: back to the state before, or forward when all was in place.
//! How one step is undone is in `plan/step.rs`; it is the same for rollback, recovery and uninstallation.

use payload::index::PackageName;
use payload::{Digest, RelPath};

use crate::apply::journal::{self, Header, Unfinished};
use crate::error::Error;
use crate::exit::Exit;
use crate::host::machine::Machine;
use crate::host::machine::StepError;
use crate::host::root::{Found, FsError, Root};
use crate::host::tool::Tool;
use crate::host::unit;
use crate::plan::step::Step;
use crate::record::state::{self, StateError};

/// What recovery did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// There was nothing unfinished.
    Nothing,
    /// An installation that was complete was cleaned up after.
    Finished,
    /// The machine is back in the state before the unfinished installation.
    RolledBack,
    /// The same, but verified copies are kept for the installation that follows.
    RolledBackKeepingStaged,
}

/// Recovers from an unfinished installation of `package`. With `resume`, what was staged for that index is kept.
pub fn recover(machine: &Machine, package: &PackageName, resume: Option<Digest>) -> Result<Recovered, Error> {
    state::remove_unrecorded(&machine.root, package)?;
    let Some(unfinished) = unfinished(&machine.root, package)? else {
        return Ok(Recovered::Nothing);
    };
    let header = &unfinished.header;
    if is_complete(&machine.root, package, header)? {
        let started = start(&unfinished);
        finish(&machine.root, package, &header.areas).map_err(incomplete)?;
        started?;
        return Ok(Recovered::Finished);
    }
    let keep = resume == Some(header.index);
    roll_back(machine, package, keep)?;
    Ok(if keep { Recovered::RolledBackKeepingStaged } else { Recovered::RolledBack })
}

/// Starts what an installation that is complete was about to start.
fn start(unfinished: &Unfinished) -> Result<(), Error> {
    for begun in &unfinished.steps {
        if let Step::StartUnit { unit } = &begun.step {
            unit::start(unit).map_err(|error| {
                Error::new(Exit::ServiceFailed, format!("Service failed to start: {error}"))
                    .state("the package is installed; the service does not run")
                    .hint(format!("systemctl status {unit}; journalctl -u {unit}"))
            })?;
        }
    }
    Ok(())
}

/// Whether the installation with this journal has its receipt, and so is finished forwards.
pub fn is_complete(root: &Root, package: &PackageName, header: &Header) -> Result<bool, StateError> {
    let receipt = state::read_receipt(root, package)?;
    Ok(receipt.is_some_and(|receipt| receipt.generation == header.generation && receipt.index == header.index))
}

/// Whether an unfinished installation is waiting for recovery.
pub fn unfinished(root: &Root, package: &PackageName) -> Result<Option<Unfinished>, Error> {
    let Some(bytes) = state::read_journal(root, package)? else { return Ok(None) };
    let broken = |error: journal::JournalError| {
        Error::new(Exit::FormatNotReadable, error.to_string())
            .state("an installation was interrupted; its journal is kept")
            .hint(format!("use the installer that began it, or look at {}", state::journal(package)))
    };
    journal::parse(&bytes).map(Some).map_err(broken)
}

/// Undoes every step of the journal, the last one first, and removes what belongs to the installer itself.
pub fn roll_back(machine: &Machine, package: &PackageName, keep_staged: bool) -> Result<(), Error> {
    let Some(unfinished) = unfinished(&machine.root, package)? else {
        return state::remove_unrecorded(&machine.root, package).map_err(incomplete);
    };
    undo_all(machine, package, &unfinished).map_err(incomplete)?;
    if keep_staged {
        return Ok(());
    }
    let header = &unfinished.header;
    clean_areas(&machine.root, &header.areas).map_err(incomplete)?;
    remove_own(&machine.root, package, &header.made).map_err(incomplete)
}

/// Undoes the steps in the opposite order, up to the first that cannot be undone: what was before a step is only right
/// when everything after it is gone.
fn undo_all(machine: &Machine, package: &PackageName, unfinished: &Unfinished) -> Result<(), StepError> {
    let mut reload = unfinished.header.reload;
    stop_what_runs_again(unfinished)?;
    for begun in unfinished.steps.iter().rev() {
        // A service is started again only when systemd knows its old unit.
        if reload && matches!(begun.step, Step::StopUnit { .. }) {
            Tool::Systemctl.run(&["daemon-reload"])?;
            reload = false;
        }
        begun.step.undo(machine)?;
        journal::take_back(&machine.root, package, begun)?;
    }
    if reload {
        Tool::Systemctl.run(&["daemon-reload"])?;
    }
    Ok(())
}

/// After a power cut systemd may have started a service from files of which some are the old and some the new ones.
fn stop_what_runs_again(unfinished: &Unfinished) -> Result<(), StepError> {
    if !unfinished.steps.iter().any(|begun| begun.step.disturbs_services()) {
        return Ok(());
    }
    for begun in &unfinished.steps {
        if let Step::StopUnit { unit } = &begun.step {
            unit::stop_if_up(unit)?;
        }
    }
    Ok(())
}

/// Cleans up after an installation that is complete. Doing this twice is the same as once.
pub fn finish(root: &Root, package: &PackageName, areas: &[RelPath]) -> Result<(), StepError> {
    let fresh = state::fresh_stub(package);
    if root.look(&fresh)? != Found::Absent {
        root.rename(&fresh, &state::stub(package))?;
    }
    clean_areas(root, areas)?;
    Ok(root.remove(&state::journal(package))?)
}

/// Removes staging directories with everything in them.
pub fn clean_areas(root: &Root, areas: &[RelPath]) -> Result<(), FsError> {
    areas.iter().try_for_each(|area| root.remove_tree(area))
}

/// Removes the installer's own files of an installation that was undone: all of them, unless an earlier one has its
/// receipt there.
fn remove_own(root: &Root, package: &PackageName, made: &[RelPath]) -> Result<(), FsError> {
    for name in state::unfinished_files(package) {
        root.remove(&name)?;
    }
    if root.look(&state::receipt(package))? == Found::Absent {
        return state::remove_directory(root, package, made);
    }
    root.remove(&state::journal(package))
}

fn incomplete(error: impl std::fmt::Display) -> Error {
    Error::new(Exit::RollbackIncomplete, error.to_string())
        .state("the machine is between two states; the journal is kept")
        .hint("see what is in the way, then run it again with --recover")
}
