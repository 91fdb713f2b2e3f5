//! The steps of an installation: one closed set, and for each what it says, does and undoes, side by side.
//! Which steps a machine needs is decided in `plan.rs`; their order of writing to the journal in `apply/commit.rs`.

use payload::index::Role;
use payload::{AccountName, Digest, Mode, Owner, RelPath};

use crate::host::account;
use crate::host::machine::{Machine, StepError};
use crate::host::root::Found;
use crate::host::tool::Tool;
use crate::host::unit;

/// One change of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    CreateGroup {
        name: AccountName,
    },
    CreateUser {
        name: AccountName,
        group: AccountName,
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

/// A file that is put in place from its verified, staged copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceFile {
    pub path: RelPath,
    /// Where the verified copy waits, on the same file system.
    pub staged: RelPath,
    /// Position in the index's files.
    pub file: usize,
    pub digest: Digest,
    pub size: u64,
    pub mode: Mode,
    pub owner: Owner,
    pub role: Role,
    pub replaces: Replaces,
}

/// What a file takes the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaces {
    Nothing,
    /// A file that an earlier version of the package put there: kept until the installation is complete.
    Ours {
        backup: RelPath,
    },
    /// Somebody else's file, with `--replace`: kept until uninstallation puts it back.
    Foreign {
        backup: RelPath,
    },
}

/// Far below what fits on a command line, however long the paths are.
const PATHS_A_CALL: usize = 200;

impl Step {
    /// What the step does, in one line.
    pub fn describe(&self) -> String {
        match self {
            Self::CreateGroup { name } => format!("create group {name}"),
            Self::CreateUser { name, group, home } => {
                format!("create user {name} (system account, group {group}, home {home}, no login shell)")
            }
            Self::StopUnit { unit } => format!("stop {unit}"),
            Self::MakeDirectory { path, mode } => format!("make directory {path}/ (mode {mode})"),
            Self::PlaceFile(place) => place.describe(),
            Self::MakeHardLink { path, to, .. } => format!("link {path} to {to} (hard link, no second copy)"),
            Self::MakeSymbolicLink { path, target } => format!("link {path} to {target}"),
            Self::RemoveFile { path, .. } => format!("remove {path} (no longer in the package)"),
            Self::RemoveSymbolicLink { path, .. } => format!("remove the link {path} (no longer in the package)"),
            Self::SetOwner { path, mode, owner } => format!("set owner of {path}/ to {owner}, mode {mode}"),
            Self::RestoreLabels { paths } => format!("restore the SELinux labels of {} paths", paths.len()),
            Self::ReloadSystemd => "reload systemd".to_owned(),
            Self::EnableUnit { unit } => format!("enable {unit}"),
            Self::DisableUnit { unit } => format!("disable {unit}"),
            Self::StartUnit { unit } => format!("start {unit}"),
        }
    }

    /// Whether a service of the package must not run meanwhile, and sees the difference only after a new start.
    pub fn disturbs_services(&self) -> bool {
        match self {
            Self::PlaceFile(_)
            | Self::RemoveFile { .. }
            | Self::MakeHardLink { .. }
            | Self::MakeSymbolicLink { .. }
            | Self::RemoveSymbolicLink { .. } => true,
            Self::CreateGroup { .. }
            | Self::CreateUser { .. }
            | Self::StopUnit { .. }
            | Self::MakeDirectory { .. }
            | Self::SetOwner { .. }
            | Self::RestoreLabels { .. }
            | Self::ReloadSystemd
            | Self::EnableUnit { .. }
            | Self::DisableUnit { .. }
            | Self::StartUnit { .. } => false,
        }
    }

    /// The command line the step runs, if it runs one.
    pub fn command(&self, machine_root: &std::path::Path) -> Option<Vec<String>> {
        let (tool, arguments) = self.invocation(machine_root)?;
        let program = tool.find().map_or_else(|| tool.name().to_owned(), |path| path.display().to_string());
        Some(std::iter::once(program).chain(arguments).collect())
    }

