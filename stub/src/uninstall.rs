//! Uninstallation: removes what the receipt says this package made, and nothing that somebody changed since.
//! It goes forwards only: interrupted, it is continued by running it again.

use std::collections::BTreeSet;

use nix::errno::Errno;
use payload::RelPath;

use crate::account;
use crate::error::Error;
use crate::exit::Exit;
use crate::interrupt;
use crate::machine::Machine;
use crate::receipt::{FileEntry, LinkEntry, LinkTarget, Origin, Receipt};
use crate::root::Found;
use crate::state;
use crate::step::StepError;
use crate::tool::Tool;

/// One thing uninstallation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    StopUnit {
        unit: String,
    },
    DisableUnit {
        unit: String,
    },
    File {
        path: RelPath,
    },
    /// Puts the file back that was replaced.
    Restore {
        path: RelPath,
        backup: RelPath,
    },
    Directory {
        path: RelPath,
    },
    ReloadSystemd,
    User {
        name: payload::AccountName,
    },
    Group {
        name: payload::AccountName,
    },
    State,
}

/// What uninstallation will do, and what it leaves.
#[derive(Debug, Default)]
pub struct UninstallPlan {
    pub removals: Vec<Removal>,
    /// Paths that stay because somebody changed them.
    pub kept: Vec<String>,
}

impl Removal {
    /// What it does, in one line.
    pub fn describe(&self) -> String {
        match self {
            Self::StopUnit { unit } => format!("stop {unit}"),
            Self::DisableUnit { unit } => format!("disable {unit}"),
            Self::File { path } => format!("remove {path}"),
            Self::Restore { path, backup } => format!("put {backup} back as {path}"),
            Self::Directory { path } => format!("remove directory {path}/"),
            Self::ReloadSystemd => "reload systemd".to_owned(),
            Self::User { name } => format!("remove user {name}"),
            Self::Group { name } => format!("remove group {name}"),
            Self::State => "remove the receipt".to_owned(),
        }
    }
}

/// Plans an uninstallation. With `purge`, what was created later below the package's own directories goes too.
pub fn plan(receipt: &Receipt, machine: &Machine, systemd: bool, purge: bool) -> Result<UninstallPlan, Error> {
    let mut plan = UninstallPlan::default();
    if systemd {
        for unit in &receipt.units {
            plan.removals.push(Removal::StopUnit { unit: unit.clone() });
            plan.removals.push(Removal::DisableUnit { unit: unit.clone() });
        }
    }
    for link in receipt.links.iter().rev().filter(|link| link.origin != Origin::AlreadyPresent) {
        plan_link(link, receipt, machine, &mut plan)?;
    }
    for file in receipt.files.iter().rev() {
        plan_file(file, machine, &mut plan)?;
    }
    let made = receipt.directories.iter().filter(|entry| entry.origin == Origin::Created).map(|entry| &entry.path);
    let mut made: Vec<&RelPath> = made.collect();
    // Parents before children, whichever version of the package made them.
    made.sort();
    if purge {
        plan_purge(&made, machine, &mut plan)?;
    }
    plan.removals.extend(made.iter().rev().map(|path| Removal::Directory { path: (*path).clone() }));
    if systemd {
        plan.removals.push(Removal::ReloadSystemd);
    }
    plan.removals.extend(receipt.user.iter().map(|name| Removal::User { name: name.clone() }));
    plan.removals.extend(receipt.group.iter().map(|name| Removal::Group { name: name.clone() }));
    plan.removals.push(Removal::State);
    Ok(plan)
}

fn plan_link(link: &LinkEntry, receipt: &Receipt, machine: &Machine, plan: &mut UninstallPlan) -> Result<(), Error> {
    let unchanged = match (&link.target, machine.root.look(&link.path)?) {
        (_, Found::Absent) => return Ok(()),
        (LinkTarget::Symbolic(target), Found::Link { target: found }) => found == *target,
        (LinkTarget::Hard(to), Found::File(facts)) => match (machine.root.look(to)?, receipt.file(to)) {
            (Found::File(other), _) if (other.device, other.inode) == (facts.device, facts.inode) => true,
            (_, Some(recorded)) => facts.size == recorded.size && machine.root.digest(&link.path)? == recorded.digest,
            _ => false,
        },
        _ => false,
    };
    if unchanged {
        plan.removals.push(Removal::File { path: link.path.clone() });
    } else {
        plan.kept.push(format!("{} was changed since it was installed", link.path));
    }
    Ok(())
}

fn plan_file(file: &FileEntry, machine: &Machine, plan: &mut UninstallPlan) -> Result<(), Error> {
    let (path, backup) = match &file.origin {
        Origin::AlreadyPresent => return Ok(()),
        Origin::Created => (&file.path, None),
        Origin::Replaced { backup } => (&file.path, Some(backup)),
    };
    let unchanged = match machine.root.look(path)? {
        Found::Absent => true,
        Found::File(facts) => facts.size == file.size && machine.root.digest(path)? == file.digest,
        _ => false,
    };
    match backup {
        // An uninstallation that was interrupted has put it back already.
        Some(backup) if !unchanged && machine.root.look(backup)? == Found::Absent => {}
        _ if !unchanged => plan.kept.push(format!("{path} was changed since it was installed")),
        Some(backup) if machine.root.look(backup)? != Found::Absent => {
            plan.removals.push(Removal::Restore { path: path.clone(), backup: backup.clone() });
        }
        _ => plan.removals.push(Removal::File { path: path.clone() }),
    }
    Ok(())
}

