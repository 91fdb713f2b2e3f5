//! The plan of an uninstallation: what the receipt says this package made, but nothing that somebody changed since.
//! It is carried out in `apply/uninstall.rs`.

mod purge;

use std::collections::BTreeSet;

use payload::RelPath;

use crate::error::Error;
use crate::host::interrupt;
use crate::host::machine::Machine;
use crate::host::root::{Found, FsError};
use crate::host::unit::{self, UnitState};
use crate::record::receipt::{FileEntry, LinkEntry, LinkTarget, Origin, Receipt};

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
    /// Removes what has a name in this directory that no path of a package can have.
    UnusualNames {
        directory: RelPath,
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
    pub kept: Vec<Remainder>,
}

/// Something of the package that stays, and why.
#[derive(Debug)]
pub struct Remainder {
    pub path: RelPath,
    pub why: String,
}

impl Removal {
    /// Its name in JSON output.
    pub fn action(&self) -> &'static str {
        match self {
            Self::StopUnit { .. } => "stop-unit",
            Self::DisableUnit { .. } => "disable-unit",
            Self::File { .. } => "remove-file",
            Self::Restore { .. } => "restore-file",
            Self::Directory { .. } => "remove-directory",
            Self::UnusualNames { .. } => "remove-unusual-names",
            Self::ReloadSystemd => "reload-systemd",
            Self::User { .. } => "remove-user",
            Self::Group { .. } => "remove-group",
            Self::State => "remove-receipt",
        }
    }

    /// What it does, in one line.
    pub fn describe(&self) -> String {
        match self {
            Self::StopUnit { unit } => format!("stop {unit}"),
            Self::DisableUnit { unit } => format!("disable {unit}"),
            Self::File { path } => format!("remove {path}"),
            Self::Restore { path, backup } => format!("put {backup} back as {path}"),
            Self::Directory { path } => format!("remove directory {path}/"),
            Self::UnusualNames { directory } => format!("remove everything with an unusual name in {directory}/"),
            Self::ReloadSystemd => "reload systemd".to_owned(),
            Self::User { name } => format!("remove user {name}"),
            Self::Group { name } => format!("remove group {name}"),
            Self::State => "remove the receipt".to_owned(),
        }
    }
}

/// Plans an uninstallation. With `purge`, what was created later below the package's own directories goes too, and what
/// somebody changed.
pub fn plan(receipt: &Receipt, machine: &Machine, systemd: bool, purge: bool) -> Result<UninstallPlan, Error> {
    let mut plan = UninstallPlan::default();
    if systemd {
        receipt.units.iter().for_each(|unit| plan.unit(unit));
    }
    for link in receipt.links.iter().rev().filter(|link| link.origin != Origin::AlreadyPresent) {
        plan_entry(&link.path, &link.origin, link_is_unchanged(link, receipt, machine), machine, purge, &mut plan);
    }
    for file in receipt.files.iter().rev().filter(|file| file.origin != Origin::AlreadyPresent) {
        plan_entry(&file.path, &file.origin, file_is_unchanged(file, machine), machine, purge, &mut plan);
    }
    let made = receipt.directories.iter().filter(|entry| entry.origin == Origin::Created).map(|entry| &entry.path);
    let mut made: Vec<&RelPath> = made.collect();
    // Parents before children, whichever version of the package made them.
    made.sort();
    if purge {
        purge::plan(&made, machine, &mut plan)?;
    }
    plan.removals.extend(made.iter().rev().map(|path| Removal::Directory { path: (*path).clone() }));
    if systemd {
        plan.removals.push(Removal::ReloadSystemd);
    }
    plan.removals.extend(receipt.user.iter().map(|name| Removal::User { name: name.clone() }));
    plan.removals.extend(receipt.group.iter().map(|name| Removal::Group { name: name.clone() }));
    plan.removals.push(Removal::State);
    // What was not compared to its end would look like something that was changed.
    if interrupt::requested() { Err(Error::interrupted()) } else { Ok(plan) }
}

