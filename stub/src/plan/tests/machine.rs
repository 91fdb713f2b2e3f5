//! A machine and a package in values: what the tables of `tests.rs` change, and how they name what is planned for it.
//! Real machines are looked at in `facts.rs`.

use std::collections::{HashMap, HashSet};

use payload::index::{
    Arch, Blob, Build, Component, ComponentKind, Directory, Encoding, File, GlibcVersion, Index, Install, Link,
    LinkKind, OnlyFor, PackageFacts, Role, Stub, Target, Unit,
};
use payload::{AccountName, Digest, Mode, Owner, RelPath};

use crate::exit::Exit;
use crate::host::account::{Accounts, User};
use crate::host::contents::Tally;
use crate::host::root::{Attributes, FileSystem, Found};
use crate::host::tool::Tool;
use crate::host::unit::UnitState;
use crate::plan::command::Settled;
use crate::plan::facts::{Anchor, Existing, Host, Systemd};
use crate::plan::step::{Replaces, Step};
use crate::plan::store::Store;
use crate::plan::{Options, Plan, plan, preflight};
use crate::record::choice::Choice;
use crate::record::others::Others;
use crate::record::receipt::{Origin, Receipt};

/// What the service of the package runs as, where it was made.
pub(super) const SERVICE: u32 = 550;
const DEVICE: u64 = 1;

pub(super) fn path(text: &str) -> RelPath {
    text.parse().unwrap()
}

pub(super) fn account(name: &str) -> AccountName {
    name.parse().unwrap()
}

pub(super) fn owner(name: &str) -> Owner {
    Owner { user: account(name), group: account(name) }
}

/// A machine, and the package that is to be installed on it.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) host: Host,
    pub(super) index: Index,
}

/// The package: a program, a configuration, a model with its second name, a unit, links, and an account.
fn package() -> Index {
    let directories = ["etc", "etc/systemd", "etc/systemd/system", "opt", "opt/x", "opt/x/m"];
    let directory = |text: &str| {
        let owner = if text == "opt/x/m" { owner("x") } else { Owner::root() };
        Directory { path: path(text), mode: Mode::EXECUTABLE, owner, only_for: OnlyFor::everybody() }
    };
    let mut index = Index {
        package: PackageFacts { name: "x".parse().unwrap(), version: "1".to_owned(), description: String::new() },
        target: Target { arch: Arch::X86_64, glibc: None },
        build: Build {
            builder_version: "0".to_owned(),
            manifest: Digest::of(b"manifest"),
            stub: Stub { size: 4096, digest: Digest::of(b"stub") },
        },
        install: Install { prefix: path("opt/x"), account: Some(owner("x")), command: None },
        components: vec![Component {
            name: "x".to_owned(),
            kind: ComponentKind::ExternalBinary,
            required: true,
            sources: Vec::new(),
        }],
        directories: directories.map(directory).to_vec(),
        files: Vec::new(),
        links: vec![
            Link {
                path: path("opt/x/l"),
                kind: LinkKind::Symbolic { target: "tool".to_owned() },
                owner: Owner::root(),
                only_for: OnlyFor::everybody(),
            },
            Link {
                path: path("opt/x/m/b"),
                kind: LinkKind::Hard { to: path("opt/x/m/w") },
                owner: owner("x"),
                only_for: OnlyFor::everybody(),
            },
        ],
        units: vec![Unit { name: "x.service".to_owned(), path: path("etc/systemd/system/x.service"), drop_in: None }],
        models: Vec::new(),
        blobs: Vec::new(),
        documents: Vec::new(),
        total_length: 0,
    };
    add(&mut index, "opt/x/tool", "tool", Role::Program);
    add(&mut index, "opt/x/m/w", "weights", Role::ModelBlob);
    add(&mut index, "opt/x/conf", "conf", Role::Config);
    add(&mut index, "etc/systemd/system/x.service", "unit", Role::Unit);
    index
}

