//! After a crash, a failure or an interruption: back to the state before, or forward when all was in place.
//! How one step is undone is in `plan/step.rs`; it is the same for rollback, recovery and uninstallation.

use std::collections::HashMap;

use payload::index::PackageName;
use payload::{Digest, RelPath};

use crate::apply::journal::{self, Header, Unfinished};
use crate::error::Error;
use crate::exit::Exit;
use crate::host::diagnosis;
use crate::host::machine::{Machine, StepError, Undone};
use crate::host::root::{Found, FsError, Root, Stat};
use crate::host::unit::Manager;
use crate::plan::step::{OldVersion, Step};
use crate::record::receipt::Receipt;
use crate::record::state::{self, StateError};
use crate::record::vouch;

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

impl Recovered {
    /// Its name in JSON output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Finished => "finished",
            Self::RolledBack | Self::RolledBackKeepingStaged => "rolled-back",
        }
    }
}

/// What undoing left as it found it, in sentences for the administrator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// What somebody else changed meanwhile.
    pub kept: Vec<String>,
    /// Units that are not as they were, and why.
    pub units: Vec<String>,
}

impl Remains {
    /// An error that says what remains, when something does; `what` was done.
    pub fn report(&self, what: &str) -> Result<(), Error> {
        let lines: Vec<&str> = self.kept.iter().chain(&self.units).map(String::as_str).collect();
        let exit = match (self.kept.is_empty(), self.units.is_empty()) {
            (true, true) => return Ok(()),
            (_, false) => Exit::ServiceFailed,
            (false, true) => Exit::Conflict,
        };
        let failed = if self.units.is_empty() { "" } else { "Service failed to start: " };
        Err(Error::new(exit, format!("{failed}{what}, but not everything is as it was:\n  {}", lines.join("\n  ")))
            .state("nothing is left to recover")
            .hint("look at each of these, and put it right by hand"))
    }
}

/// Recovers from an unfinished installation of `package`. With `resume`, what was staged for that index is kept.
pub fn recover(
    machine: &Machine,
    package: &PackageName,
    resume: Option<Digest>,
) -> Result<(Recovered, Remains), Error> {
    state::remove_unrecorded(&machine.root, package)?;
    let Some(unfinished) = unfinished(&machine.root, package)? else {
        return Ok((Recovered::Nothing, Remains::default()));
    };
    let header = &unfinished.header;
    if is_complete(&machine.root, package, header)? {
        let started = start(&unfinished, &machine.root);
        let steps = unfinished.steps.iter().map(|begun| &begun.step);
        let kept = finish(machine, package, &header.areas, steps).map_err(incomplete)?;
        started?;
        return Ok((Recovered::Finished, Remains { kept, units: Vec::new() }));
    }
    let keep = resume == Some(header.index);
    let remains = roll_back(machine, package, keep)?;
    Ok((if keep { Recovered::RolledBackKeepingStaged } else { Recovered::RolledBack }, remains))
}

/// Starts what an installation that is complete was about to start: all of it, also after one that fails.
fn start(unfinished: &Unfinished, root: &Root) -> Result<(), Error> {
    let Some(manager) = Manager::of(root) else { return Ok(()) };
    let units = unfinished.steps.iter().filter_map(|begun| match &begun.step {
        Step::StartUnit { unit } => Some(unit),
        _ => None,
    });
    let failures: Vec<_> =
        units.filter_map(|unit| Some((unit.clone(), manager.start_and_watch(unit).err()?.to_string()))).collect();
    service_failures(root, &failures)
}

/// The error that names every service that did not start, with what systemd or the service said.
pub fn service_failures(root: &Root, failures: &[(String, String)]) -> Result<(), Error> {
    if failures.is_empty() {
        return Ok(());
    }
    Err(service_failure(root, failures).state("the package is installed; the service does not run"))
}

/// The same, without the state of the machine.
pub fn service_failure(root: &Root, failures: &[(String, String)]) -> Error {
    let told = failures.iter().map(|(unit, why)| {
        let why = if failures.len() > 1 { format!("{unit}: {why}") } else { why.clone() };
        std::iter::once(why).chain(diagnosis::lines(root, unit)).collect::<Vec<_>>().join("\n  ")
    });
    let what = told.collect::<Vec<_>>().join("\n");
    let units = failures.iter().map(|(unit, _)| unit.as_str()).collect::<Vec<_>>().join(" ");
    let hint = format!(
        "systemctl status {units}; journalctl -u {}; check the platform (x86_64 or ARM)",
        units.replace(' ', " -u ")
    );
    Error::new(Exit::ServiceFailed, format!("Service failed to start: {what}")).hint(hint)
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
pub fn roll_back(machine: &Machine, package: &PackageName, keep_staged: bool) -> Result<Remains, Error> {
    let Some(unfinished) = unfinished(&machine.root, package)? else {
        state::remove_unrecorded(&machine.root, package).map_err(incomplete)?;
        return Ok(Remains::default());
    };
    let remains = undo_all(machine, package, &unfinished).map_err(incomplete)?;
    if keep_staged {
        return Ok(remains);
    }
    let header = &unfinished.header;
    clean_areas(&machine.root, &header.areas).map_err(incomplete)?;
    remove_own(&machine.root, package, &header.made).map_err(incomplete)?;
    Ok(remains)
}

/// Undoes the steps in the opposite order, up to the first that cannot be undone: what was before a step is only right
/// when everything after it is gone. A unit that systemd will not put back holds nothing up.
fn undo_all(machine: &Machine, package: &PackageName, unfinished: &Unfinished) -> Result<Remains, StepError> {
    let mut remains = Remains::default();
    let manager = Manager::of(&machine.root);
    let mut reload = manager.filter(|_| unfinished.header.reload);
    if let Some(manager) = manager {
        remains.units.extend(stop_what_runs_again(unfinished, manager));
    }
    for begun in unfinished.steps.iter().rev() {
        // A service is started again only when systemd knows its old unit.
        if matches!(begun.step, Step::StopUnit { .. })
            && let Some(manager) = reload.take()
        {
            remains.units.extend(manager.reload().err().map(|error| error.to_string()));
        }
        match begun.step.undo(machine)? {
            Undone::Clean => {}
            Undone::Kept(what) => remains.kept.push(what),
            Undone::Unit(what) => remains.units.push(what),
        }
        journal::take_back(&machine.root, package, begun)?;
    }
    if let Some(manager) = reload {
        remains.units.extend(manager.reload().err().map(|error| error.to_string()));
    }
    Ok(remains)
}

/// After a power cut systemd may have started a service from files of which some are the old and some the new ones. Says
/// what systemd would not stop.
fn stop_what_runs_again(unfinished: &Unfinished, manager: Manager) -> Vec<String> {
    if !unfinished.steps.iter().any(|begun| begun.step.disturbs_services()) {
        return Vec::new();
    }
    let stopped = unfinished.steps.iter().filter_map(|begun| match &begun.step {
        Step::StopUnit { unit } => Some(manager.stop_if_up(unit)),
        _ => None,
    });
    stopped.filter_map(|outcome| Some(outcome.err()?.to_string())).collect()
}

/// Cleans up after an installation that is complete, and is recovered: nobody can say any more what the files that it placed
/// held at the moment, so the receipt does not vouch for them.
fn finish<'a>(
    machine: &Machine,
    package: &PackageName,
    areas: &[RelPath],
    steps: impl Iterator<Item = &'a Step>,
) -> Result<Vec<String>, StepError> {
    let kept = clear_away(machine, package, areas, steps)?;
    close(&machine.root, package)?;
    Ok(kept)
}