impl UninstallPlan {
    /// What would stay if this were carried out now: what was changed, and directories with something of others in them.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn remainders(&self, machine: &Machine) -> Result<Vec<Remainder>, FsError> {
        let (mut gone, mut stays) = (BTreeSet::new(), BTreeSet::new());
        let changed = self.kept.iter().map(|kept| Remainder { path: kept.path.clone(), why: kept.why.clone() });
        let mut remainders: Vec<Remainder> = changed.collect();
        for removal in &self.removals {
            let path = match removal {
                Removal::File { path } => path,
                Removal::Restore { backup, .. } => backup,
                Removal::Directory { path } => {
                    let is_in =
                        |set: &BTreeSet<RelPath>, name: &String| path.join(name).is_ok_and(|at| set.contains(&at));
                    let names = machine.root.names(path)?;
                    let left: Vec<&String> = names.iter().filter(|name| !is_in(&gone, name)).collect();
                    if !left.is_empty() {
                        // What keeps it is said once, not again for every directory above it.
                        let others = left.iter().filter(|name| !is_in(&stays, name));
                        let others: Vec<String> = others.map(|name| payload::printable(name)).collect();
                        if !others.is_empty() {
                            let why = format!("{path}/ is not empty: {}", others.join(", "));
                            remainders.push(Remainder { path: path.clone(), why });
                        }
                        stays.insert(path.clone());
                        continue;
                    }
                    path
                }
                _ => continue,
            };
            gone.insert(path.clone());
        }
        Ok(remainders)
    }

    /// An earlier attempt may have removed the unit's file already: systemd is only asked for what it can do.
    fn unit(&mut self, unit: &str) {
        let state = unit::look(unit);
        if state.as_ref().map_or(true, UnitState::is_up) {
            self.removals.push(Removal::StopUnit { unit: unit.to_owned() });
        }
        if state.as_ref().map_or(true, UnitState::is_enabled) {
            self.removals.push(Removal::DisableUnit { unit: unit.to_owned() });
        }
    }

    /// `changed` fails where nobody can tell: somebody made a link or another kind of file out of a directory above.
    fn entry(&mut self, path: &RelPath, changed: Result<bool, FsError>, removal: Removal) {
        let why = match changed {
            Ok(false) => return self.removals.push(removal),
            Ok(true) => format!("{path} was changed since it was installed"),
            Err(error) => error.to_string(),
        };
        self.kept.push(Remainder { path: path.clone(), why });
    }
}

fn link_is_unchanged(link: &LinkEntry, receipt: &Receipt, machine: &Machine) -> Result<bool, FsError> {
    Ok(match (&link.target, machine.root.look(&link.path)?) {
        (_, Found::Absent) => true,
        (LinkTarget::Symbolic(target), Found::Link { target: found }) => found == *target,
        (LinkTarget::Hard(to), Found::File(facts)) => match (machine.root.look(to)?, receipt.file(to)) {
            (Found::File(other), _) if (other.device, other.inode) == (facts.device, facts.inode) => true,
            (_, Some(recorded)) => {
                facts.size == recorded.size
                    && machine.root.digest_unless(&link.path, interrupt::requested)? == recorded.digest
            }
            _ => false,
        },
        _ => false,
    })
}

fn file_is_unchanged(file: &FileEntry, machine: &Machine) -> Result<bool, FsError> {
    Ok(match machine.root.look(&file.path)? {
        Found::Absent => true,
        Found::File(facts) => {
            facts.size == file.size && machine.root.digest_unless(&file.path, interrupt::requested)? == file.digest
        }
        _ => false,
    })
}

/// Plans the removal of a file or link, or that what it took the place of is put back.
fn plan_entry(
    path: &RelPath,
    origin: &Origin,
    unchanged: Result<bool, FsError>,
    machine: &Machine,
    purge: bool,
    plan: &mut UninstallPlan,
) {
    let removal = match origin {
        Origin::Replaced { backup } => match machine.root.look(backup) {
            // An uninstallation that was interrupted has put it back already.
            Ok(Found::Absent) if matches!(unchanged, Ok(false)) => return,
            Ok(Found::Absent) => Removal::File { path: path.clone() },
            _ => Removal::Restore { path: path.clone(), backup: backup.clone() },
        },
        Origin::Created | Origin::AlreadyPresent => Removal::File { path: path.clone() },
    };
    plan.entry(path, unchanged.map(|unchanged| !unchanged && !purge), removal);
}
