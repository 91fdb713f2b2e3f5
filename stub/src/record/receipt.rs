//! The receipt: what an installed package put on this machine, and what was there before.
//! Its JSON form is in `receipt/v1.rs`; where it is kept is in `state.rs`.

mod one_by_one;
mod v1;

use std::collections::BTreeSet;
use std::io::{self, Write};

use payload::index::{PackageName, Role};
use payload::{Digest, Mode, Owner, RelPath};

use crate::host::account::MadeAccount;
use crate::host::contents::Known;
use crate::host::models;
use crate::host::root::Stat;
use crate::record::choice::Choice;
use crate::record::listed::{HasPath, Listed};
use crate::record::version_order;

/// What is known about an installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Counts the completed installations of this package on this machine.
    pub generation: u64,
    pub package: PackageName,
    pub version: String,
    /// Digest of the `index.json` that was installed.
    pub index: Digest,
    /// The trusted key that vouched for it.
    pub signed_by: Option<SignedBy>,
    /// Version of the stub that wrote this.
    pub stub_version: String,
    pub prefix: RelPath,
    /// What the package's services run as, whoever made these accounts.
    pub account: Option<Owner>,
    /// Accounts that were made for the package.
    pub user: Option<MadeAccount>,
    pub group: Option<MadeAccount>,
    pub directories: Listed<DirectoryEntry>,
    pub files: Listed<FileEntry>,
    /// Version of the installer that is the command among these files.
    pub command_version: Option<String>,
    pub links: Listed<LinkEntry>,
    pub units: Vec<String>,
    pub models: Vec<String>,
    /// Which optional components the machine has.
    pub choice: Choice,
    /// Directories for the installer's own files that did not exist before, the outermost first.
    pub made: Vec<RelPath>,
}

/// A key that signed a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    pub key_id: String,
    pub fingerprint: Digest,
}

/// Whether something was put there by this package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Created,
    /// It took the place of a file that is kept at `backup`, and is recognised there by its `digest`.
    Replaced {
        backup: RelPath,
        digest: Digest,
    },
    AlreadyPresent,
}

/// A directory of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    pub path: RelPath,
    pub origin: Origin,
}

/// A file of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    pub path: RelPath,
    pub digest: Digest,
    pub size: u64,
    pub mode: Mode,
    pub owner: Owner,
    pub role: Role,
    pub origin: Origin,
    /// As it was installed: while they are these, the content is what it was. `None` where they would prove nothing.
    pub stat: Option<Stat>,
}

/// A link of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEntry {
    pub path: RelPath,
    pub target: LinkTarget,
    pub origin: Origin,
    /// Of a hard link: of the file that it is, as of a file itself.
    pub stat: Option<Stat>,
}

impl HasPath for DirectoryEntry {
    fn path(&self) -> &RelPath {
        &self.path
    }
}

impl HasPath for FileEntry {
    fn path(&self) -> &RelPath {
        &self.path
    }
}

impl HasPath for LinkEntry {
    fn path(&self) -> &RelPath {
        &self.path
    }
}

/// What a link points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkTarget {
    Hard(RelPath),
    Symbolic(String),
}

/// Why a receipt cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    #[error("it has format version {found}, this program reads up to version {known}: use the newer installer")]
    Newer { found: u32, known: u32 },
    #[error("{0}")]
    Broken(String),
}