/// Cleans up after an installation that has just been completed. The stat data of files are as they stay only when the staged
/// copies have gone: then the receipt is written once more, to vouch for them by how they were `placed`.
pub fn complete<'a>(
    machine: &Machine,
    mut receipt: Receipt,
    areas: &[RelPath],
    steps: impl Iterator<Item = &'a Step>,
    placed: &HashMap<RelPath, Stat>,
) -> Result<Vec<String>, StepError> {
    let root = &machine.root;
    let kept = clear_away(machine, &receipt.package, areas, steps)?;
    vouch::vouch(&mut receipt, root, placed);
    state::write_receipt(root, &receipt)?;
    close(root, &receipt.package)?;
    Ok(kept)
}

/// The end of an installation: its journal goes, after everything else that only the installation needed.
fn close(root: &Root, package: &PackageName) -> Result<(), FsError> {
    for name in state::unfinished_files(package).into_iter().chain([state::leftovers(package)]) {
        if root.look(&name)? != Found::Absent {
            root.remove(&name)?;
        }
    }
    root.remove(&state::journal(package))
}

/// Clears away what only a running installation needs, but for its journal. Doing this twice is the same as once. Says what
/// somebody changed while it ran, and where that is kept.
fn clear_away<'a>(
    machine: &Machine,
    package: &PackageName,
    areas: &[RelPath],
    steps: impl Iterator<Item = &'a Step>,
) -> Result<Vec<String>, StepError> {
    let root = &machine.root;
    let fresh = state::fresh_stub(package);
    if root.look(&fresh)? != Found::Absent {
        root.rename(&fresh, &state::stub(package))?;
    }
    let kept = keep_what_was_changed(machine, steps)?;
    clean_areas(root, areas)?;
    Ok(kept)
}

/// Old versions go, but not with what somebody wrote into one that was in use.
fn keep_what_was_changed<'a>(
    machine: &Machine,
    steps: impl Iterator<Item = &'a Step>,
) -> Result<Vec<String>, StepError> {
    let mut kept = Vec::new();
    for step in steps {
        kept.extend(step.set_aside().map(|old| changed_aside(machine, &old)).transpose()?.flatten());
        let Some(old) = step.old_version() else { continue };
        match machine.root.look(old.backup)? {
            Found::Absent => continue,
            Found::File(facts) if old.seen.is_some_and(|seen| facts.is_same(&seen)) => continue,
            Found::File(_) if machine.root.digest(old.backup)? == old.digest => continue,
            _ => {}
        }
        let name = machine.keep_beside(old.backup, old.path, false)?;
        kept.push(format!("{} was changed while the installation ran: that is kept as {name}", old.path));
    }
    Ok(kept)
}

/// What is kept beside a file for the uninstallation is only put back if it is still what was set aside.
fn changed_aside(machine: &Machine, old: &OldVersion<'_>) -> Result<Option<String>, FsError> {
    let OldVersion { path, backup, .. } = old;
    Ok(match machine.root.look(backup)? {
        Found::File(facts) if old.seen.is_some_and(|seen| facts.is_same(&seen)) => None,
        Found::Absent => Some(format!("{backup} is gone: what was at {path} before cannot be put back")),
        _ if machine.holds(backup, old.digest)? => None,
        _ => Some(format!("{backup} was changed by somebody else: --uninstall will not put it back as {path}")),
    })
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
    if root.look(&state::receipt(package))? == Found::Absent && root.look(&state::leftovers(package))? == Found::Absent
    {
        return state::remove_directory(root, package, made);
    }
    root.remove(&state::journal(package))
}

fn incomplete(error: impl std::fmt::Display) -> Error {
    Error::new(Exit::RollbackIncomplete, error.to_string())
        .state("a part of the changes is still there; the journal is kept for --recover")
        .hint("see what is in the way, then run it again with --recover")
}
