//! Carries out a cleared plan: journal, stage, commit, receipt; on failure back to the state before.
//! What a single step does is in `plan/step.rs`; what happens after a crash is in `recover.rs`.

use std::collections::HashMap;

use nix::errno::Errno;
use payload::index::Role;
use payload::{Digest, Mode, Owner, Package, PayloadError, RelPath, Watch};

use crate::apply::journal::{Header, Journal};
use crate::apply::proof::{self, Answers};
use crate::apply::recover::{self, Remains};
use crate::apply::stage::{self, StageError};
use crate::error::Error;
use crate::exit::Exit;
use crate::host::change;
use crate::host::interrupt;
use crate::host::machine::Machine;
use crate::host::machine::StepError;
use crate::host::program;
use crate::host::root::{FileSystem, Found, FsError, Root, Stat};
use crate::host::unit::Manager;
use crate::plan::Plan;
use crate::plan::preflight::{self, ClearedPlan};
use crate::plan::step::{PlaceFile, Step};
use crate::record::receipt::Receipt;
use crate::record::state::{self, Staged};

/// What is told while a plan is carried out.
pub trait Events: Answers + Sync {
    /// More stored bytes have been verified and staged.
    fn staged(&self, bytes: u64);
    /// A step was taken, or failed.
    fn step(&self, step: &Step, outcome: Result<(), &StepError>);
    /// Something worth a line.
    fn note(&self, text: &str);
}

/// Why an installation stopped.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("{0} is on a file system without hard links")]
    NoHardLinks(String),
    #[error("interrupted")]
    Interrupted,
    #[error("{}", .0.what())]
    Service(Box<Error>),
}

/// Carries out a plan. When this returns an error that is not [`Exit::RollbackIncomplete`] or [`Exit::ServiceFailed`],
/// the machine is as it was before.
pub fn apply(
    cleared: &ClearedPlan,
    package: &Package,
    machine: &Machine,
    receipt: Receipt,
    workers: usize,
    events: &dyn Events,
) -> Result<(), Error> {
    let name = &package.index().package.name;
    let plan = cleared.plan();
    // What an interrupted attempt left belongs to this one now: its directories, and what it had staged.
    let earlier = recover::unfinished(&machine.root, name)?.map(|unfinished| unfinished.header);
    let (made, areas) = earlier.map_or_else(Default::default, |header| (header.made, header.areas));
    let abandoned: Vec<RelPath> = areas.into_iter().filter(|area| !plan.areas.contains(area)).collect();
    let missing = state::missing_directories(&machine.root, name)?;
    let header = Header {
        index: package.digest(),
        generation: receipt.generation,
        areas: plan.areas.iter().cloned().chain(abandoned).collect(),
        made: made.into_iter().chain(missing).collect(),
        reload: plan.steps.contains(&Step::ReloadSystemd),
    };
    let made = receipt.made.iter().chain(&header.made).cloned().collect();
    let receipt = Receipt { made, ..receipt };
    let mut placed = HashMap::new();
    let outcome = run(plan, package, machine, &receipt, &header, workers, &mut placed, events);
    if let Err(failure) = outcome
        && !recover::is_complete(&machine.root, name, &header).unwrap_or(false)
    {
        events.note("rolling back");
        return Err(after_rollback(&failure, recover::roll_back(machine, name, false)));
    }
    // The journal goes last: until then a recovery starts what is to run.
    let started = if plan.rollback { Ok(()) } else { start(plan, machine, events) };
    match recover::complete(machine, receipt, &header.areas, plan.steps.iter(), &placed) {
        Ok(kept) => kept.iter().for_each(|line| events.note(line)),
        Err(error) => events.note(&leftovers(&error)),
    }
    started?;
    match &plan.proof {
        Some(proof) if !plan.rollback => proof::prove(proof, machine, events).map_err(|error| error.state(INSTALLED)),
        _ => Ok(()),
    }
}