pub(super) fn add(index: &mut Index, at: &str, content: &str, role: Role) {
    let blob = Digest::of(content.as_bytes());
    let size = content.len() as u64;
    if index.blob(blob).is_none() {
        index.blobs.push(Blob { digest: blob, size, encoding: Encoding::Raw, stored_size: size, chunks: vec![blob] });
    }
    let owner = if role == Role::ModelBlob { owner("x") } else { Owner::root() };
    let (mode, only_for) = (Mode::READABLE, OnlyFor::everybody());
    index.files.push(File { path: path(at), blob, mode, owner, role, component: 0, only_for, elf: None });
    index.files.sort_by_key(|file| file.role);
}

pub(super) fn attributes(mode: u32, uid: u32) -> Attributes {
    Attributes {
        size: 1,
        allocated: 1,
        mode,
        uid,
        gid: uid,
        device: DEVICE,
        inode: 1,
        modified: (0, 0),
        changed: (0, 0),
    }
}

fn standing(found: Found) -> Existing {
    Existing { found, digest: None, stat: None, backup: None }
}

impl Case {
    /// A machine with systemd and glibc that has never seen the package; root installs on it.
    pub(super) fn fresh() -> Self {
        let index = package();
        let file_system = FileSystem {
            device: DEVICE,
            mount: Some(1),
            available: 1 << 40,
            block: 4096,
            free_inodes: Some(1 << 20),
            read_only: false,
            no_exec: false,
            no_hard_links: false,
        };
        let anchor = |directory: &str| Anchor { directory: Some(path(directory)), file_system };
        let anchors = [
            ("opt/x", anchor("opt")),
            ("opt/x/m", anchor("opt")),
            ("opt", anchor("opt")),
            ("etc", anchor("etc")),
            ("etc/systemd", anchor("etc/systemd")),
            ("etc/systemd/system", anchor("etc/systemd/system")),
            ("var/lib/airgap-deploy/x", anchor("var/lib")),
        ];
        let host = Host {
            privileged: true,
            live: true,
            root: "/".into(),
            has_accounts: true,
            machine: "x86_64".to_owned(),
            emulating_kernel: None,
            glibc: Some(GlibcVersion { major: 2, minor: 36 }),
            systemd: Systemd::Running,
            accounts: Accounts { unused: Some(SERVICE), ..Accounts::default() },
            entries: HashMap::new(),
            looked_at: Tally::default(),
            anchors: anchors.into_iter().map(|(parent, anchor)| (Some(path(parent)), anchor)).collect(),
            staged: HashMap::new(),
            receipt: None,
            kept_installer: None,
            choice: Choice::default(),
            choice_notes: Vec::new(),
            others: Others::default(),
            units: HashMap::from([("x.service".to_owned(), unit("inactive", ""))]),
            namesakes: Vec::new(),
            units_led_out: None,
            systemd_silent: None,
            tools: HashSet::from([Tool::Groupadd, Tool::Restorecon, Tool::Systemctl, Tool::Useradd]),
            store: Store::Own,
            memory: Some(16 << 30),
            manifests: Vec::new(),
            command: Settled::default(),
            log: None,
            gpus: None,
            gpu_groups: vec!["render".parse().unwrap(), "video".parse().unwrap()],
        };
        let mut case = Self { host, index };
        case.account("root", 0, "/bin/bash");
        for there in ["etc", "etc/systemd", "etc/systemd/system", "opt"] {
            case.directory(there, 0o755, 0);
        }
        case
    }

    /// The same machine with the package on it, as its plan for a fresh one says.
    pub(super) fn installed() -> Self {
        let mut case = Self::fresh();
        let made = plan(&case.index, &case.host, Options::default()).made;
        case.account("x", SERVICE, "/usr/sbin/nologin");
        case.directory("opt/x", 0o755, 0);
        case.directory("opt/x/m", 0o755, SERVICE);
        case.file("opt/x/tool", "tool", 0o644, 0);
        case.file("opt/x/conf", "conf", 0o644, 0);
        case.file("opt/x/m/w", "weights", 0o644, SERVICE);
        case.file("opt/x/m/b", "weights", 0o644, SERVICE);
        case.file("etc/systemd/system/x.service", "unit", 0o644, 0);
        case.link("opt/x/l", "tool");
        case.host.receipt = Some(made.receipt(&case.index, Digest::of(b"index"), None, None));
        case.host.kept_installer = Some(Found::File(attributes(0o755, 0)));
        case.host.units.insert("x.service".to_owned(), unit("inactive", "disabled"));
        case
    }