    /// The step's name in JSON output.
    pub fn action(&self) -> &'static str {
        match self {
            Self::CreateGroup { .. } => "create-group",
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
            Self::ReloadSystemd => "reload-systemd",
            Self::EnableUnit { .. } => "enable-unit",
            Self::DisableUnit { .. } => "disable-unit",
            Self::StartUnit { .. } => "start-unit",
        }
    }

    fn invocation(&self, root: &std::path::Path) -> Option<(Tool, Vec<String>)> {
        let mut arguments = Vec::new();
        if root != std::path::Path::new("/") {
            arguments.extend(["--prefix".to_owned(), root.display().to_string()]);
        }
        let tool = match self {
            Self::CreateGroup { name } => {
                arguments.extend(["--system".to_owned(), name.to_string()]);
                Tool::Groupadd
            }
            Self::CreateUser { name, group, home } => {
                let home = home.to_string();
                let fixed = ["--system", "--gid", group.as_str(), "--home-dir", &home, "--no-create-home"];
                arguments.extend(fixed.map(str::to_owned));
                arguments.extend(["--shell", "/usr/sbin/nologin", name.as_str()].map(str::to_owned));
                Tool::Useradd
            }
            Self::StopUnit { unit } => return Some((Tool::Systemctl, words(&["stop", "--", unit]))),
            Self::RestoreLabels { paths } => return Some((Tool::Restorecon, restorecon(paths))),
            Self::ReloadSystemd => return Some((Tool::Systemctl, words(&["daemon-reload"]))),
            Self::EnableUnit { unit } => return Some((Tool::Systemctl, words(&["enable", "--", unit]))),
            Self::DisableUnit { unit } => return Some((Tool::Systemctl, words(&["disable", "--", unit]))),
            Self::StartUnit { unit } => return Some((Tool::Systemctl, words(&["start", "--", unit]))),
            _ => return None,
        };
        Some((tool, arguments))
    }

    /// Does it.
    pub fn apply(&self, machine: &Machine) -> Result<(), StepError> {
        let root = &machine.root;
        match self {
            Self::CreateGroup { .. }
            | Self::CreateUser { .. }
            | Self::StopUnit { .. }
            | Self::ReloadSystemd
            | Self::EnableUnit { .. }
            | Self::DisableUnit { .. } => self.run_tool(machine),
            Self::StartUnit { unit } => unit::start_and_watch(unit),
            Self::MakeDirectory { path, mode } => {
                root.make_directory(path)?;
                Ok(root.set_attributes(path, *mode, machine.ids(&Owner::root())?)?)
            }
            Self::PlaceFile(place) => place.apply(machine),
            Self::MakeHardLink { path, to, .. } => Ok(root.link(to, path)?),
            Self::MakeSymbolicLink { path, target } => Ok(root.make_link(target, path)?),
            Self::RemoveFile { path, digest, backup } => {
                if root.digest(path)? != *digest {
                    return Err(StepError::State(format!("{path} was changed while the installation ran")));
                }
                root.link(path, backup)?;
                Ok(root.remove(path)?)
            }
            Self::RemoveSymbolicLink { path, target } => match root.look(path)? {
                Found::Link { target: found } if found == *target => Ok(root.remove(path)?),
                _ => Err(StepError::State(format!("{path} was changed while the installation ran"))),
            },
            Self::SetOwner { path, mode, owner } => Ok(root.set_attributes(path, *mode, machine.ids(owner)?)?),
            Self::RestoreLabels { paths } => paths.chunks(PATHS_A_CALL).try_for_each(|paths| {
                let arguments = restorecon(paths);
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                Ok(Tool::Restorecon.run(&arguments).map(drop)?)
            }),
        }
    }

    /// Undoes it: also when it was only half done, or not at all. Doing this twice in a row is the same as once.
    pub fn undo(&self, machine: &Machine) -> Result<(), StepError> {
        let root = &machine.root;
        match self {
            Self::CreateGroup { name } => match account::group(root, name)? {
                Some(_) => machine.run(Tool::Groupdel, &[name.as_str()]),
                None => Ok(()),
            },
            Self::CreateUser { name, .. } => match account::user(root, name)? {
                Some(_) => machine.run(Tool::Userdel, &[name.as_str()]),
                None => Ok(()),
            },
            Self::StopUnit { unit } => Ok(unit::start(unit)?),
            Self::MakeDirectory { path, .. } => Ok(root.remove_directory(path)?),
            Self::PlaceFile(place) => place.undo(machine),
            Self::MakeHardLink { path, to, .. } => machine.remove_if_same(path, to),
            Self::MakeSymbolicLink { path, target } => match root.look(path)? {
                Found::Link { target: found } if found == *target => Ok(root.remove(path)?),
                _ => Ok(()),
            },
            Self::RemoveFile { path, backup, .. } => machine.put_back(backup, path),
            Self::RemoveSymbolicLink { path, target } => match root.look(path)? {
                Found::Absent => Ok(root.make_link(target, path)?),
                _ => Ok(()),
            },
            Self::SetOwner { path, mode, owner } => match root.look(path)? {
                Found::Directory(_) => {
                    let from = machine.ids(owner)?.map(|(uid, _)| uid);
                    Ok(root.take_back(path, *mode, machine.ids(&Owner::root())?, from)?)
                }
                _ => Ok(()),
            },
            // What got a label goes, and what was there before kept its own. Reloading again makes sense only when the
            // units are back as they were: see `apply/recover.rs`.
            Self::RestoreLabels { .. } | Self::ReloadSystemd => Ok(()),
            Self::EnableUnit { unit } => Ok(Tool::Systemctl.run(&["disable", "--", unit]).map(drop)?),
            Self::DisableUnit { unit } => Ok(Tool::Systemctl.run(&["enable", "--", unit]).map(drop)?),
            Self::StartUnit { unit } => Ok(unit::stop_if_up(unit)?),
        }
    }

    fn run_tool(&self, machine: &Machine) -> Result<(), StepError> {
        let Some((tool, arguments)) = self.invocation(machine.root.path()) else { return Ok(()) };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(tool.run(&arguments).map(drop)?)
    }
}

