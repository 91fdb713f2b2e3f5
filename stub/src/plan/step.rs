//! The steps of an installation: one closed set, and for each what it says, does and undoes, side by side.
//! Which steps a machine needs is decided in `plan.rs`; their order of writing to the journal in `apply/commit.rs`.

mod hard_link;
mod invocation;
mod place_file;
mod units;

use nix::errno::Errno;
use payload::index::Role;
use payload::{AccountName, Digest, Mode, Owner, RelPath};

pub use hard_link::LinkSource;
pub use place_file::{PlaceFile, Replaces};

use self::units::{ask, still};
use crate::host::account::MadeAccount;
use crate::host::machine::{Machine, StepError, Undone};
use crate::host::root::{Attributes, Found, FsError, Root};
use crate::host::unit::Enabler;

/// One change of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    CreateGroup(MadeAccount),
    CreateUser {
        user: MadeAccount,
        group: AccountName,
        groups: Vec<AccountName>,
        home: RelPath,
    },
    StopUnit {
        unit: String,
    },
    MakeDirectory {
        path: RelPath,
        mode: Mode,
    },
    PlaceFile(PlaceFile),
    MakeHardLink {
        path: RelPath,
        to: RelPath,
        source: LinkSource,
        size: u64,
    },
    MakeSymbolicLink {
        path: RelPath,
        target: String,
    },
    RemoveFile {
        path: RelPath,
        digest: Digest,
        backup: RelPath,
    },
    RemoveSymbolicLink {
        path: RelPath,
        target: String,
    },
    SetOwner {
        path: RelPath,
        mode: Mode,
        owner: Owner,
    },
    /// Gives everything new the SELinux label that the machine's policy has for it.
    RestoreLabels {
        paths: Vec<RelPath>,
    },
    /// The copy of the installer that stays on the machine is not there, or does not run.
    KeepInstaller {
        path: RelPath,
    },
    ReloadSystemd,
    EnableUnit {
        unit: String,
    },
    DisableUnit {
        unit: String,
    },
    StartUnit {
        unit: String,
    },
}

/// The old version of a file, kept until the installation is complete, or beside the new one.
#[derive(Debug, Clone, Copy)]
pub struct OldVersion<'a> {
    pub path: &'a RelPath,
    pub backup: &'a RelPath,
    /// What it held when the plan was made.
    pub digest: Digest,
    pub seen: Option<Attributes>,
}

/// Far below what fits on a command line, however long the paths are.
const PATHS_A_CALL: usize = 200;

impl Step {
    /// What the step does, in one line.
    pub fn describe(&self) -> String {
        match self {
            Self::CreateGroup(MadeAccount { name, id }) => format!("create group {name} (gid {id})"),
            Self::CreateUser { user: MadeAccount { name, id }, group, groups, home } => {
                let groups = groups.iter().map(|group| format!(", also {group}")).collect::<Vec<_>>().concat();
                format!(
                    "create user {name} (uid {id}, system account, group {group}{groups}, home {home}, no login shell)"
                )
            }
            Self::StopUnit { unit } => format!("stop {unit}"),
            Self::MakeDirectory { path, mode } => format!("make directory {path}/ (mode {mode})"),
            Self::PlaceFile(place) => place.describe(),
            Self::MakeHardLink { path, to, .. } => format!("link {path} to {to} (hard link, no second copy)"),
            Self::MakeSymbolicLink { path, target } => format!("link {path} to {target}"),
            Self::RemoveFile { path, backup, .. } if path.parent() == backup.parent() => {
                format!("move {path} to {backup}")
            }
            Self::RemoveFile { path, .. } => format!("remove the old {path}"),
            Self::RemoveSymbolicLink { path, .. } => format!("remove the link {path} (no longer in the package)"),
            Self::SetOwner { path, mode, owner } => format!("set owner of {path}/ to {owner}, mode {mode}"),
            Self::RestoreLabels { paths } => format!("restore the SELinux labels of {} paths", paths.len()),
            Self::KeepInstaller { path } => format!("keep the installer as {path} again"),
            Self::ReloadSystemd => "reload systemd".to_owned(),
            Self::EnableUnit { unit } => format!("enable {unit}"),
            Self::DisableUnit { unit } => format!("disable {unit}"),
            Self::StartUnit { unit } => format!("start {unit}"),
        }
    }

    /// Whether a service of the package must not run meanwhile, and sees the difference only after a new start.
    pub fn disturbs_services(&self) -> bool {
        match self {
            Self::PlaceFile(place) => place.role != Role::Installer,
            Self::RemoveFile { .. }
            | Self::MakeHardLink { .. }
            | Self::MakeSymbolicLink { .. }
            | Self::RemoveSymbolicLink { .. } => true,
            Self::CreateGroup(_)
            | Self::CreateUser { .. }
            | Self::StopUnit { .. }
            | Self::MakeDirectory { .. }
            | Self::SetOwner { .. }
            | Self::RestoreLabels { .. }
            | Self::KeepInstaller { .. }
            | Self::ReloadSystemd
            | Self::EnableUnit { .. }
            | Self::DisableUnit { .. }
            | Self::StartUnit { .. } => false,
        }
    }

