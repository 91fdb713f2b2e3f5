//! Planning: which steps bring this machine to what the index says. Pure: it looks at nothing but its arguments.
//! Files are planned in `placing.rs`, services in `services.rs`; whether the plan may be carried out, in `preflight.rs`.

use payload::index::{Index, Lookup, Role, lookalikes};
use payload::{Owner, RelPath};

use super::facts::{Host, Systemd};
use super::gpus;
use super::memory;
use super::root_power;
use super::step::Step;
use super::store::Store;
use super::{Conflict, Downgrade, Options, Plan, Space};
use crate::host::account::MadeAccount;
use crate::host::root::{Attributes, Found};
use crate::host::tool::Tool;
use crate::record::receipt::Origin;
use crate::record::state;
use crate::record::version_order;

/// What brings the machine `host` to what `index` says.
pub fn plan(index: &Index, host: &Host, options: Options) -> Plan {
    let shipped = Lookup::of(index);
    let mut planner = Planner { index, shipped, host, options, removed: 0, plan: Plan::default() };
    planner.plan.root_power = root_power::sentences(index, host);
    planner.notes();
    planner.downgrade();
    planner.plan.warnings = memory::warnings(index, host);
    planner.plan.warnings.extend(host.command.warning.clone());
    planner.plan.made.command_version.clone_from(&host.command.version);
    planner.plan.made.choice.clone_from(&host.choice);
    planner.accounts();
    planner.directories();
    planner.files(|role| matches!(role, Role::Program | Role::Config));
    planner.symbolic_links();
    planner.files(|role| role == Role::ModelBlob);
    planner.hard_links();
    planner.files(|role| role == Role::ModelManifest);
    planner.owners();
    planner.files(|role| role == Role::Unit);
    planner.command();
    planner.files_no_longer_shipped();
    planner.links_no_longer_shipped();
    planner.labels();
    planner.services();
    planner.namesakes();
    planner.installer();
    planner.own_files();
    planner.plan
}

/// Bytes for the journal and the receipt, beside the stub's copy, of which there are two until the end.
const STATE_SIZE: u64 = 1 << 20;

pub(super) struct Planner<'a> {
    pub(super) index: &'a Index,
    pub(super) shipped: Lookup<'a>,
    pub(super) host: &'a Host,
    pub(super) options: Options,
    /// Files of an earlier version that go: each is kept under a name of its own until the installation is complete.
    pub(super) removed: usize,
    pub(super) plan: Plan,
}