impl Receipt {
    /// Reads a receipt of any version that was ever released.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ReceiptError> {
        v1::parse(bytes)
    }

    /// Writes the JSON form of the newest version.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_json(&self, out: impl Write) -> io::Result<()> {
        v1::write(self, out)
    }

    /// The content recorded at `path`: of a file, or of the file that a hard link is a second name of.
    pub fn content(&self, path: &RelPath) -> Option<&FileEntry> {
        match self.links.at(path).map(|link| &link.target) {
            Some(LinkTarget::Hard(to)) => self.file(to),
            Some(LinkTarget::Symbolic(_)) => None,
            None => self.file(path),
        }
    }

    /// Adds the contents that this receipt vouches for.
    pub fn tell(&self, known: &mut Known) {
        for file in &self.files {
            if let Some(stat) = file.stat {
                known.add(stat, file.digest);
            }
        }
        for link in &self.links {
            if let (Some(stat), Some(file)) = (link.stat, self.content(&link.path)) {
                known.add(stat, file.digest);
            }
        }
    }

    /// The target of the symbolic link recorded at `path`.
    pub fn link_target(&self, path: &RelPath) -> Option<&str> {
        self.links.at(path).and_then(|link| match &link.target {
            LinkTarget::Symbolic(target) => Some(target.as_str()),
            LinkTarget::Hard(_) => None,
        })
    }

    /// Whether the package has something at `path`.
    pub fn has(&self, path: &RelPath) -> bool {
        self.file(path).is_some() || self.directories.at(path).is_some() || self.links.at(path).is_some()
    }

    /// What was put there by this package, and in the place of what.
    pub fn made_by_it(&self) -> impl Iterator<Item = (&RelPath, &Origin)> {
        let directories = self.directories.iter().map(|entry| (&entry.path, &entry.origin));
        let files = self.files.iter().map(|entry| (&entry.path, &entry.origin));
        let links = self.links.iter().map(|entry| (&entry.path, &entry.origin));
        directories.chain(files).chain(links).filter(|(_, origin)| **origin != Origin::AlreadyPresent)
    }

    /// What of this `stands` still, without services and the installer's own command; `None` when that is nothing.
    pub fn left(&self, stands: impl Fn(&RelPath) -> bool, user: bool, group: bool) -> Option<Self> {
        let is_left = |path: &RelPath, origin: &Origin| {
            let backup = matches!(origin, Origin::Replaced { backup, .. } if stands(backup));
            *origin != Origin::AlreadyPresent && (stands(path) || backup)
        };
        let directories = self.directories.iter().filter(|entry| is_left(&entry.path, &entry.origin));
        let files =
            self.files.iter().filter(|entry| entry.role != Role::Installer && is_left(&entry.path, &entry.origin));
        let links = self.links.iter().filter(|entry| is_left(&entry.path, &entry.origin));
        let left = Self {
            user: self.user.clone().filter(|_| user),
            group: self.group.clone().filter(|_| group),
            directories: directories.cloned().collect(),
            files: files.cloned().collect(),
            links: links.cloned().collect(),
            command_version: None,
            units: Vec::new(),
            ..self.clone()
        };
        (left.user.is_some() || left.group.is_some() || left.made_by_it().next().is_some()).then_some(left)
    }

    /// The model stores that it has models in.
    pub fn stores(&self) -> BTreeSet<RelPath> {
        let manifests = self.files.iter().filter(|file| file.role == Role::ModelManifest);
        manifests.filter_map(|file| models::store_of(&file.path)).collect()
    }

    /// The file recorded at `path`.
    pub fn file(&self, path: &RelPath) -> Option<&FileEntry> {
        self.files.at(path)
    }

    /// The installer's own command, which came with the package or was there already.
    pub fn command(&self) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.role == Role::Installer)
    }

    /// Whether that is at `path`.
    pub fn has_command(&self, path: &RelPath) -> bool {
        self.command().is_some_and(|command| command.path == *path)
    }

    /// Whether a package put it there, and not somebody else.
    pub fn made_command(&self) -> bool {
        self.command().is_some_and(|command| command.origin != Origin::AlreadyPresent)
    }

    /// What stands in the place of the command is somebody else's.
    pub fn give_up_command(&mut self) {
        self.files.retain(|file| file.role != Role::Installer);
        self.command_version = None;
    }

    /// Takes over what `other` knows about the command that both have, when that is a newer one.
    pub fn adopt_command(&mut self, other: &Self) {
        let (Some(theirs), Some(version)) = (other.command(), &other.command_version) else { return };
        let mine = self.files.at_mut(&theirs.path).filter(|file| file.role == Role::Installer);
        let known = self.command_version.as_deref().unwrap_or_default();
        if let Some(mine) = mine.filter(|_| version_order::compare(version, known).is_gt()) {
            (mine.digest, mine.size, mine.mode, mine.stat) = (theirs.digest, theirs.size, theirs.mode, theirs.stat);
            self.command_version = Some(version.clone());
        }
    }

    /// Where a path of the package came from; what is not recorded was there before.
    pub fn origin(&self, path: &RelPath) -> Origin {
        let file = self.file(path).map(|entry| &entry.origin);
        let directory = self.directories.at(path).map(|entry| &entry.origin);
        let link = self.links.at(path).map(|entry| &entry.origin);
        file.or(directory).or(link).cloned().unwrap_or(Origin::AlreadyPresent)
    }
}