    /// The step's name in JSON output.
    pub fn action(&self) -> &'static str {
        match self {
            Self::CreateGroup(_) => "create-group",
            Self::CreateUser { .. } => "create-user",
            Self::StopUnit { .. } => "stop-unit",
            Self::MakeDirectory { .. } => "make-directory",
            Self::PlaceFile(_) => "place-file",
            Self::MakeHardLink { .. } => "make-hard-link",
            Self::MakeSymbolicLink { .. } => "make-symbolic-link",
            Self::RemoveFile { .. } => "remove-file",
            Self::RemoveSymbolicLink { .. } => "remove-symbolic-link",
            Self::SetOwner { .. } => "set-owner",
            Self::RestoreLabels { .. } => "restore-labels",
            Self::KeepInstaller { .. } => "keep-installer",
            Self::ReloadSystemd => "reload-systemd",
            Self::EnableUnit { .. } => "enable-unit",
            Self::DisableUnit { .. } => "disable-unit",
            Self::StartUnit { .. } => "start-unit",
        }
    }

    /// Does it. What it made is on the disk then, but for the name of a file beside which `next` places another: when `next`
    /// is done, both are.
    pub fn apply_before(&self, next: Option<&Self>, machine: &Machine) -> Result<(), StepError> {
        match (self, next) {
            (Self::PlaceFile(place), Some(Self::PlaceFile(next))) => place.apply(Some(next), machine),
            _ => self.apply(machine),
        }
    }

    /// Does it, and waits until that is on the disk.
    pub fn apply(&self, machine: &Machine) -> Result<(), StepError> {
        let root = &machine.root;
        match self {
            Self::CreateGroup(_) | Self::CreateUser { .. } => self.run_account_tool(machine),
            Self::StopUnit { unit } => ask(root, |manager| {
                still(manager.look(unit)?.is_up(), unit, "stopped")?;
                Ok(manager.stop(unit)?)
            }),
            // Every installation that completes leaves it there: a journal and a receipt need a program that reads them.
            Self::KeepInstaller { .. } => Ok(()),
            Self::ReloadSystemd => ask(root, |manager| Ok(manager.reload()?)),
            Self::EnableUnit { unit } => Enabler::of(root).map_or(Ok(()), |enabler| {
                still(enabler.look(unit)?.enabled != "enabled", unit, "enabled")?;
                Ok(enabler.enable(unit)?)
            }),
            Self::DisableUnit { unit } => Enabler::of(root).map_or(Ok(()), |enabler| {
                still(enabler.look(unit)?.is_enabled(), unit, "disabled")?;
                Ok(enabler.disable(unit)?)
            }),
            Self::StartUnit { unit } => ask(root, |manager| manager.start_and_watch(unit)),
            Self::MakeDirectory { path, mode } => {
                root.make_directory(path)?;
                Ok(root.set_attributes(path, *mode, machine.ids(&Owner::root())?)?)
            }
            Self::PlaceFile(place) => place.apply(None, machine),
            Self::MakeHardLink { path, to, source, .. } => source.link(path, to, machine),
            Self::MakeSymbolicLink { path, target } => Ok(root.make_link(target, path)?),
            Self::RemoveFile { path, digest, backup } => {
                let seen = root.look(path)?;
                if root.digest(path)? != *digest {
                    return Err(changed_meanwhile(path));
                }
                root.move_to_free(path, backup)?;
                if root.look(backup)?.is_same(&seen) {
                    return Ok(());
                }
                root.move_to_free(backup, path)?;
                Err(changed_meanwhile(path))
            }
            Self::RemoveSymbolicLink { path, target } => {
                let seen = Found::Link { target: target.clone() };
                if machine.take_away(path, &seen)? { Ok(()) } else { Err(changed_meanwhile(path)) }
            }
            Self::SetOwner { path, mode, owner } => Ok(root.set_attributes(path, *mode, machine.ids(owner)?)?),
            Self::RestoreLabels { paths } => paths.chunks(PATHS_A_CALL).try_for_each(|paths| {
                let arguments = invocation::restorecon(paths);
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                machine.restore_labels(&arguments)
            }),
        }
    }

    /// Somebody else's file that is kept beside the one that took its place.
    pub fn set_aside(&self) -> Option<OldVersion<'_>> {
        match self {
            Self::PlaceFile(PlaceFile { path, replaces: Replaces::Foreign { backup, digest, seen }, .. }) => {
                Some(OldVersion { path, backup, digest: *digest, seen: *seen })
            }
            Self::RemoveFile { path, digest, backup } if path.parent() == backup.parent() => {
                Some(OldVersion { path, backup, digest: *digest, seen: None })
            }
            _ => None,
        }
    }

    /// The old version of a file that is thrown away when the installation is complete.
    pub fn old_version(&self) -> Option<OldVersion<'_>> {
        match self {
            Self::PlaceFile(PlaceFile { path, replaces: Replaces::Ours { backup, digest, seen }, .. }) => {
                Some(OldVersion { path, backup, digest: *digest, seen: *seen })
            }
            Self::RemoveFile { path, digest, backup } if path.parent() != backup.parent() => {
                Some(OldVersion { path, backup, digest: *digest, seen: None })
            }
            _ => None,
        }
    }

    /// Whether it failed because what it makes was there already, made by somebody else since the plan.
    pub fn was_done_by_others(&self, error: &StepError) -> bool {
        match (self, error) {
            (_, StepError::DoneByOthers(_)) => true,
            (Self::MakeDirectory { .. }, StepError::Fs(error)) => error.errno() == Some(Errno::EEXIST),
            // E_NAME_IN_USE, and E_GID_IN_USE or E_UID_IN_USE, of groupadd(8) and useradd(8).
            (Self::CreateGroup(_) | Self::CreateUser { .. }, StepError::Tool(error)) => {
                matches!(error.code, Some(4 | 9))
            }
            _ => false,
        }
    }

    /// Whether the installation goes on when somebody else has done it: whoever enabled a unit, it is enabled.
    pub fn may_be_done_by_others(&self) -> bool {
        matches!(self, Self::EnableUnit { .. } | Self::DisableUnit { .. })
    }

    /// Undoes it: also when it was only half done, or not at all. Doing this twice in a row is the same as once. What
    /// somebody else changed meanwhile stays, and is named.
    pub fn undo(&self, machine: &Machine) -> Result<Undone, StepError> {
        let root = &machine.root;
        if self.is_about_units() {
            return Ok(self.undo_unit(root));
        }
        let undone = |outcome: Result<(), StepError>| outcome.map(|()| Undone::Clean);
        match self {
            Self::CreateGroup(group) => machine.undo_group(group),
            Self::CreateUser { user, home, .. } => machine.undo_user(user, home),
            Self::MakeDirectory { path, .. } => undo_directory(path, machine),
            Self::PlaceFile(place) => place.undo(machine),
            Self::MakeHardLink { path, to, source, .. } => {
                undone(machine.remove_if_same(path, source.name(to)))?;
                Ok(kept_if_there(path, root)?)
            }
            Self::MakeSymbolicLink { path, target } => match root.look(path)? {
                Found::Link { target: found } if found == *target => {
                    root.remove(path)?;
                    Ok(Undone::Clean)
                }
                _ => Ok(kept_if_there(path, root)?),
            },
            Self::RemoveFile { path, digest, backup } => {
                // Beside the file anybody may have changed it; in the staging directory only who had it open.
                let holds = (path.parent() == backup.parent()).then_some(*digest);
                machine.put_back(backup, path, holds, |_| Ok(false))
            }
            Self::RemoveSymbolicLink { path, target } => {
                machine.bring_back(path)?;
                match root.look(path)? {
                    Found::Absent => {
                        root.make_link(target, path)?;
                        Ok(Undone::Clean)
                    }
                    Found::Link { target: found } if found == *target => Ok(Undone::Clean),
                    _ => Ok(kept_if_there(path, root)?),
                }
            }
            Self::SetOwner { path, mode, owner } => match root.look(path)? {
                Found::Directory(_) => {
                    // An account that somebody removed meanwhile owns nothing that could be taken back from it.
                    let Some(from) = machine.ids_if_there(owner)? else { return Ok(Undone::Clean) };
                    let from = from.map(|(uid, _)| uid);
                    match root.take_back(path, *mode, machine.ids(&Owner::root())?, from) {
                        Err(error) if error.is_foreign() => Ok(Undone::changed(path)),
                        other => undone(other.map_err(StepError::from)),
                    }
                }
                _ => Ok(Undone::Clean),
            },
            // What got a label goes, and what was there before kept its own.
            _ => Ok(Undone::Clean),
        }
    }

    fn run_account_tool(&self, machine: &Machine) -> Result<(), StepError> {
        let Some((tool, arguments)) = self.invocation() else { return Ok(()) };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        machine.run(tool, &arguments)
    }
}

/// Removes a directory that was made. What somebody put into it keeps it.
fn undo_directory(path: &RelPath, machine: &Machine) -> Result<Undone, StepError> {
    match machine.root.remove_directory(path) {
        Err(error) if matches!(error.errno(), Some(Errno::ENOTEMPTY | Errno::EEXIST)) => {
            Ok(Undone::Kept(format!("{path}/ stays: there is something in it")))
        }
        Err(error) if error.errno() == Some(Errno::ENOTDIR) => Ok(Undone::changed(path)),
        other => Ok(other.map(|()| Undone::Clean)?),
    }
}

fn changed_meanwhile(path: &RelPath) -> StepError {
    StepError::State(format!("{path} was changed while the installation ran"))
}

/// What stands at the path of something that was made is not what was made.
fn kept_if_there(path: &RelPath, root: &Root) -> Result<Undone, FsError> {
    Ok(if root.look(path)? == Found::Absent { Undone::Clean } else { Undone::changed(path) })
}