    /// The package is installed, and the next version has another program, no configuration, a link that leads elsewhere
    /// and a new file.
    pub(super) fn upgrade() -> Self {
        let mut case = Self::installed();
        case.index.package.version = "2".to_owned();
        case.index.files.retain(|file| !matches!(file.path.as_str(), "opt/x/tool" | "opt/x/conf"));
        add(&mut case.index, "opt/x/tool", "tool two", Role::Program);
        add(&mut case.index, "opt/x/new", "new", Role::Program);
        case.index.links[0].kind = LinkKind::Symbolic { target: "new".to_owned() };
        case
    }

    pub(super) fn stands(&mut self, at: &str, found: Found) {
        self.host.entries.insert(path(at), standing(found));
    }

    pub(super) fn directory(&mut self, at: &str, mode: u32, uid: u32) {
        self.stands(at, Found::Directory(attributes(mode, uid)));
    }

    pub(super) fn link(&mut self, at: &str, target: &str) {
        self.stands(at, Found::Link { target: target.to_owned() });
    }

    /// Two paths with one content are two names of one file.
    pub(super) fn file(&mut self, at: &str, content: &str, mode: u32, uid: u32) {
        let inode = content.bytes().fold(7, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte));
        let found = Found::File(Attributes { inode, size: content.len() as u64, ..attributes(mode, uid) });
        let backup = format!("{at}.airgap-deploy-backup").parse().ok();
        let existing = Existing { found, digest: Some(Digest::of(content.as_bytes())), stat: None, backup };
        self.host.entries.insert(path(at), existing);
    }

    pub(super) fn gone(&mut self, at: &str) {
        self.host.entries.remove(&path(at));
    }

    pub(super) fn existing(&mut self, at: &str) -> &mut Existing {
        self.host.entries.get_mut(&path(at)).unwrap()
    }

    pub(super) fn account(&mut self, name: &str, id: u32, shell: &str) {
        let user = User { uid: id, gid: id, home: "/".to_owned(), shell: shell.to_owned() };
        self.host.accounts.users.insert(account(name), user);
        self.host.accounts.groups.insert(account(name), id);
    }

    pub(super) fn unit(&mut self, active: &str, enabled: &str) {
        self.host.units.insert("x.service".to_owned(), unit(active, enabled));
    }

    /// The file systems below `directory`.
    pub(super) fn mounted(&mut self, directory: &str, change: impl Fn(&mut FileSystem)) {
        let below = path(directory);
        let anchors = self.host.anchors.iter_mut();
        anchors
            .filter(|(parent, _)| parent.as_ref().is_some_and(|parent| parent.starts_with(&below)))
            .for_each(|(_, anchor)| change(&mut anchor.file_system));
    }

    pub(super) fn shipped(&mut self, at: &str) -> &mut File {
        self.index.files.iter_mut().find(|file| file.path.as_str() == at).unwrap()
    }

    /// The command that came with the installed version.
    pub(super) fn command(&mut self, at: &str) {
        self.file(at, "installer", 0o755, 0);
        let mut file = self.receipt().files[0].clone();
        (file.path, file.digest, file.mode) = (path(at), Digest::of(b"installer"), Mode::EXECUTABLE);
        (file.role, file.owner) = (Role::Installer, Owner::root());
        self.receipt().files.push(file);
    }

    pub(super) fn receipt(&mut self) -> &mut Receipt {
        self.host.receipt.as_mut().unwrap()
    }

    /// Another package that has what this one installed, as something that was there before.
    pub(super) fn shared_with(&mut self, name: &str) {
        let mut receipt = self.receipt().clone();
        receipt.package = name.parse().unwrap();
        receipt.files.iter_mut().for_each(|file| file.origin = Origin::AlreadyPresent);
        receipt.units.clear();
        self.host.others = Others::of(vec![receipt]);
    }

    /// What is planned for it, one thing a line, and what keeps that from being done.
    pub(super) fn outcome(&self, typed: &str) -> Vec<String> {
        let has = |word: &str| typed.split(' ').any(|typed| typed == word);
        let (enable, start, replace, rollback) = (has("enable"), has("start"), has("replace"), has("rollback"));
        let options = Options { enable, start, replace, rollback, ..Options::default() };
        let plan = plan(&self.index, &self.host, options);
        let mut lines: Vec<String> = plan.steps.iter().map(line).collect();
        lines.extend(plan.afterwards.iter().map(|step| format!("afterwards {}", line(step))));
        lines.extend(plan.proof.iter().map(|proof| format!("asks {} for {:?}", proof.unit, proof.models)));
        lines.extend(plan.conflicts.iter().map(|conflict| {
            let settled = if conflict.replaceable { " (--replace)" } else { "" };
            format!("! {} {}{settled}", conflict.path, conflict.problem)
        }));
        lines.extend(self.findings(&plan));
        lines.extend(
            plan.root_power.iter().filter(|said| said.starts_with("user ")).map(|said| format!("power {said}")),
        );
        lines.extend(plan.notes.iter().map(|note| format!("note {note}")));
        lines
    }

    /// Each conflict is a finding; these are the others.
    fn findings(&self, plan: &Plan) -> Vec<String> {
        let findings = preflight::findings(plan, &self.index, &self.host);
        let sorted = findings.is_sorted_by_key(|finding| finding.exit);
        assert!(sorted && findings.iter().all(|finding| !finding.hint.is_empty()), "{findings:?}");
        assert_eq!(preflight::clear(plan.clone(), &self.index, &self.host).is_ok(), findings.is_empty());
        let is_conflict = |what: &str| plan.conflicts.iter().any(|it| what == format!("{} {}", it.path, it.problem));
        let conflicts = findings.iter().filter(|finding| is_conflict(&finding.what)).collect::<Vec<_>>();
        assert!(conflicts.len() == plan.conflicts.len() && conflicts.iter().all(|it| it.exit == Exit::Conflict));
        let others = findings.iter().filter(|finding| !is_conflict(&finding.what));
        others.map(|finding| format!("{} {}", finding.exit as u8, finding.what)).collect()
    }
}

