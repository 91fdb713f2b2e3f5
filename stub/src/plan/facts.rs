//! A snapshot of the machine, taken before planning. Nothing else reads the machine for a plan.
//! What follows from the snapshot is decided in `plan.rs` and `preflight.rs`.

mod units;

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

use nix::unistd::geteuid;
use payload::index::{GlibcVersion, Index, LinkKind, Role};
use payload::{AccountName, Digest, RelPath};

pub use self::units::Systemd;
use self::units::{namesakes, systemd, units};
use crate::error::Error;
use crate::host::account::Accounts;
use crate::host::contents::{Contents, Known, Tally};
use crate::host::gpu::{self, Gpus};
use crate::host::memory;
use crate::host::models::{self, StoreManifest};
use crate::host::names;
use crate::host::platform;
use crate::host::program::Installer;
use crate::host::root::{FileSystem, Found, FsError, Root, Stat};
use crate::host::tool::Tool;
use crate::host::unit::{Enabler, UnitState};
use crate::plan::choice::{self, Asked};
use crate::plan::command;
use crate::plan::store::{self, Store};
use crate::record::choice::Choice;
use crate::record::others::Others;
use crate::record::receipt::Receipt;
use crate::record::{log, state};

/// Everything about the machine that a plan depends on.
#[derive(Debug, Clone)]
pub struct Host {
    /// Whether this process is root.
    pub privileged: bool,
    /// Whether the target is the running system, not a directory given by `--root`.
    pub live: bool,
    pub root: std::path::PathBuf,
    /// Whether the target has accounts at all (`/etc/passwd`).
    pub has_accounts: bool,
    /// As `uname -m` says.
    pub machine: String,
    /// The kernel's own machine, where `machine` is emulated.
    pub emulating_kernel: Option<String>,
    /// `None` when the target has no glibc.
    pub glibc: Option<GlibcVersion>,
    pub systemd: Systemd,
    pub accounts: Accounts,
    pub entries: HashMap<RelPath, Existing>,
    /// How many of them were trusted without reading them, and how many were read.
    pub looked_at: Tally,
    /// For the directory of every entry: where its staging directory can be.
    pub anchors: HashMap<Option<RelPath>, Anchor>,
    /// What an interrupted installation staged, with the bytes that it takes on the disk.
    pub staged: HashMap<RelPath, u64>,
    pub receipt: Option<Receipt>,
    /// What stands where the installer keeps itself, of a package that has a receipt.
    pub kept_installer: Option<Found>,
    /// Which optional components this machine gets, and what is worth knowing of that.
    pub choice: Choice,
    pub choice_notes: Vec<String>,
    /// Other packages below this root.
    pub others: Others,
    /// Of the units that the package ships, of those that an earlier version did, and of the Ollama whose store its models go
    /// to.
    pub units: HashMap<String, UnitState>,
    /// Unit files of the same name as one of the package's, in another of systemd's directories.
    pub namesakes: Vec<RelPath>,
    /// Where the units are below the target, if an absolute link on the way there leads systemctl out of it.
    pub units_led_out: Option<std::path::PathBuf>,
    /// Why systemd did not say how a unit is.
    pub systemd_silent: Option<String>,
    pub tools: HashSet<Tool>,
    /// `None` when nobody can say.
    pub gpus: Option<Vec<Gpus>>,
    pub gpu_groups: Vec<AccountName>,
    /// Where the package's models go, and why there.
    pub store: Store,
    /// Bytes of memory that programs can use; known of the running system alone.
    pub memory: Option<u64>,
    /// What the stores hold that the package and its earlier version have models in.
    pub manifests: Vec<StoreManifest>,
    /// The installer's own command.
    pub command: command::Settled,
    /// Where what is done is logged.
    pub log: Option<String>,
}

/// What is read of the files that stand where the package has some.
#[derive(Debug, Clone, Copy, Default)]
pub struct Thoroughly {
    /// Also what the receipt vouches for.
    pub verify_installed: bool,
    /// Also what is in the way: to replace it, one must know what it holds.
    pub replace: bool,
}

