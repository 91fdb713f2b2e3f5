//! Everything below a directory at one moment, to be compared with another.
//! What may differ is said by the test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use payload::Digest;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub inode: u64,
    /// Seconds and nanoseconds.
    pub modified: (i64, i64),
}

/// The kind of a node, with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File(Digest),
    Link(PathBuf),
    Special,
}

/// All nodes below a directory, and the directory itself as the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<PathBuf, Node>);

impl Tree {
    /// Looks at everything.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn of(directory: &Path) -> Result<Self> {
        let mut nodes = BTreeMap::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(path) = pending.pop() {
            let full = directory.join(&path);
            let node = node(&full).with_context(|| format!("looking at {}", full.display()))?;
            if node.kind == Kind::Directory {
                for entry in fs::read_dir(&full)? {
                    pending.push(path.join(entry?.file_name()));
                }
            }
            nodes.insert(path, node);
        }
        Ok(Self(nodes))
    }

    /// What stands at `path`.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.0.get(Path::new(path))
    }

    /// The same without the times of directories, which change when something is made in them and removed again.
    #[must_use]
    pub fn without_directory_times(mut self) -> Self {
        for node in self.0.values_mut().filter(|node| node.kind == Kind::Directory) {
            node.modified = (0, 0);
        }
        self
    }

    /// That nothing differs from `other`.
    ///
    /// # Errors
    /// Names every path that does.
    pub fn equals(&self, other: &Self) -> Result<()> {
        let paths: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let differ: Vec<String> = paths
            .into_iter()
            .filter(|path| self.0.get(*path) != other.0.get(*path))
            .map(|path| format!("{}: {:?} became {:?}", path.display(), self.0.get(path), other.0.get(path)))
            .collect();
        ensure!(differ.is_empty(), "the trees differ:\n{}", differ.join("\n"));
        Ok(())
    }
}

fn node(path: &Path) -> Result<Node> {
    let facts = fs::symlink_metadata(path)?;
    let kind = if facts.is_dir() {
        Kind::Directory
    } else if facts.is_symlink() {
        Kind::Link(fs::read_link(path)?)
    } else if facts.is_file() {
        Kind::File(digest(path)?)
    } else {
        Kind::Special
    };
    Ok(Node {
        kind,
        mode: facts.mode() & 0o7777,
        uid: facts.uid(),
        gid: facts.gid(),
        inode: facts.ino(),
        modified: (facts.mtime(), facts.mtime_nsec()),
    })
}

/// The digest of a file, read in pieces.
///
/// # Errors
/// It cannot be read.
pub fn digest(path: &Path) -> Result<Digest> {
    let mut hasher = payload::Hasher::default();
    std::io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finish())
}
