//! The plan: which steps bring this machine to what the index says. Pure: it looks at nothing but its arguments.
//! Whether the steps may be taken is decided in `preflight.rs`.

use std::collections::BTreeMap;

use payload::index::{File, Index, Link, LinkKind, Role};
use payload::{Owner, RelPath};

use crate::host::root::{Attributes, Found};
use crate::host::tool::Tool;
use crate::plan::facts::{Existing, Host, Systemd};
use crate::plan::step::{Over, PlaceFile, Step};
use crate::record::receipt::{Origin, Receipt};
use crate::record::state;

/// What the administrator asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub enable: bool,
    pub start: bool,
    pub replace: bool,
}

/// What will be done, and what was found.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// In order. They succeed together or are undone together.
    pub steps: Vec<Step>,
    /// After the installation is complete: they are reported, but not undone.
    pub afterwards: Vec<Step>,
    /// Directories that hold verified copies while the steps run.
    pub areas: Vec<RelPath>,
    /// Paths that already are as the package wants them.
    pub unchanged: Vec<RelPath>,
    pub conflicts: Vec<Conflict>,
    /// Worth knowing, and no obstacle.
    pub notes: Vec<String>,
    /// What will be written, by the device number of the file system.
    pub space: BTreeMap<u64, Space>,
    /// Where each path of the package comes from, for the receipt.
    pub origins: BTreeMap<RelPath, Origin>,
}

/// Something in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub path: RelPath,
    pub problem: String,
    /// Whether `--replace` settles it.
    pub replaceable: bool,
}

/// What one file system has to take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Space {
    /// The existing directory nearest to the largest file that goes to this file system.
    pub directory: String,
    /// Size of that file.
    pub largest: u64,
    pub bytes: u64,
    pub inodes: u64,
    pub available: u64,
    pub free_inodes: Option<u64>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.afterwards.is_empty()
    }

    /// The files that will be placed.
    pub fn placed(&self) -> impl Iterator<Item = &PlaceFile> {
        self.steps.iter().filter_map(|step| match step {
            Step::PlaceFile(place) => Some(place),
            _ => None,
        })
    }
}

/// What brings the machine `host` to what `index` says.
pub fn plan(index: &Index, host: &Host, options: Options) -> Plan {
    let mut planner = Planner { index, host, options, plan: Plan::default() };
    planner.notes();
    planner.accounts();
    planner.directories();
    planner.files(|role| matches!(role, Role::Program | Role::Config));
    planner.symbolic_links();
    planner.files(|role| role == Role::ModelBlob);
    planner.hard_links();
    planner.files(|role| role == Role::ModelManifest);
    planner.owners();
    planner.files(|role| role == Role::Unit);
    planner.files_no_longer_shipped();
    planner.links_no_longer_shipped();
    planner.labels();
    planner.services();
    planner.own_files();
    planner.plan
}

/// Bytes for the journal and the receipt, beside the stub's copy.
const STATE_SIZE: u64 = 1 << 20;

pub(super) struct Planner<'a> {
    pub(super) index: &'a Index,
    pub(super) host: &'a Host,
    pub(super) options: Options,
    pub(super) plan: Plan,
}

/// How an existing file relates to the one of the package.
enum Standing {
    Absent,
    Same,
    OursUnchanged,
    /// A symbolic link that an earlier version of the package made, with this target.
    OurLink(String),
    InTheWay(String, bool),
}