/// Everything below the package's own directories that is not removed anyway.
fn plan_purge(made: &[&RelPath], machine: &Machine, plan: &mut UninstallPlan) -> Result<(), Error> {
    let mut known: BTreeSet<RelPath> = made.iter().map(|path| (*path).clone()).collect();
    known.extend(plan.removals.iter().filter_map(|removal| match removal {
        Removal::File { path } | Removal::Restore { path, .. } => Some(path.clone()),
        _ => None,
    }));
    for path in made {
        let inside_another = made.iter().any(|other| other != path && path.starts_with(other));
        if !inside_another {
            purge_below(path, machine, &known, plan)?;
        }
    }
    plan.kept.clear();
    Ok(())
}

fn purge_below(
    directory: &RelPath,
    machine: &Machine,
    known: &BTreeSet<RelPath>,
    plan: &mut UninstallPlan,
) -> Result<(), Error> {
    for name in machine.root.names(directory)? {
        let unusual =
            || Error::new(Exit::UninstallIncomplete, format!("{directory} holds a name that cannot be used: {name:?}"));
        let path = directory.join(&name).map_err(|_| unusual())?;
        match machine.root.look(&path)? {
            Found::Directory(_) => {
                purge_below(&path, machine, known, plan)?;
                if !known.contains(&path) {
                    plan.removals.push(Removal::Directory { path });
                }
            }
            Found::Absent => {}
            _ if known.contains(&path) => {}
            _ => plan.removals.push(Removal::File { path }),
        }
    }
    Ok(())
}

/// Carries an uninstallation out.
///
/// # Errors
/// Exit code 32 when something was left; the receipt stays only if something of the package could not be removed.
pub fn apply(plan: &UninstallPlan, receipt: &Receipt, machine: &Machine, tell: &dyn Fn(&Removal)) -> Result<(), Error> {
    let mut left = plan.kept.clone();
    let mut occupied = BTreeSet::new();
    let mut failed = false;
    for removal in &plan.removals {
        if interrupt::requested() {
            return Err(Error::new(Exit::Interrupted, "interrupted".to_owned())
                .state("a part of the package is removed")
                .hint("run --uninstall again: it goes on where it stopped"));
        }
        if failed && *removal == Removal::State {
            continue;
        }
        tell(removal);
        let outcome = match removal {
            Removal::Directory { path } => remove_directory(path, machine, &mut occupied),
            other => carry_out(other, receipt, machine, &left),
        };
        if let Err(error) = outcome {
            failed |= !matches!(error, StepError::State(_));
            left.push(error.to_string());
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    if failed {
        let what = format!("not everything could be removed:\n  {}", left.join("\n  "));
        return Err(Error::new(Exit::UninstallIncomplete, what)
            .state("a part of the package is removed; the receipt is kept")
            .hint("see what is in the way, then run --uninstall again: it goes on where it stopped"));
    }
    Err(Error::new(Exit::UninstallIncomplete, format!("uninstalled, but something was left:\n  {}", left.join("\n  ")))
        .state("everything else of the package is removed")
        .hint("remove what is left by hand, if nobody needs it"))
}

/// Removes a directory. What keeps it is said once, not again for every directory above it.
fn remove_directory(path: &RelPath, machine: &Machine, occupied: &mut BTreeSet<RelPath>) -> Result<(), StepError> {
    match machine.root.remove_directory(path) {
        Err(error) if error.errno() == Some(Errno::ENOTEMPTY) => {}
        other => return Ok(other?),
    }
    occupied.insert(path.clone());
    let names = machine.root.names(path)?;
    let named_already = |name: &String| path.join(name).is_ok_and(|below| occupied.contains(&below));
    let unknown: Vec<String> =
        names.iter().filter(|name| !named_already(name)).map(|name| payload::printable(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(StepError::State(format!("{path}/ is not empty: {}", unknown.join(", "))))
}

fn carry_out(removal: &Removal, receipt: &Receipt, machine: &Machine, left: &[String]) -> Result<(), StepError> {
    let root = &machine.root;
    match removal {
        Removal::StopUnit { unit } => Ok(Tool::Systemctl.run(&["stop", unit]).map(drop)?),
        Removal::DisableUnit { unit } => Ok(Tool::Systemctl.run(&["disable", unit]).map(drop)?),
        Removal::File { path } => Ok(root.remove(path)?),
        Removal::Restore { path, backup } => Ok(root.rename(backup, path)?),
        Removal::Directory { path } => Ok(root.remove_directory(path)?),
        Removal::ReloadSystemd => Ok(Tool::Systemctl.run(&["daemon-reload"]).map(drop)?),
        // Files that stay must not end up with a number that the next account gets.
        Removal::User { name } if !left.is_empty() => {
            Err(StepError::State(format!("the user {name} stays, because files are left")))
        }
        Removal::Group { .. } if !left.is_empty() => Ok(()),
        Removal::User { name } => match account::user(root, name)? {
            Some(_) => machine.run(Tool::Userdel, &[name.as_str()]),
            None => Ok(()),
        },
        Removal::Group { name } => match account::group(root, name)? {
            Some(_) => machine.run(Tool::Groupdel, &[name.as_str()]),
            None => Ok(()),
        },
        Removal::State => Ok(state::remove_directory(root, &receipt.package, &receipt.made)?),
    }
}