pub(super) fn unit(active: &str, enabled: &str) -> UnitState {
    UnitState { active: active.to_owned(), enabled: enabled.to_owned(), ..UnitState::default() }
}

fn line(step: &Step) -> String {
    let action = step.action();
    match step {
        Step::CreateGroup(made) => format!("{action} {} {}", made.name, made.id),
        Step::CreateUser { user, groups, .. } => {
            let groups = groups.iter().map(|group| format!(" {group}")).collect::<Vec<_>>().concat();
            format!("{action} {} {}{groups}", user.name, user.id)
        }
        Step::StopUnit { unit } | Step::EnableUnit { unit } | Step::DisableUnit { unit } | Step::StartUnit { unit } => {
            format!("{action} {unit}")
        }
        Step::PlaceFile(place) => match &place.replaces {
            Replaces::Nothing => format!("{action} {}", place.path),
            Replaces::Ours { .. } => format!("{action} {} over its old version", place.path),
            Replaces::Foreign { backup, .. } => format!("{action} {} keeping {backup}", place.path),
        },
        Step::RemoveFile { path, backup, .. } if path.parent() == backup.parent() => format!("keep {path} as {backup}"),
        Step::MakeDirectory { path, .. }
        | Step::MakeHardLink { path, .. }
        | Step::MakeSymbolicLink { path, .. }
        | Step::RemoveFile { path, .. }
        | Step::RemoveSymbolicLink { path, .. }
        | Step::SetOwner { path, .. }
        | Step::KeepInstaller { path } => format!("{action} {path}"),
        Step::RestoreLabels { .. } | Step::ReloadSystemd => action.to_owned(),
    }
}
