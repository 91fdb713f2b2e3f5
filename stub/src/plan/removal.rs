//! The plan of an uninstallation: what the receipt says this package made, but nothing that somebody changed since.
//! It is carried out in `apply/uninstall.rs`.

mod purge;
mod standing;

use std::collections::BTreeSet;
use std::sync::Mutex;

use payload::index::PackageName;
use payload::{Digest, RelPath};

use crate::error::Error;
use crate::host::account::MadeAccount;
use crate::host::interrupt;
use crate::host::machine::Machine;
use crate::host::models::{self, StoreManifest};
use crate::host::root::{Found, FsError};
use crate::host::unit::{Enabler, Manager, UnitState};
use crate::record::others::Others;
use crate::record::receipt::{Origin, Receipt};
use standing::Standing;

/// One thing uninstallation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    StopUnit {
        unit: String,
    },
    DisableUnit {
        unit: String,
    },
    /// `seen` is what the plan saw there: anything else is somebody else's.
    File {
        path: RelPath,
        seen: Found,
    },
    /// Puts the file back that was replaced: `aside` is what the plan saw at `backup`.
    Restore {
        path: RelPath,
        backup: RelPath,
        seen: Found,
        aside: Found,
    },
    Directory {
        path: RelPath,
    },
    /// Removes what has a name in this directory that no path of a package can have.
    UnusualNames {
        directory: RelPath,
    },
    ReloadSystemd,
    User(MadeAccount),
    Group(MadeAccount),
    /// What another package needs becomes that package's.
    HandOver(Box<Receipt>),
    State,
}

/// What uninstallation will do, and what it leaves.
#[derive(Debug, Default)]
pub struct UninstallPlan {
    pub removals: Vec<Removal>,
    pub kept: Vec<Remainder>,
    /// What should be put back, and is gone.
    pub gone: Vec<Remainder>,
    /// What stays because another installed package, or a model of somebody else, needs it.
    pub needed: Vec<Needed>,
    /// Models of somebody else that go with the package's directories.
    pub models_of_others: Vec<String>,
}

/// Something that somebody else needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// A path, a unit, a user or a group.
    pub what: String,
    /// Who needs it: packages, and models that this package did not bring.
    pub by: Vec<String>,
}

/// Something that stays, and why.
#[derive(Debug, Clone)]
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
            Self::User(_) => "remove-user",
            Self::Group(_) => "remove-group",
            Self::HandOver(_) => "hand-over",
            Self::State => "remove-receipt",
        }
    }

    /// What it does, in one line.
    pub fn describe(&self) -> String {
        match self {
            Self::StopUnit { unit } => format!("stop {unit}"),
            Self::DisableUnit { unit } => format!("disable {unit}"),
            Self::File { path, .. } => format!("remove {path}"),
            Self::Restore { path, backup, .. } => format!("put {backup} back as {path}"),
            Self::Directory { path } => format!("remove directory {path}/"),
            Self::UnusualNames { directory } => format!("remove everything with an unusual name in {directory}/"),
            Self::ReloadSystemd => "reload systemd".to_owned(),
            Self::User(user) => format!("remove user {}", user.name),
            Self::Group(group) => format!("remove group {}", group.name),
            Self::HandOver(to) => format!("hand over to {} what it needs", to.package),
            Self::State => "remove the receipt".to_owned(),
        }
    }
}