#[expect(clippy::too_many_arguments, reason = "an installation is about all of these")]
fn run(
    plan: &Plan,
    package: &Package,
    machine: &Machine,
    receipt: &Receipt,
    header: &Header,
    workers: usize,
    placed: &mut HashMap<RelPath, Stat>,
    events: &dyn Events,
) -> Result<(), Failure> {
    let name = &package.index().package.name;
    let root = &machine.root;
    let stub = program::to_keep(package).map_err(StageError::from)?;
    let mut journal = Journal::start(root, name, header, &stub)?;
    let mut tried = Vec::new();
    for area in &plan.areas {
        if root.look(area)? == Found::Absent {
            root.make_directory(area)?;
        }
        let here = root.file_system(Some(area))?;
        if !tried.iter().any(|there: &FileSystem| there.is_same_mount(&here)) {
            require_hard_links(machine, area)?;
            tried.push(here);
        }
        require_private(machine, area)?;
    }
    // In the order in which content lies in the package: no medium is needed twice.
    let blobs: HashMap<Digest, usize> = package.index().blobs.iter().map(|blob| blob.digest).zip(0..).collect();
    let mut to_place: Vec<(Option<usize>, &PlaceFile)> =
        plan.placed().map(|place| (blobs.get(&place.digest).copied(), place)).collect();
    to_place.sort_by_key(|(blob, _)| *blob);
    for (blob, place) in to_place {
        let watch = Watch { progress: &|bytes| events.staged(bytes), stop: &interrupt::requested };
        if place.role == Role::Installer {
            stage_installer(place, &stub, machine, watch)?;
        } else {
            stage_file(place, blob, package, machine, workers, watch)?;
        }
        if let Found::File(facts) = root.look(&place.staged)? {
            placed.insert(place.path.clone(), facts.stat());
        }
    }
    // Undoing a step recognises what was placed by its staged name: that must be on the disk before.
    for area in &plan.areas {
        if let Some(place) = plan.placed().find(|place| place.staged.starts_with(area)) {
            root.sync_directory_of(&place.staged)?;
        }
    }
    for (position, step) in plan.steps.iter().enumerate() {
        if interrupt::requested() {
            return Err(Failure::Interrupted);
        }
        journal.begin(step)?;
        let outcome = step.apply_before(plan.steps.get(position + 1), machine);
        events.step(step, outcome.as_ref().copied());
        if let Err(error) = outcome {
            // Somebody else was faster: what is there is theirs, and is not undone.
            if step.was_done_by_others(&error) {
                journal.give_up_last()?;
                if step.may_be_done_by_others() {
                    events.note(&error.to_string());
                    continue;
                }
            }
            return Err(match step {
                // Its journal is read while the service is still there.
                Step::StartUnit { unit } => {
                    Failure::Service(Box::new(recover::service_failure(root, &[(unit.clone(), error.to_string())])))
                }
                _ => error.into(),
            });
        }
    }
    look_at_models_again(plan, machine)?;
    if let Some(proof) = plan.proof.as_ref().filter(|_| plan.rollback) {
        proof::prove(proof, machine, events).map_err(|error| match error.exit() {
            Exit::Interrupted => Failure::Interrupted,
            _ => Failure::Service(Box::new(error)),
        })?;
    }
    // Written down before the installation counts as complete: a recovery then starts it.
    for step in &plan.afterwards {
        journal.begin(step)?;
    }
    root.write_atomically(&state::fresh_stub(name), &stub, Mode::EXECUTABLE)?;
    // From here on the installation is complete: what is left is finished forwards, also after a crash.
    Ok(state::write_receipt(root, receipt)?)
}

/// An Ollama that starts deletes every blob without a manifest, and blobs are there before their manifest is. Now that
/// the manifests stand, what went meanwhile is put back: the verified copy is still staged.
fn look_at_models_again(plan: &Plan, machine: &Machine) -> Result<(), StepError> {
    for step in &plan.steps {
        let path = match step {
            Step::PlaceFile(place) if place.role == Role::ModelBlob => &place.path,
            Step::MakeHardLink { path, .. } => path,
            _ => continue,
        };
        if machine.root.look(path)? == Found::Absent {
            step.apply(machine)?;
        }
    }
    let present =
        plan.unchanged.iter().find(|path| is_blob(path) && matches!(machine.root.look(path), Ok(Found::Absent)));
    match present {
        Some(path) => Err(StepError::State(format!("{path} was there, and somebody removed it meanwhile"))),
        None => Ok(()),
    }
}