impl Planner<'_> {
    fn notes(&mut self) {
        let host = self.host;
        let mut note = |text: &str| self.plan.notes.push(text.to_owned());
        match host.systemd {
            Systemd::Running => {}
            _ if self.index.units.is_empty() => {}
            Systemd::Absent => note("systemd is not running here: units are installed, systemd is not reloaded"),
            Systemd::OtherRoot => note("below another root: units are installed, systemd is not reloaded"),
        }
        if !host.live && !host.privileged {
            note("not run as root: files below this root will belong to you, no account is created");
        } else if !host.has_accounts {
            note("there is no /etc/passwd below this root: files will belong to root, no account is created");
        }
    }

    fn sets_owners(&self) -> bool {
        self.host.has_accounts && (self.host.privileged || self.host.live)
    }

    fn accounts(&mut self) {
        let Some(account) = self.index.install.account.clone() else { return };
        if !self.sets_owners() {
            return;
        }
        if !self.host.accounts.groups.contains_key(&account.group) {
            self.plan.steps.push(Step::CreateGroup { name: account.group.clone() });
        }
        if !self.host.accounts.users.contains_key(&account.user) {
            let home = self.index.install.prefix.clone();
            self.plan.steps.push(Step::CreateUser { name: account.user, group: account.group, home });
        }
    }

    fn directories(&mut self) {
        for directory in &self.index.directories {
            let path = &directory.path;
            match self.host.existing(path) {
                Found::Absent => {
                    self.plan.steps.push(Step::MakeDirectory { path: path.clone(), mode: directory.mode });
                    self.need(path, 0);
                    self.plan.origins.insert(path.clone(), Origin::Created);
                }
                Found::Directory(facts) => {
                    let facts = *facts;
                    self.plan.unchanged.push(path.clone());
                    self.keep_origin(path);
                    self.existing_directory(path, facts, &directory.owner);
                }
                Found::Hidden => {
                    self.plan
                        .notes
                        .push(format!("{path}/ cannot be looked into by this user: run it as root to see all"));
                    self.keep_origin(path);
                }
                Found::File(_) | Found::Link { .. } | Found::Special => {
                    self.conflict(path, "is in the way of a directory".to_owned(), false);
                }
            }
        }
    }

    /// Existing directories are used as they are; when the service could not use one, that is said.
    fn existing_directory(&mut self, path: &RelPath, facts: Attributes, owner: &Owner) {
        let service = !owner.user.is_root() || !owner.group.is_root();
        if service && self.owner_exists(owner) && !self.belongs_to(facts, owner) {
            let note = format!(
                "{path}/ exists and does not belong to {owner}: it is left as it is, the service may not write there"
            );
            self.plan.notes.push(note);
        }
    }

    fn owner_exists(&self, owner: &Owner) -> bool {
        let accounts = &self.host.accounts;
        accounts.users.contains_key(&owner.user) && accounts.groups.contains_key(&owner.group)
    }

    fn files(&mut self, wanted: impl Fn(Role) -> bool) {
        for (position, file) in self.index.files.iter().enumerate().filter(|(_, file)| wanted(file.role)) {
            let path = &file.path;
            match self.standing(path, &file.owner, file) {
                Standing::Same => {
                    self.plan.unchanged.push(path.clone());
                    self.keep_origin(path);
                }
                Standing::Absent => self.place(position, file, Over::Nothing, Origin::Created),
                Standing::OursUnchanged => {
                    let backup = self.backup(position, file);
                    let origin = self.recorded_origin(path);
                    self.place(position, file, Over::Ours { backup }, origin);
                }
                Standing::OurLink(target) => {
                    self.plan.steps.push(Step::RemoveSymbolicLink { path: path.clone(), target });
                    self.place(position, file, Over::Nothing, Origin::Created);
                }
                Standing::InTheWay(problem, true) if self.options.replace => {
                    match self.host.entries.get(path).and_then(|existing| existing.backup.clone()) {
                        Some(backup) => self.replace(position, file, backup),
                        None => self.conflict(path, problem, false),
                    }
                }
                Standing::InTheWay(problem, replaceable) => self.conflict(path, problem, replaceable),
            }
        }
    }

    /// Takes the place of a file that somebody else made or changed. What stood there before the package ever came is
    /// what uninstallation puts back.
    fn replace(&mut self, position: usize, file: &File, backup: RelPath) {
        let origin = match self.recorded_origin(&file.path) {
            Origin::Replaced { backup: first } => {
                self.plan.notes.push(format!("{} is kept as {backup}; --uninstall puts {first} back", file.path));
                Origin::Replaced { backup: first }
            }
            Origin::Created | Origin::AlreadyPresent => Origin::Replaced { backup: backup.clone() },
        };
        self.place(position, file, Over::Foreign { backup }, origin);
    }

    fn standing(&self, path: &RelPath, owner: &Owner, file: &File) -> Standing {
        let Some(Existing { found, digest, .. }) = self.host.entries.get(path) else { return Standing::Absent };
        let facts = match found {
            Found::Absent | Found::Hidden => return Standing::Absent,
            Found::File(facts) => facts,
            Found::Directory(_) => return Standing::InTheWay("is a directory".to_owned(), false),
            Found::Link { target } if self.is_our_link(path, target) => return Standing::OurLink(target.clone()),
            Found::Link { .. } => return Standing::InTheWay("is a symbolic link".to_owned(), false),
            Found::Special => return Standing::InTheWay("is a device, socket or FIFO".to_owned(), false),
        };
        // What was there before the package is not the package's, even if it is the same.
        let receipt = self.host.receipt.as_ref().filter(|receipt| receipt.origin(path) != Origin::AlreadyPresent);
        let recorded = receipt.and_then(|receipt| receipt.content(path));
        let attributes_fit = facts.mode == file.mode.bits() && self.belongs_to(*facts, owner);
        if *digest == Some(file.blob) && attributes_fit {
            return Standing::Same;
        }
        match recorded {
            Some(recorded) if *digest == Some(recorded.digest) && facts.mode == recorded.mode.bits() => {
                Standing::OursUnchanged
            }
            Some(_) => Standing::InTheWay("was changed since it was installed".to_owned(), true),
            None if *digest == Some(file.blob) => {
                Standing::InTheWay("has the same content but another mode or owner".to_owned(), true)
            }
            None => Standing::InTheWay("exists and does not belong to this package".to_owned(), true),
        }
    }

    fn belongs_to(&self, facts: Attributes, owner: &Owner) -> bool {
        if !self.sets_owners() {
            return true;
        }
        let accounts = &self.host.accounts;
        accounts.users.get(&owner.user).is_some_and(|user| user.uid == facts.uid)
            && accounts.groups.get(&owner.group) == Some(&facts.gid)
    }

    fn place(&mut self, position: usize, file: &File, over: Over, origin: Origin) {
        let size = self.index.blob(file.blob).map_or(0, |blob| blob.size);
        let Some(staged) = self.staged(&file.path, &format!("f{position}")) else {
            return self.conflict(&file.path, "has a path that is too long to stage".to_owned(), false);
        };
        let already = self.host.staged.get(&staged).copied().unwrap_or(0);
        self.need(&file.path, size.saturating_sub(already));
        self.plan.origins.insert(file.path.clone(), origin);
        self.plan.steps.push(Step::PlaceFile(PlaceFile {
            path: file.path.clone(),
            staged,
            file: position,
            digest: file.blob,
            size,
            mode: file.mode,
            owner: file.owner.clone(),
            role: file.role,
            over,
        }));
    }

    /// Where the old version of a file is kept until the installation is complete.
    fn backup(&mut self, position: usize, file: &File) -> RelPath {
        self.staged(&file.path, &format!("b{position}")).unwrap_or_else(|| file.path.clone())
    }

    /// A name in the staging directory on the file system of `path`.
    fn staged(&mut self, path: &RelPath, name: &str) -> Option<RelPath> {
        let anchor = self.host.anchors.get(&path.parent())?;
        let area = state::area(anchor.directory.as_ref(), &self.index.package.name)?;
        if !self.plan.areas.contains(&area) {
            self.plan.areas.push(area.clone());
        }
        area.join(name).ok()
    }

    fn symbolic_links(&mut self) {
        for link in &self.index.links {
            let LinkKind::Symbolic { target } = &link.kind else { continue };
            match self.host.existing(&link.path) {
                Found::Absent | Found::Hidden => {
                    self.need(&link.path, 0);
                    self.plan.origins.insert(link.path.clone(), Origin::Created);
                    self.plan.steps.push(Step::MakeSymbolicLink { path: link.path.clone(), target: target.clone() });
                }
                Found::Link { target: found } if found == target => {
                    self.plan.unchanged.push(link.path.clone());
                    self.keep_origin(&link.path);
                }
                Found::Link { target: old } if self.is_our_link(&link.path, old) => {
                    let path = link.path.clone();
                    self.plan.steps.push(Step::RemoveSymbolicLink { path: path.clone(), target: old.clone() });
                    self.plan.origins.insert(path.clone(), Origin::Created);
                    self.plan.steps.push(Step::MakeSymbolicLink { path, target: target.clone() });
                }
                Found::File(_) if self.our_file(&link.path).is_some() => {
                    let path = link.path.clone();
                    if let Some(digest) = self.our_file(&path) {
                        self.remove_ours(&path, digest);
                    }
                    self.plan.origins.insert(path.clone(), Origin::Created);
                    self.plan.steps.push(Step::MakeSymbolicLink { path, target: target.clone() });
                }
                _ => self.conflict(&link.path, "is in the way of a symbolic link".to_owned(), false),
            }
        }
    }

    fn hard_links(&mut self) {
        for link in &self.index.links {
            if let LinkKind::Hard { to } = &link.kind {
                self.hard_link(link, to);
            }
        }
    }

    fn hard_link(&mut self, link: &Link, to: &RelPath) {
        let Some(file) = self.index.files.iter().find(|file| file.path == *to) else { return };
        let path = &link.path;
        match self.standing(path, &file.owner, file) {
            Standing::Same => {
                self.plan.unchanged.push(path.clone());
                self.keep_origin(path);
            }
            Standing::Absent => self.make_hard_link(path, to, file),
            Standing::OurLink(target) => {
                self.plan.steps.push(Step::RemoveSymbolicLink { path: path.clone(), target });
                self.make_hard_link(path, to, file);
            }
            Standing::OursUnchanged | Standing::InTheWay(..) => match self.our_file(path) {
                Some(digest) => {
                    self.remove_ours(path, digest);
                    self.make_hard_link(path, to, file);
                }
                None => self.conflict(path, "exists and is not the file of this package".to_owned(), false),
            },
        }
    }

    fn make_hard_link(&mut self, path: &RelPath, to: &RelPath, file: &File) {
        let size = self.index.blob(file.blob).map_or(0, |blob| blob.size);
        self.plan.origins.insert(path.clone(), Origin::Created);
        self.plan.steps.push(Step::MakeHardLink { path: path.clone(), to: to.clone(), size });
    }

    /// Directories of the service get their owner when everything in them is in place: until then only root can change
    /// what is there.
    fn owners(&mut self) {
        if !self.sets_owners() {
            return;
        }
        for directory in &self.index.directories {
            let root = directory.owner.user.is_root() && directory.owner.group.is_root();
            if !root && *self.host.existing(&directory.path) == Found::Absent {
                self.plan.steps.push(Step::SetOwner {
                    path: directory.path.clone(),
                    mode: directory.mode,
                    owner: directory.owner.clone(),
                });
            }
        }
    }

    /// What was staged elsewhere has the SELinux label of that place. A machine without SELinux may have the tool too:
    /// it then does nothing.
    fn labels(&mut self) {
        if !self.host.tools.contains(&Tool::Restorecon) {
            return;
        }
        let made = self.plan.steps.iter().filter_map(|step| match step {
            Step::MakeDirectory { path, .. } | Step::MakeSymbolicLink { path, .. } => Some(path.clone()),
            Step::PlaceFile(place) => Some(place.path.clone()),
            _ => None,
        });
        let paths: Vec<RelPath> = made.collect();
        if paths.is_empty() {
            return;
        }
        if self.host.live {
            self.plan.steps.push(Step::RestoreLabels { paths });
        } else {
            self.plan.notes.push("below another root: SELinux labels are not restored".to_owned());
        }
    }

    fn services(&mut self) {
        if self.host.systemd != Systemd::Running {
            if self.options.enable || self.options.start {
                let note = "--enable and --start need a running systemd: they are not carried out";
                self.plan.notes.push(note.to_owned());
            }
            return;
        }
        let disturbs = self.plan.steps.iter().any(Step::disturbs_services);
        if self.plan.steps.iter().any(|step| self.changes_units(step)) {
            self.plan.steps.push(Step::ReloadSystemd);
        }
        for unit in &self.index.units {
            self.service(&unit.name, disturbs);
        }
        self.services_no_longer_shipped();
    }

    fn changes_units(&self, step: &Step) -> bool {
        match step {
            Step::PlaceFile(place) => place.role == Role::Unit,
            Step::RemoveFile { path, .. } => {
                let recorded = self.host.receipt.as_ref().and_then(|receipt| receipt.file(path));
                recorded.is_some_and(|file| file.role == Role::Unit)
            }
            _ => false,
        }
    }

    fn service(&mut self, unit: &str, disturbs: bool) {
        let state = self.host.units.get(unit).cloned().unwrap_or_default();
        let restarts = state.is_up() && disturbs;
        if restarts {
            self.plan.steps.insert(0, Step::StopUnit { unit: unit.to_owned() });
        }
        if self.options.enable && state.can_be_enabled() {
            self.plan.steps.push(Step::EnableUnit { unit: unit.to_owned() });
        }
        if restarts || (self.options.start && !state.is_up()) {
            self.plan.afterwards.push(Step::StartUnit { unit: unit.to_owned() });
        }
    }

    fn own_files(&mut self) {
        if !self.plan.is_empty() {
            self.need(&state::stub(&self.index.package.name), self.index.build.stub.size + STATE_SIZE);
        }
    }

    pub(super) fn conflict(&mut self, path: &RelPath, problem: String, replaceable: bool) {
        self.plan.conflicts.push(Conflict { path: path.clone(), problem, replaceable });
    }

    fn recorded_origin(&self, path: &RelPath) -> Origin {
        self.host.receipt.as_ref().map_or(Origin::AlreadyPresent, |receipt| receipt.origin(path))
    }

    fn keep_origin(&mut self, path: &RelPath) {
        let origin = self.recorded_origin(path);
        self.plan.origins.insert(path.clone(), origin);
    }

    fn need(&mut self, path: &RelPath, size: u64) {
        let Some(anchor) = self.host.anchors.get(&path.parent()) else { return };
        let facts = anchor.file_system;
        let space = self.plan.space.entry(facts.device).or_insert_with(|| Space {
            available: facts.available,
            free_inodes: facts.free_inodes,
            ..Space::default()
        });
        if space.directory.is_empty() || size > space.largest {
            space.directory = anchor.directory.as_ref().map_or_else(|| "/".to_owned(), RelPath::to_string);
            space.largest = size;
        }
        space.bytes = space.bytes.saturating_add(size.next_multiple_of(facts.block));
        space.inodes += 1;
    }
}

impl Receipt {
    /// Where a path of the package came from; what is not recorded was there before.
    pub fn origin(&self, path: &RelPath) -> Origin {
        let file = self.files.iter().find(|entry| entry.path == *path).map(|entry| &entry.origin);
        let directory = self.directories.iter().find(|entry| entry.path == *path).map(|entry| &entry.origin);
        let link = self.links.iter().find(|entry| entry.path == *path).map(|entry| &entry.origin);
        file.or(directory).or(link).cloned().unwrap_or(Origin::AlreadyPresent)
    }
}
