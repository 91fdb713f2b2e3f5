//! A whole directory tree as a value: types, modes, owners, link groups, link targets, contents, extended attributes.
//! Two trees are the same when these values are equal; when they differ, the difference can be printed.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use payload::Digest;

/// What stands at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    kind: Kind,
    mode: u32,
    owner: (u32, u32),
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Directory,
    /// With the first path, in order, that is the same file.
    File {
        content: Digest,
        size: u64,
        same_as: PathBuf,
    },
    Link {
        target: PathBuf,
    },
    Fifo,
    Other,
}

/// Every path below a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    entries: BTreeMap<PathBuf, Entry>,
}

/// What the account tools of the host write beside what they were asked for: the previous versions and the lock.
const OF_TOOLS: [&str; 8] = [
    "etc/.pwd.lock",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "etc/subuid",
];

impl Tree {
    /// Reads the tree below `root`; the directory itself is in it too, as the empty path.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        Self::read_some(root, &[""])
    }

    /// As [`Tree::read`], of these directories below `root` alone, as far as they exist.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn read_some(root: &Path, directories: &[&str]) -> Result<Self> {
        let mut tree = Self::default();
        let mut seen = HashMap::new();
        for directory in directories.iter().filter(|directory| root.join(directory).exists()) {
            tree.add(root, PathBuf::from(directory), &mut seen)?;
        }
        tree.entries.retain(|path, _| !OF_TOOLS.iter().any(|of_tools| path == Path::new(of_tools)));
        Ok(tree)
    }

    fn add(&mut self, root: &Path, path: PathBuf, seen: &mut HashMap<(u64, u64), PathBuf>) -> Result<()> {
        let full = root.join(&path);
        let facts = fs::symlink_metadata(&full).with_context(|| format!("{}", full.display()))?;
        let kind = if facts.is_dir() {
            let mut names: Vec<_> = fs::read_dir(&full)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
            names.sort();
            for name in names {
                self.add(root, path.join(name), seen)?;
            }
            Kind::Directory
        } else if facts.is_symlink() {
            Kind::Link { target: fs::read_link(&full)? }
        } else if facts.is_file() {
            let same_as = seen.entry((facts.dev(), facts.ino())).or_insert_with(|| path.clone()).clone();
            let content = Digest::of(&fs::read(&full)?);
            Kind::File { content, size: facts.len(), same_as }
        } else if facts.file_type().is_fifo() {
            Kind::Fifo
        } else {
            Kind::Other
        };
        let attributes = if facts.is_symlink() { Vec::new() } else { attributes(&full)? };
        let entry = Entry { kind, mode: facts.mode() & 0o7777, owner: (facts.uid(), facts.gid()), attributes };
        self.entries.insert(path, entry);
        Ok(())
    }

    /// Whether there is something at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.entries.contains_key(Path::new(path))
    }

    /// The same tree without what is at or below `path`.
    #[must_use]
    pub fn without(&self, path: &str) -> Self {
        let entries = self.entries.iter().filter(|(known, _)| !known.starts_with(path));
        Self { entries: entries.map(|(path, entry)| (path.clone(), entry.clone())).collect() }
    }

    /// What is the same in both.
    #[must_use]
    pub fn shared_with(&self, other: &Self) -> Self {
        let entries = self.entries.iter().filter(|(path, entry)| other.entries.get(*path) == Some(entry));
        Self { entries: entries.map(|(path, entry)| (path.clone(), entry.clone())).collect() }
    }

    /// What of this tree is gone from `other`, or different there.
    pub fn lacking_in(&self, other: &Self) -> String {
        let entries = other.entries.iter().filter(|(path, _)| self.entries.contains_key(*path));
        let known = Self { entries: entries.map(|(path, entry)| (path.clone(), entry.clone())).collect() };
        self.difference(&known)
    }

    /// How `other` differs from this tree, one line for each path; empty when they are the same.
    pub fn difference(&self, other: &Self) -> String {
        let mut lines = Vec::new();
        for (path, entry) in &self.entries {
            match other.entries.get(path) {
                None => lines.push(format!("- /{}: gone, was {entry:?}", path.display())),
                Some(found) if found != entry => {
                    lines.push(format!("! /{}: {entry:?} became {found:?}", path.display()));
                }
                Some(_) => {}
            }
        }
        for (path, entry) in other.entries.iter().filter(|(path, _)| !self.entries.contains_key(*path)) {
            lines.push(format!("+ /{}: {entry:?}", path.display()));
        }
        lines.join("\n")
    }
}

fn attributes(path: &Path) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    let Ok(names) = xattr::list(path) else { return Ok(found) };
    for name in names {
        let value = xattr::get(path, &name)?.unwrap_or_default();
        found.push((name.as_encoded_bytes().to_vec(), value));
    }
    found.sort();
    Ok(found)
}

/// Copies a tree with everything that [`Tree`] compares.
///
/// # Errors
/// Something cannot be copied.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").args(["-a", "--"]).args([from, to]).status().context("cp")?;
    ensure!(status.success(), "cp -a {} {}: {status}", from.display(), to.display());
    Ok(())
}