fn is_blob(path: &RelPath) -> bool {
    path.parent().is_some_and(|parent| parent.name() == "blobs") && path.name().starts_with("sha256-")
}

/// Tries before anything large is copied: of many file systems only trying tells.
fn require_hard_links(machine: &Machine, area: &RelPath) -> Result<(), Failure> {
    let root = &machine.root;
    let name =
        |probe| state::staged(area, Staged::LinkProbe(probe)).ok_or(StepError::State(format!("{area} is too long")));
    let (one, two) = (name(1)?, name(2)?);
    root.remove(&two)?;
    drop(root.open_staged(&one)?);
    match root.link(&one, &two) {
        Err(error) if error.lacks_hard_links() => {
            let place = area.parent().map_or_else(|| "/".to_owned(), |parent| parent.to_string());
            return Err(Failure::NoHardLinks(place));
        }
        other => other?,
    }
    root.remove(&two)?;
    Ok(root.remove(&one)?)
}

/// A staging directory that anybody else could change would void every verification.
fn require_private(machine: &Machine, area: &RelPath) -> Result<(), Failure> {
    let euid = nix::unistd::geteuid().as_raw();
    match machine.root.look(area)? {
        Found::Directory(facts) if facts.uid == euid && facts.mode & 0o077 == 0 => Ok(()),
        _ => Err(StepError::State(format!("{area} is not a private directory of this user: remove it")).into()),
    }
}

fn stage_file(
    place: &PlaceFile,
    blob: Option<usize>,
    package: &Package,
    machine: &Machine,
    workers: usize,
    watch: Watch<'_>,
) -> Result<(), Failure> {
    let position = blob.ok_or_else(|| StepError::State(format!("{} has no content in the payload", place.path)))?;
    let file = machine.root.open_staged(&place.staged)?;
    let staged = stage::stage(package, position, &file, &place.staged, workers, watch);
    staged.map_err(|error| name_destination(error, place))?;
    // The accounts of others may be yet to be made.
    if place.owner.as_ref().is_none_or(|owner| *owner == Owner::root()) {
        let owner = place.owner.as_ref().map(|owner| machine.ids(owner)).transpose()?.flatten();
        Root::prepare_staged(&file, &place.staged, place.mode, owner)?;
    }
    Ok(change::sync_file(&place.staged, &file)?)
}

/// The installer's own command is the program that is kept, and no part of the payload.
fn stage_installer(place: &PlaceFile, stub: &[u8], machine: &Machine, watch: Watch<'_>) -> Result<(), Failure> {
    if payload::Digest::of(stub) != place.digest {
        return Err(StepError::State("the program at the start of the package changed meanwhile".to_owned()).into());
    }
    let file = machine.root.open_staged(&place.staged)?;
    let written = change::write(&place.staged, &file, 0, stub)
        .and_then(|()| change::truncate(&place.staged, &file, place.size))
        .and_then(|()| change::sync_file(&place.staged, &file));
    written.map_err(|error| name_destination(error.into(), place))?;
    (watch.progress)(place.size);
    Ok(())
}

/// The administrator knows where a file should go, not where it is staged.
fn name_destination(error: StageError, place: &PlaceFile) -> StageError {
    match error {
        StageError::Fs(error) => StageError::Fs(FsError { path: place.path.to_string(), ..error }),
        other @ StageError::Payload(_) => other,
    }
}

/// Starts everything that is to be started, also after one that fails.
fn start(plan: &Plan, machine: &Machine, events: &dyn Events) -> Result<(), Error> {
    let mut failures = Vec::new();
    for step in &plan.afterwards {
        stop_again(step, plan, machine);
        let outcome = step.apply(machine);
        events.step(step, outcome.as_ref().copied());
        if let Err(error) = outcome {
            let unit = match step {
                Step::StartUnit { unit } => unit.clone(),
                other => other.describe(),
            };
            failures.push((unit, error.to_string()));
        }
    }
    recover::service_failures(&machine.root, &failures)
}