/// What stands at a path of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    pub found: Found,
    /// Of a regular file, when it could be one the plan knows.
    pub digest: Option<Digest>,
    /// By these stat data it is known that the digest is still right, as long as they are the same.
    pub stat: Option<Stat>,
    /// Of a regular file: a free name for keeping it when it is replaced.
    pub backup: Option<RelPath>,
}

/// The nearest existing directory above an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// `None` is the root directory.
    pub directory: Option<RelPath>,
    pub file_system: FileSystem,
}

impl Existing {
    fn plain(found: Found) -> Self {
        Self { found, digest: None, stat: None, backup: None }
    }
}

impl Host {
    /// Looks at everything a plan for this package needs to know. The index comes back as it is carried out here: without
    /// what was not chosen, its models lie in the store of the Ollama that this machine has, and `installer` may become a
    /// command.
    pub fn probe<'a>(
        index: &'a Index,
        root: &Root,
        installer: &Installer,
        thoroughly: Thoroughly,
        asked: &Asked,
    ) -> Result<(Cow<'a, Index>, Self), Error> {
        let others = Others::read(root, &index.package.name)?;
        let receipt = match state::read_receipt(root, &index.package.name)? {
            Some(receipt) => Some(others.with_shared_command(receipt)),
            // What is left of an earlier one is the package's own, whichever version that was; nothing is chosen by it.
            None => state::read_leftovers(root, &index.package.name)?.map(|left| Receipt {
                version: index.package.version.clone(),
                choice: Choice::default(),
                ..left
            }),
        };
        let choice::Settled { index, choice, notes } = choice::settle(index, asked, receipt.as_ref())?;
        let (index, store) = store::settle(index, root, &others)?;
        let mut known = Known::default();
        if !thoroughly.verify_installed {
            others.tell(&mut known);
            if let Some(receipt) = &receipt {
                receipt.tell(&mut known);
            }
        }
        let (index, command) = command::settle(index, root, &others, receipt.as_ref(), installer, &known)?;
        let (entries, looked_at) = entries(&index, root, receipt.as_ref(), &known, thoroughly.replace)?;
        let choice_notes = notes;
        let host = Self {
            entries,
            looked_at,
            choice,
            choice_notes,
            command,
            ..Self::look(&index, root, receipt, others, store)?
        };
        Ok((index, host))
    }

    fn look(index: &Index, root: &Root, receipt: Option<Receipt>, others: Others, store: Store) -> Result<Self, Error> {
        let live = root.is_live();
        let systemd = systemd(root);
        let (users, groups) = account_names(index);
        let anchors = anchors(index, root, receipt.as_ref())?;
        let (units, systemd_silent) = units(root, systemd, index, receipt.as_ref(), &store);
        Ok(Self {
            privileged: geteuid().is_root(),
            live,
            root: root.path().to_owned(),
            has_accounts: live || exists(root, "etc/passwd")?,
            machine: platform::machine(),
            emulating_kernel: platform::emulating_kernel(),
            glibc: platform::glibc(root)?,
            systemd,
            accounts: Accounts::look_up(root, &users, &groups)?,
            entries: HashMap::new(),
            looked_at: Tally::default(),
            units,
            namesakes: namesakes(index, root, receipt.as_ref())?,
            units_led_out: Enabler::led_out_of(root),
            systemd_silent,
            staged: staged(&anchors, index, root)?,
            anchors,
            others,
            store,
            memory: live.then(memory::total).flatten(),
            manifests: store_manifests(index, receipt.as_ref(), root)?,
            gpus: gpu::look(root)?,
            gpu_groups: gpu::groups(root)?,
            kept_installer: receipt.as_ref().map(|_| root.look(&state::stub(&index.package.name))).transpose()?,
            receipt,
            choice: Choice::default(),
            choice_notes: Vec::new(),
            command: command::Settled::default(),
            log: log::is_kept(root).then(|| log::path(&index.package.name)),
            tools: [Tool::Groupadd, Tool::Restorecon, Tool::Systemctl, Tool::Useradd]
                .into_iter()
                .filter(|tool| tool.find().is_some())
                .collect(),
        })
    }

    /// Whether files get the owners that the package names: there are accounts, and the rights to use them.
    pub fn sets_owners(&self) -> bool {
        self.has_accounts && (self.privileged || self.live)
    }

    /// What stands at `path`.
    pub fn existing(&self, path: &RelPath) -> &Found {
        self.entries.get(path).map_or(&Found::Absent, |existing| &existing.found)
    }
}

