//! Uninstallation carried out: forwards only. Interrupted, it is continued by running it again.
//! What goes and what stays is decided in `plan/removal.rs`.

use std::collections::BTreeSet;

use nix::errno::Errno;
use payload::RelPath;

use crate::error::Error;
use crate::exit::Exit;
use crate::host::interrupt;
use crate::host::machine::{Machine, StepError, Undone};
use crate::host::root::{Attributes, Found};
use crate::host::unit::{Enabler, Manager};
use crate::plan::removal::{Removal, UninstallPlan};
use crate::record::receipt::{Origin, Receipt};
use crate::record::state;

/// What became of a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It stays, and why.
    Kept(String),
    /// It stays because of something else that stays, which was said already.
    KeptWithOthers(String),
    Failed(String),
}

impl Outcome {
    fn of_error(error: StepError) -> Self {
        match error {
            StepError::State(why) => Self::Kept(why),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Carries an uninstallation out.
///
/// # Errors
/// Exit code 32 when something was left. The receipt stays if something of the package could not be removed; what stays
/// for another reason gets a receipt of leftovers.
pub fn apply(
    plan: &UninstallPlan,
    receipt: &Receipt,
    machine: &Machine,
    tell: &dyn Fn(&Removal, &Outcome),
) -> Result<(), Error> {
    let mut left: Vec<String> = plan.kept.iter().map(|kept| kept.why.clone()).collect();
    let (mut occupied, mut accounts) = (BTreeSet::new(), Vec::new());
    let (mut failed, mut leftovers) = (false, None);
    for removal in &plan.removals {
        if interrupt::requested() {
            return Err(Error::new(Exit::Interrupted, "interrupted".to_owned())
                .state("a part of the package is removed")
                .hint("run --uninstall again: it goes on where it stopped"));
        }
        if failed && *removal == Removal::State {
            continue;
        }
        let outcome = match removal {
            Removal::Directory { path } => remove_directory(path, machine, &mut occupied),
            Removal::State if !left.is_empty() || !accounts.is_empty() => {
                what_is_left(receipt, machine).and_then(|left| {
                    leftovers = left;
                    remove_receipt(receipt, leftovers.as_ref(), machine)
                })
            }
            other => carry_out(other, receipt, machine, &left),
        };
        let outcome = outcome.unwrap_or_else(Outcome::of_error);
        tell(removal, &outcome);
        match outcome {
            Outcome::Done | Outcome::KeptWithOthers(_) => {}
            // Whoever made an account anew keeps it; that says nothing about the package's other one.
            Outcome::Kept(why) if matches!(removal, Removal::User(_)) => accounts.push(why),
            Outcome::Kept(why) => left.push(why),
            Outcome::Failed(why) => {
                if let Removal::StopUnit { unit } = removal {
                    return Err(still_runs(unit, why));
                }
                failed = true;
                left.push(why);
            }
        }
    }
    left.extend(accounts);
    left.extend(plan.gone.iter().map(|gone| gone.why.clone()));
    if left.is_empty() {
        return Ok(());
    }
    if failed {
        let what = format!("not everything could be removed:\n  {}", left.join("\n  "));
        return Err(Error::new(Exit::UninstallIncomplete, what)
            .state("a part of the package is removed; the receipt is kept")
            .hint("see what is in the way, then run --uninstall again: it goes on where it stopped"));
    }
    let (what, hint) = if left.len() > plan.gone.len() {
        (
            "something was left",
            if leftovers.is_some() { PURGE } else { "remove what is left by hand, if nobody needs it" },
        )
    } else {
        ("something is not as it was before", "get it from a backup of the machine, if somebody needs it")
    };
    Err(Error::new(Exit::UninstallIncomplete, format!("uninstalled, but {what}:\n  {}", left.join("\n  ")))
        .state("everything else of the package is removed")
        .hint(hint))
}

/// The receipt of leftovers says what that is about.
const PURGE: &str = "look at what is left; --uninstall --purge removes what belongs to the package (with --dry-run it only shows \
                     what it would remove), the rest goes by hand if nobody needs it";

fn what_is_left(receipt: &Receipt, machine: &Machine) -> Result<Option<Receipt>, StepError> {
    let owner = |id: Option<u32>, of: fn(&Attributes) -> u32| {
        id.map_or(Ok(false), |id| owns(&|facts| of(facts) == id, receipt, machine))
    };
    let user = owner(receipt.user.as_ref().map(|user| user.id), |facts| facts.uid)?;
    let group = owner(receipt.group.as_ref().map(|group| group.id), |facts| facts.gid)?;
    Ok(receipt.left(|path| !matches!(machine.root.look(path), Ok(Found::Absent)), user, group))
}

fn remove_receipt(receipt: &Receipt, left: Option<&Receipt>, machine: &Machine) -> Result<Outcome, StepError> {
    match left {
        Some(left) => state::keep_leftovers(&machine.root, left)?,
        None => state::remove_directory(&machine.root, &receipt.package, &receipt.made)?,
    }
    Ok(Outcome::Done)
}

/// Files are not taken away under a service that runs.
fn still_runs(unit: &str, why: String) -> Error {
    Error::new(Exit::UninstallIncomplete, why)
        .state("nothing was removed")
        .hint(format!("see systemctl status {unit}, stop it, then run --uninstall again"))
}

/// Removes a directory. What keeps it is said once, not again for every directory above it.
fn remove_directory(path: &RelPath, machine: &Machine, occupied: &mut BTreeSet<RelPath>) -> Result<Outcome, StepError> {
    match machine.root.remove_directory(path) {
        Err(error) if error.errno() == Some(Errno::ENOTEMPTY) => {}
        other => return Ok(other.map(|()| Outcome::Done)?),
    }
    occupied.insert(path.clone());
    let names = machine.root.names(path)?;
    let named_already = |name: &String| path.join(name).is_ok_and(|below| occupied.contains(&below));
    let unknown: Vec<String> =
        names.iter().filter(|name| !named_already(name)).map(|name| payload::printable(name)).collect();
    if unknown.is_empty() {
        return Ok(Outcome::KeptWithOthers(format!("{path}/ is not empty")));
    }
    Ok(Outcome::Kept(format!("{path}/ is not empty: {}", unknown.join(", "))))
}

fn carry_out(removal: &Removal, receipt: &Receipt, machine: &Machine, left: &[String]) -> Result<Outcome, StepError> {
    // Files that stay must not end up with a number that the next account gets.
    if !left.is_empty() {
        match removal {
            Removal::User(user) if owns(&|facts| facts.uid == user.id, receipt, machine)? => {
                return Ok(Outcome::Kept(format!("the user {} stays: files of it are left", user.name)));
            }
            Removal::Group(group) if owns(&|facts| facts.gid == group.id, receipt, machine)? => {
                return Ok(Outcome::KeptWithOthers(format!("the group {} stays: files of it are left", group.name)));
            }
            _ => {}
        }
    }
    remove(removal, receipt, machine).map(|()| Outcome::Done)
}

/// Whether something of what the package had, or of what is in its directories, belongs to an account.
fn owns(is_theirs: &dyn Fn(&Attributes) -> bool, receipt: &Receipt, machine: &Machine) -> Result<bool, StepError> {
    for (path, origin) in receipt.made_by_it() {
        let backup = if let Origin::Replaced { backup, .. } = origin { Some(backup) } else { None };
        for path in std::iter::once(path).chain(backup) {
            if machine.root.holds_any(path, is_theirs)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn remove(removal: &Removal, receipt: &Receipt, machine: &Machine) -> Result<(), StepError> {
    let root = &machine.root;
    match removal {
        Removal::StopUnit { unit } => Ok(Manager::of(root).map_or(Ok(()), |manager| manager.stop(unit))?),
        Removal::DisableUnit { unit } => Ok(Enabler::of(root).map_or(Ok(()), |enabler| enabler.disable(unit))?),
        Removal::File { path, seen } => require_gone(path, machine.take_away(path, seen)?),
        Removal::Restore { path, backup, seen, aside } => {
            require_gone(path, machine.take_away(path, seen)?)?;
            root.move_to_free(backup, path)?;
            if root.look(path)?.is_same(aside) {
                return Ok(());
            }
            root.move_to_free(path, backup)?;
            require_gone(backup, false)
        }
        Removal::Directory { path } => Ok(root.remove_directory(path)?),
        Removal::UnusualNames { directory } => Ok(root.remove_unusual(directory)?),
        Removal::ReloadSystemd => Manager::of(root).map_or(Ok(()), |manager| reload(receipt, manager)),
        Removal::User(user) => all_of_it(machine.remove_user(user)?),
        Removal::Group(group) => all_of_it(machine.remove_group(group)?),
        Removal::HandOver(to) => Ok(state::write_receipt(root, to)?),
        Removal::State => Ok(state::remove_directory(root, &receipt.package, &receipt.made)?),
    }
}

/// Somebody may have changed it since the plan was made.
fn require_gone(path: &RelPath, gone: bool) -> Result<(), StepError> {
    let stays = || StepError::State(format!("{path} was changed while the uninstallation ran: it stays"));
    if gone { Ok(()) } else { Err(stays()) }
}

/// What an uninstallation had moved aside when a crash came is where it was again, so that it can be planned.
///
/// # Errors
/// It cannot be moved.
pub fn bring_back(receipt: &Receipt, machine: &Machine) -> Result<(), StepError> {
    receipt.made_by_it().try_for_each(|(path, _)| machine.bring_back(path))
}

fn all_of_it(undone: Undone) -> Result<(), StepError> {
    match undone {
        Undone::Clean => Ok(()),
        Undone::Kept(what) | Undone::Unit(what) => Err(StepError::State(what)),
    }
}

/// systemd remembers the failure of a unit that is gone, and then calls the whole machine degraded.
fn reload(receipt: &Receipt, manager: Manager) -> Result<(), StepError> {
    manager.reload()?;
    for unit in &receipt.units {
        if manager.look(unit)?.has_failed() {
            manager.reset_failed(unit)?;
        }
    }
    Ok(())
}