/// Somebody may have started what was stopped, from files of both versions. Whether it then starts is what counts.
fn stop_again(step: &Step, plan: &Plan, machine: &Machine) {
    if let (Step::StartUnit { unit }, Some(manager)) = (step, Manager::of(&machine.root))
        && plan.steps.contains(&Step::StopUnit { unit: unit.clone() })
    {
        let _ = manager.stop_if_up(unit);
    }
}

/// The installation is complete and stays: what is left is removed by the next run.
fn leftovers(error: &StepError) -> String {
    format!("the package is installed, but cleaning up failed: {error}\nnext:  run it again with --recover")
}

fn after_rollback(failure: &Failure, rollback: Result<Remains, Error>) -> Error {
    let remains = match rollback {
        Ok(remains) => remains.report(&format!("{failure}; everything was rolled back")),
        Err(error) => return incomplete_rollback(failure, &error),
    };
    if let Err(error) = remains {
        return error;
    }
    describe(failure)
}

fn incomplete_rollback(failure: &Failure, error: &Error) -> Error {
    Error::new(Exit::RollbackIncomplete, format!("{failure}; and rolling back failed: {}", error.what()))
        .state("a part of the changes is still there; the journal is kept for --recover")
        .hint("see what is in the way, then run it again with --recover")
}

/// A failure after which everything is as it was before.
fn describe(failure: &Failure) -> Error {
    let (exit, what, hint) = match failure {
        Failure::Interrupted | Failure::Stage(StageError::Payload(PayloadError::Interrupted)) => {
            (Exit::Interrupted, "interrupted".to_owned(), "run the same command again")
        }
        Failure::NoHardLinks(_) => (Exit::IncompatibleHost, failure.to_string(), preflight::NO_HARD_LINKS),
        Failure::Stage(StageError::Payload(error)) => return Error::payload(error).state(UNCHANGED),
        Failure::Service(error) => return Error::clone(error).state(UNCHANGED),
        failure if failure.is_out_of_space() => {
            let what = format!("Out of disk space: {failure}");
            (Exit::OutOfDiskSpace, what, "free disk space there, or deploy smaller models")
        }
        failure if failure.is_permission_denied() => {
            let what = format!("Permission denied: {failure}");
            (Exit::PermissionDenied, what, permission_hint())
        }
        failure => (Exit::RolledBack, failure.to_string(), "remove the cause, then run it again"),
    };
    Error::new(exit, what).state(UNCHANGED).hint(hint)
}

/// Root lacks no permission: then it is the file system that refuses.
fn permission_hint() -> &'static str {
    if nix::unistd::geteuid().is_root() {
        "see how that file system is mounted, and whether lsattr shows an immutable file there"
    } else {
        "run it with sudo, or choose a --root that you may write to"
    }
}

const UNCHANGED: &str = "the machine is as it was before";
/// The state when the service did not prove itself, and was not to be taken back for that.
pub const INSTALLED: &str = "the package is installed; --status says what state it is in";

impl Failure {
    /// Below a root of their own, users may lack a permission that only trying reveals.
    fn is_permission_denied(&self) -> bool {
        let error = match self {
            Self::Fs(error) | Self::Stage(StageError::Fs(error)) | Self::Step(StepError::Fs(error)) => error,
            Self::Stage(_) | Self::Step(_) | Self::NoHardLinks(_) | Self::Interrupted | Self::Service(_) => {
                return false;
            }
        };
        matches!(error.errno(), Some(Errno::EACCES | Errno::EPERM))
    }

    fn is_out_of_space(&self) -> bool {
        match self {
            Self::Stage(StageError::Fs(error)) | Self::Fs(error) => StepError::from(error.clone()).is_out_of_space(),
            Self::Step(error) => error.is_out_of_space(),
            Self::Stage(_) | Self::NoHardLinks(_) | Self::Interrupted | Self::Service(_) => false,
        }
    }
}