impl PlaceFile {
    fn describe(&self) -> String {
        let Self { path, size, mode, owner, .. } = self;
        let size = payload::size(*size);
        match &self.replaces {
            Replaces::Nothing => format!("place {path} ({size}, {owner}, mode {mode})"),
            Replaces::Ours { .. } => format!("update {path} ({size}, {owner}, mode {mode})"),
            Replaces::Foreign { backup } => format!("replace {path} ({size}, {owner}, mode {mode}), keeping {backup}"),
        }
    }

    fn apply(&self, machine: &Machine) -> Result<(), StepError> {
        machine.root.set_attributes(&self.staged, self.mode, machine.ids(&self.owner)?)?;
        match &self.replaces {
            Replaces::Nothing => Ok(machine.root.link(&self.staged, &self.path)?),
            Replaces::Ours { backup } | Replaces::Foreign { backup } => {
                machine.root.link(&self.path, backup)?;
                // rename(2) does nothing when both names are one file, so the staged name is given up for a second one.
                let fresh = machine.second_name(&self.staged)?;
                machine.root.link(&self.staged, &fresh)?;
                Ok(machine.root.rename(&fresh, &self.path)?)
            }
        }
    }

    fn undo(&self, machine: &Machine) -> Result<(), StepError> {
        match &self.replaces {
            Replaces::Nothing => machine.remove_if_same(&self.path, &self.staged),
            Replaces::Ours { backup } | Replaces::Foreign { backup } => {
                machine.second_name(&self.staged)?;
                machine.put_back(backup, &self.path)
            }
        }
    }
}

fn restorecon(paths: &[RelPath]) -> Vec<String> {
    words(&["--"]).into_iter().chain(paths.iter().map(ToString::to_string)).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