fn store_manifests(index: &Index, receipt: Option<&Receipt>, root: &Root) -> Result<Vec<StoreManifest>, FsError> {
    // Only an earlier version leaves something behind.
    let Some(receipt) = receipt else { return Ok(Vec::new()) };
    let shipped = index.models.iter().map(|model| models::store_of(&model.manifest));
    let stores: BTreeSet<RelPath> = shipped.flatten().chain(receipt.stores()).collect();
    let mut manifests = Vec::new();
    for store in stores {
        manifests.extend(models::manifests(root, &store)?);
    }
    Ok(manifests)
}

fn account_names(index: &Index) -> (Vec<AccountName>, Vec<AccountName>) {
    let owners = index
        .directories
        .iter()
        .map(|entry| &entry.owner)
        .chain(index.files.iter().map(|entry| &entry.owner))
        .chain(index.links.iter().map(|entry| &entry.owner))
        .chain(index.install.account.as_ref());
    let (mut users, mut groups) = (Vec::new(), Vec::new());
    for owner in owners {
        if !users.contains(&owner.user) {
            users.push(owner.user.clone());
        }
        if !groups.contains(&owner.group) {
            groups.push(owner.group.clone());
        }
    }
    (users, groups)
}

fn exists(root: &Root, path: &str) -> Result<bool, FsError> {
    match path.parse() {
        Ok(path) => Ok(root.look(&path)? != Found::Absent),
        Err(_) => Ok(false),
    }
}

/// What stands at every path of the package, and of its earlier version. Read is only what may matter: a file whose length
/// allows it to be what the package has, or had, or one that may be set aside: who takes it away, or puts it back, compares
/// it once more.
fn entries(
    index: &Index,
    root: &Root,
    receipt: Option<&Receipt>,
    known: &Known,
    replace: bool,
) -> Result<(HashMap<RelPath, Existing>, Tally), FsError> {
    let mut entries = HashMap::new();
    for directory in &index.directories {
        entries.insert(directory.path.clone(), Existing::plain(root.look_directory(&directory.path)?));
    }
    let mut wanted = HashMap::new();
    let sizes: HashMap<Digest, u64> = index.blobs.iter().map(|blob| (blob.digest, blob.size)).collect();
    let blobs: HashMap<&RelPath, Digest> = index.files.iter().map(|file| (&file.path, file.blob)).collect();
    for file in &index.files {
        wanted.insert(&file.path, sizes.get(&file.blob).copied());
    }
    for link in &index.links {
        let blob = match &link.kind {
            LinkKind::Hard { to } => blobs.get(to),
            LinkKind::Symbolic { .. } => None,
        };
        wanted.insert(&link.path, blob.and_then(|blob| sizes.get(blob)).copied());
    }
    let recorded = receipt.iter().flat_map(|receipt| {
        let links = receipt.links.iter().map(|link| &link.path);
        receipt.files.iter().map(|file| &file.path).chain(links)
    });
    for path in recorded {
        wanted.entry(path).or_insert(None);
    }
    let command = index.files.iter().find(|file| file.role == Role::Installer).map(|file| &file.path);
    let mut asked = Vec::new();
    for (path, size) in &wanted {
        let found = root.look(path)?;
        let mut existing = Existing::plain(found);
        if let Found::File(facts) = existing.found {
            existing.backup = names::free_backup(root, path)?;
            let recorded = receipt.and_then(|receipt| receipt.content(path));
            if replace
                || command == Some(*path)
                || Some(facts.size) == *size
                || recorded.is_some_and(|file| file.size == facts.size)
            {
                asked.push((*path, facts));
            }
        }
        entries.insert((*path).clone(), existing);
    }
    let contents = Contents::find_out(root, asked.iter().copied(), known)?;
    for (path, facts) in asked {
        if let (Some(content), Some(existing)) = (contents.of(&facts), entries.get_mut(path)) {
            existing.digest = readable(&content.digest)?;
            existing.stat = content.stat;
        }
    }
    Ok((entries, contents.tally))
}