/// Plans an uninstallation. With `purge`, what was created later below the package's own directories goes too, and what
/// somebody changed. What `others` need stays, and becomes theirs.
pub fn plan(
    receipt: &Receipt,
    others: &Others,
    machine: &Machine,
    systemd: Option<Manager>,
    purge: bool,
) -> Result<UninstallPlan, Error> {
    let mut plan = UninstallPlan::default();
    let standing = Standing::look(receipt, machine)?;
    let heirs = others.heirs(receipt).into_iter();
    plan.removals.extend(heirs.map(|heir| Removal::HandOver(Box::new(heir))));
    let models = plan.models(receipt, others, &standing, machine, purge)?;
    for unit in &receipt.units {
        if !plan.goes(unit, &others.that_have_unit(unit)) {
            continue;
        }
        match (systemd, Enabler::of(&machine.root)) {
            (Some(manager), _) => plan.unit(unit, manager),
            (None, Some(enabler)) if enabler.look(unit).is_ok_and(|state| state.is_enabled()) => {
                plan.removals.push(Removal::DisableUnit { unit: unit.clone() });
            }
            _ => {}
        }
    }
    for link in receipt.links.iter().rev() {
        if plan.is_ours_alone(&link.path, &link.origin, others) && plan.is_no_models(&link.path, &models) {
            plan_entry(
                &link.path,
                &link.origin,
                standing.link_is_unchanged(link, receipt),
                &standing,
                machine,
                purge,
                &mut plan,
            );
        }
    }
    for file in receipt.files.iter().rev() {
        if plan.is_ours_alone(&file.path, &file.origin, others) && plan.is_no_models(&file.path, &models) {
            plan_entry(
                &file.path,
                &file.origin,
                standing.file_is_unchanged(file),
                &standing,
                machine,
                purge,
                &mut plan,
            );
        }
    }
    let made = receipt.directories.iter().filter(|entry| plan.is_ours_alone(&entry.path, &entry.origin, others));
    let mut made: Vec<&RelPath> = made.map(|entry| &entry.path).collect();
    // Parents before children, whichever version of the package made them.
    made.sort();
    if purge {
        purge::plan(&made, machine, &mut plan)?;
    }
    plan.removals.extend(made.iter().rev().map(|path| Removal::Directory { path: (*path).clone() }));
    if systemd.is_some() {
        plan.removals.push(Removal::ReloadSystemd);
    }
    plan.accounts(receipt, others);
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
        let (mut gone, mut stays, mut unusual) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut remainders: Vec<Remainder> = self.kept.iter().chain(&self.gone).cloned().collect();
        for removal in &self.removals {
            let path = match removal {
                Removal::File { path, .. } => path,
                Removal::Restore { backup, .. } => backup,
                Removal::Directory { path } => {
                    let is_in =
                        |set: &BTreeSet<RelPath>, name: &String| path.join(name).is_ok_and(|at| set.contains(&at));
                    let names = if unusual.contains(path) {
                        machine.root.names_but_unusual(path)?
                    } else {
                        machine.root.names(path)?
                    };
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
                Removal::UnusualNames { directory } => {
                    unusual.insert(directory);
                    continue;
                }
                _ => continue,
            };
            gone.insert(path.clone());
        }
        Ok(remainders)
    }

    fn accounts(&mut self, receipt: &Receipt, others: &Others) {
        if let Some(user) = &receipt.user
            && self.goes(&format!("user {}", user.name), &others.that_use_user(&user.name))
        {
            self.removals.push(Removal::User(user.clone()));
        }
        if let Some(group) = &receipt.group
            && self.goes(&format!("group {}", group.name), &others.that_use_group(&group.name))
        {
            self.removals.push(Removal::Group(group.clone()));
        }
    }

    /// Whether this package made what is at `path`, and no other needs it.
    fn is_ours_alone(&mut self, path: &RelPath, origin: &Origin, others: &Others) -> bool {
        *origin != Origin::AlreadyPresent && self.goes(path, &others.that_have(path))
    }

    /// Whether something goes: not what other packages need, which is noted.
    fn goes(&mut self, what: &impl ToString, by: &[&PackageName]) -> bool {
        if by.is_empty() {
            return true;
        }
        self.needed.push(Needed { what: what.to_string(), by: by.iter().map(ToString::to_string).collect() });
        false
    }

    /// The manifests that are in the package's stores after it has gone.
    fn models(
        &mut self,
        receipt: &Receipt,
        others: &Others,
        standing: &Standing,
        machine: &Machine,
        purge: bool,
    ) -> Result<Vec<StoreManifest>, FsError> {
        let purged = |path: &RelPath| {
            let directories = receipt.directories.iter().filter(|entry| entry.origin != Origin::AlreadyPresent);
            let mut alone = directories.filter(|entry| others.that_have(&entry.path).is_empty());
            purge && alone.any(|entry| path.starts_with(&entry.path))
        };
        let mut stay = Vec::new();
        for store in receipt.stores() {
            for manifest in models::manifests(&machine.root, &store)? {
                let recorded = receipt.file(&manifest.path).filter(|file| file.origin != Origin::AlreadyPresent);
                let goes = match recorded {
                    Some(file) => {
                        others.that_have(&file.path).is_empty() && (purge || standing.file_is_unchanged(file)?)
                    }
                    None if purged(&manifest.path) => {
                        self.models_of_others.push(manifest.model.clone());
                        true
                    }
                    None => false,
                };
                if !goes {
                    stay.push(manifest);
                }
            }
        }
        Ok(stay)
    }

    /// Whether none of the models that stay needs what is at `path`.
    fn is_no_models(&mut self, path: &RelPath, models: &[StoreManifest]) -> bool {
        let by = models.iter().filter(|manifest| manifest.needs(path));
        let by: Vec<String> = by.map(|manifest| format!("the model {}", manifest.model)).collect();
        if by.is_empty() {
            return true;
        }
        self.needed.push(Needed { what: path.to_string(), by });
        false
    }

    /// An earlier attempt may have removed the unit's file already: systemd is only asked for what it can do.
    fn unit(&mut self, unit: &str, manager: Manager) {
        let state = manager.look(unit);
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

/// Plans the removal of a file or link, or that what it took the place of is put back.
fn plan_entry(
    path: &RelPath,
    origin: &Origin,
    unchanged: Result<bool, FsError>,
    standing: &Standing,
    machine: &Machine,
    purge: bool,
    plan: &mut UninstallPlan,
) {
    // What cannot be looked at is kept, with the reason.
    let seen = standing.found(path).cloned().unwrap_or(Found::Hidden);
    let removal = match origin {
        Origin::Replaced { backup, digest } => match set_aside(path, backup, *digest, machine) {
            Ok(Aside::PutBack) => return,
            Ok(Aside::Kept(aside)) => {
                if matches!(unchanged, Ok(false)) && !purge {
                    let why = format!("{path} was changed since it was installed; what was there before is {backup}");
                    return plan.kept.push(Remainder { path: path.clone(), why });
                }
                Removal::Restore { path: path.clone(), backup: backup.clone(), seen, aside }
            }
            Ok(Aside::Gone) => {
                let why = format!("{backup} is gone: what was at {path} before cannot be put back");
                plan.gone.push(Remainder { path: backup.clone(), why });
                Removal::File { path: path.clone(), seen }
            }
            Ok(Aside::Foreign) => {
                let why = format!("{backup} is no longer the backup of {path}: it stays");
                plan.kept.push(Remainder { path: backup.clone(), why });
                Removal::File { path: path.clone(), seen }
            }
            Err(error) => return plan.kept.push(Remainder { path: backup.clone(), why: error.to_string() }),
        },
        Origin::Created | Origin::AlreadyPresent => Removal::File { path: path.clone(), seen },
    };
    plan.entry(path, unchanged.map(|unchanged| !unchanged && !purge), removal);
}

/// What became of a file that was set aside.
enum Aside {
    Kept(Found),
    /// An uninstallation that was interrupted has put it back already.
    PutBack,
    Gone,
    /// Something else has its name.
    Foreign,
}

fn set_aside(path: &RelPath, backup: &RelPath, digest: Digest, machine: &Machine) -> Result<Aside, FsError> {
    let holds =
        |path: &RelPath| Ok(machine.root.digest_in_turn(path, &Mutex::default(), interrupt::requested)? == digest);
    Ok(match machine.root.look(backup)? {
        found @ Found::File(_) if holds(backup)? => Aside::Kept(found),
        Found::Absent => match machine.root.look(path)? {
            Found::File(_) if holds(path)? => Aside::PutBack,
            _ => Aside::Gone,
        },
        _ => Aside::Foreign,
    })
}