impl Planner<'_> {
    fn notes(&mut self) {
        let host = self.host;
        let mut note = |text: &str| self.plan.notes.push(text.to_owned());
        host.choice_notes.iter().for_each(|text| note(text));
        match host.systemd {
            Systemd::Running => {}
            _ if self.index.units.is_empty() => {}
            Systemd::Absent => note("systemd is not running here: units are installed, systemd is not reloaded"),
            Systemd::OtherRoot => note("below another root: units are installed, systemd is not reloaded"),
        }
        if let Some(kernel) = &host.emulating_kernel {
            let machine = &host.machine;
            note(&format!(
                "the kernel of this machine is {kernel}: {machine} is emulated. What is installed runs on a machine that is \
                 {machine}, and here as far as the emulator lets it"
            ));
        }
        match &host.store {
            Store::Own | Store::Unclear(_) => {}
            Store::Nobodys(directory) => {
                note(&format!(
                    "no Ollama was found on this machine: the models go to {directory}, and only an Ollama that looks there finds them"
                ));
            }
            Store::Found(store) => note(&format!("models go to {}: {}", store.directory, store.why)),
        }
        for text in host.gpus.iter().flat_map(|gpus| gpus::notes(self.index, gpus)) {
            note(&text);
        }
        for (one, other) in lookalikes(self.index) {
            note(&format!(
                "{one} and {other} are two names that look alike: they differ in Unicode normalisation alone"
            ));
        }
        if !host.live && !host.privileged {
            note("not run as root: files below this root will belong to you, no account is created");
        } else if !host.has_accounts {
            note("there is no /etc/passwd below this root: files will belong to root, no account is created");
        }
    }

    /// Somebody may carry an old package here again, with its good signature and its known weakness.
    fn downgrade(&mut self) {
        let Some(installed) = self.host.receipt.as_ref().map(|receipt| &receipt.version) else { return };
        let version = &self.index.package.version;
        if version_order::compare(version, installed).is_ge() {
            return;
        }
        self.plan.notes.push(format!("this is a downgrade: {installed} is installed, the package is {version}"));
        if self.options.downgrade == Downgrade::Refused {
            self.plan.downgrade = Some(installed.clone());
        }
    }

    fn accounts(&mut self) {
        let Some(account) = self.index.install.account.clone() else { return };
        if !self.host.sets_owners() {
            return;
        }
        // Without a free number preflight says so.
        let Some(id) = self.host.accounts.unused else { return };
        if !self.host.accounts.groups.contains_key(&account.group) {
            let group = MadeAccount { name: account.group.clone(), id };
            self.plan.made.group = Some(group.clone());
            self.plan.steps.push(Step::CreateGroup(group));
        }
        if !self.host.accounts.users.contains_key(&account.user) {
            let home = self.index.install.prefix.clone();
            let user = MadeAccount { name: account.user, id };
            self.plan.made.user = Some(user.clone());
            let groups = if gpus::brings_ollama(self.index) { self.host.gpu_groups.clone() } else { Vec::new() };
            self.plan.steps.push(Step::CreateUser { user, group: account.group, groups, home });
        }
    }

    fn directories(&mut self) {
        for directory in &self.index.directories {
            let path = &directory.path;
            match self.host.existing(path) {
                // Made with the journal, before the first step; and it goes with the installer's own files.
                Found::Absent if state::is_above(path) => self.keep_origin(path),
                Found::Absent => {
                    self.plan.steps.push(Step::MakeDirectory { path: path.clone(), mode: directory.mode });
                    self.need(path, 0);
                    self.plan.made.origins.insert(path.clone(), Origin::Created);
                }
                Found::Directory(facts) => {
                    let facts = *facts;
                    self.plan.unchanged.push(path.clone());
                    self.keep_origin(path);
                    if self.anybody_decides(path, facts) {
                        let problem = format!("can be changed by anybody (mode {:04o})", facts.mode);
                        self.conflict(path, problem, false);
                    }
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

    /// Whoever can change a directory decides what the files in it are, and those below it; in one with the sticky bit
    /// only what is not there yet.
    fn anybody_decides(&self, path: &RelPath, facts: Attributes) -> bool {
        let (anybody, sticky) = (facts.mode & 0o002 != 0, facts.mode & 0o1000 != 0);
        anybody && (!sticky || self.holds_files(path))
    }

    fn holds_files(&self, directory: &payload::RelPath) -> bool {
        self.index.files.iter().any(|file| file.path.parent().as_ref() == Some(directory))
            || *directory == self.index.install.prefix
    }

    /// Existing directories are used as they are; when the service could not use one, that is said.
    fn existing_directory(&mut self, path: &RelPath, facts: Attributes, owner: &Owner) {
        let service = !owner.user.is_root() || !owner.group.is_root();
        if service && self.owner_exists(owner) && !self.belongs_to(facts, owner) {
            let note = format!(
                "{path}/ exists and does not belong to {owner}: it is left as it is, and the service is probably unable to write there"
            );
            self.plan.notes.push(note);
        }
    }

    fn owner_exists(&self, owner: &Owner) -> bool {
        let accounts = &self.host.accounts;
        accounts.users.contains_key(&owner.user) && accounts.groups.contains_key(&owner.group)
    }

    /// Directories of the service get their owner when everything in them is in place: until then only root can change
    /// what is there.
    fn owners(&mut self) {
        if !self.host.sets_owners() {
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

    /// What the receipt speaks of is looked at, and removed, by the installer that stays beside it.
    fn installer(&mut self) {
        const ANYBODYS_TO_RUN: u32 = 0o111;
        let path = state::stub(&self.index.package.name);
        match &self.host.kept_installer {
            None | Some(Found::Hidden) => {}
            Some(Found::File(facts)) if facts.size > 0 && facts.mode & ANYBODYS_TO_RUN != 0 => {}
            Some(Found::Directory(_) | Found::Special) => {
                self.conflict(&path, "is in the way of the installer's own copy".to_owned(), false);
            }
            Some(_) => self.plan.steps.push(Step::KeepInstaller { path }),
        }
    }

    fn own_files(&mut self) {
        if !self.plan.is_empty() {
            self.need(&state::stub(&self.index.package.name), 2 * self.index.build.stub.size + STATE_SIZE);
        }
    }

    pub(super) fn conflict(&mut self, path: &RelPath, problem: String, replaceable: bool) {
        self.plan.conflicts.push(Conflict { path: path.clone(), problem, replaceable });
    }

    pub(super) fn recorded_origin(&self, path: &RelPath) -> Origin {
        self.host.receipt.as_ref().map_or(Origin::AlreadyPresent, |receipt| receipt.origin(path))
    }

    pub(super) fn keep_origin(&mut self, path: &RelPath) {
        let origin = self.recorded_origin(path);
        self.plan.made.origins.insert(path.clone(), origin);
    }

    pub(super) fn need(&mut self, path: &RelPath, size: u64) {
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