fn readable(digest: &Result<Digest, FsError>) -> Result<Option<Digest>, FsError> {
    match digest {
        Ok(digest) => Ok(Some(*digest)),
        Err(error) if error.errno() == Some(nix::errno::Errno::EACCES) => Ok(None),
        Err(error) => Err(error.clone()),
    }
}

fn anchors(index: &Index, root: &Root, receipt: Option<&Receipt>) -> Result<HashMap<Option<RelPath>, Anchor>, FsError> {
    let files = index.files.iter().map(|entry| &entry.path);
    let paths = files
        .chain(index.links.iter().map(|entry| &entry.path))
        .chain(index.directories.iter().map(|entry| &entry.path))
        .chain(receipt.iter().flat_map(|receipt| receipt.files.iter().map(|entry| &entry.path)))
        .chain(receipt.iter().flat_map(|receipt| receipt.links.iter().map(|entry| &entry.path)));
    let state = state::directory(&index.package.name);
    let mut anchors = HashMap::new();
    for parent in paths.map(RelPath::parent).chain([Some(state)]) {
        if let Entry::Vacant(vacant) = anchors.entry(parent) {
            let mut anchor = anchor(root, vacant.key().clone())?;
            let directory = anchor.directory.as_ref();
            if root.may_lack_hard_links(directory)? && root.only_root_can_write(directory)? {
                anchor.file_system.no_hard_links = !root.tries_hard_links(directory)?;
            }
            vacant.insert(anchor);
        }
    }
    Ok(anchors)
}

fn staged(
    anchors: &HashMap<Option<RelPath>, Anchor>,
    index: &Index,
    root: &Root,
) -> Result<HashMap<RelPath, u64>, FsError> {
    let areas = anchors.values().filter_map(|anchor| state::area(anchor.directory.as_ref(), &index.package.name));
    let mut staged = HashMap::new();
    for area in areas.collect::<HashSet<RelPath>>() {
        if !matches!(root.look(&area)?, Found::Directory(_)) {
            continue;
        }
        for path in root.names(&area)?.iter().filter_map(|name| area.join(name).ok()) {
            if let Found::File(facts) = root.look(&path)? {
                staged.insert(path, facts.allocated);
            }
        }
    }
    Ok(staged)
}

/// The nearest existing directory, and from there upwards, on the same file system, to one that only root can change.
fn anchor(root: &Root, directory: Option<RelPath>) -> Result<Anchor, FsError> {
    let mut nearest = directory;
    while let Some(path) = &nearest {
        if matches!(root.look_directory(path)?, Found::Directory(_)) {
            break;
        }
        nearest = path.parent();
    }
    let file_system = root.file_system(nearest.as_ref())?;
    let mut trusted = nearest.clone();
    loop {
        if root.only_root_can_write(trusted.as_ref())? {
            return Ok(Anchor { directory: trusted, file_system });
        }
        let Some(path) = trusted else { break };
        trusted = path.parent();
        if !root.file_system(trusted.as_ref())?.is_same_mount(&file_system) {
            break;
        }
    }
    Ok(Anchor { directory: nearest, file_system })
}
