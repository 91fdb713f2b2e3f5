//! A disk that loses what was not brought to it: the log of a run is replayed, and the state after a power cut is what
//! an fsync had secured. Content and attributes last once their file was synced, names once their directory was.
//! It knows nothing of the host's file system, which secures more than that.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

type Id = usize;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inode {
    mode: u32,
    attributes: Vec<(std::ffi::OsString, Vec<u8>)>,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    Directory(BTreeMap<String, Id>),
    File(Vec<u8>),
    Link(PathBuf),
}

/// The disk, as programs see it and as it will be after a power cut.
#[derive(Debug, Clone)]
pub struct Disk {
    seen: Vec<Inode>,
    lasting: Vec<Inode>,
    /// A rename between directories happens as a whole: it cannot be lost in the second and last in the first.
    renames: Vec<(Id, Id)>,
}

/// What is left of a change that nothing had secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    All,
    /// Some of it, by the bits of this number.
    Some(u64),
}

const ROOT: Id = 0;

impl Disk {
    /// A disk that holds the tree at `root`, all of it lasting.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn load(root: &Path) -> Result<Self> {
        let mut disk = Self { seen: Vec::new(), lasting: Vec::new(), renames: Vec::new() };
        disk.load_inode(root, &mut BTreeMap::new())?;
        disk.lasting.clone_from(&disk.seen);
        Ok(disk)
    }

    fn load_inode(&mut self, path: &Path, known: &mut BTreeMap<u64, Id>) -> Result<Id> {
        let facts = fs::symlink_metadata(path)?;
        if let Some(id) = known.get(&facts.ino()) {
            return Ok(*id);
        }
        let mut attributes = Vec::new();
        if !facts.is_symlink() {
            for name in xattr::list(path).into_iter().flatten() {
                attributes.push((name.clone(), xattr::get(path, &name)?.unwrap_or_default()));
            }
        }
        let id = self.add(Inode { mode: facts.mode() & 0o7777, attributes, body: Body::File(Vec::new()) });
        known.insert(facts.ino(), id);
        let body = if facts.is_dir() {
            let mut names = BTreeMap::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                names.insert(name, self.load_inode(&entry.path(), known)?);
            }
            Body::Directory(names)
        } else if facts.is_symlink() {
            Body::Link(fs::read_link(path)?)
        } else {
            Body::File(fs::read(path)?)
        };
        self.seen[id].body = body;
        Ok(id)
    }

    fn add(&mut self, inode: Inode) -> Id {
        self.seen.push(inode);
        self.seen.len() - 1
    }

    /// Makes a new inode. What it will hold is not lasting yet; a symbolic link is written with its name.
    fn make(&mut self, mode: u32, body: Body) -> Id {
        let empty = match &body {
            Body::Directory(_) => Body::Directory(BTreeMap::new()),
            Body::File(_) => Body::File(Vec::new()),
            Body::Link(target) => Body::Link(target.clone()),
        };
        self.lasting.push(Inode { mode, attributes: Vec::new(), body: empty });
        self.add(Inode { mode, attributes: Vec::new(), body })
    }

    fn names(&mut self, id: Id) -> Result<&mut BTreeMap<String, Id>> {
        match &mut self.seen[id].body {
            Body::Directory(names) => Ok(names),
            _ => bail!("not a directory"),
        }
    }

    fn find(&mut self, path: &str) -> Result<Id> {
        let mut id = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            id = *self.names(id)?.get(name).with_context(|| format!("{path} does not exist"))?;
        }
        Ok(id)
    }

    fn parent<'a>(&mut self, path: &'a str) -> Result<(Id, &'a str)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.find(parent)?, name))
    }

    fn add_name(&mut self, path: &str, id: Id) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        self.names(parent)?.insert(name.to_owned(), id);
        Ok(())
    }

    fn leave(&mut self, path: &str) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        self.names(parent)?.remove(name);
        Ok(())
    }

    /// Does what one line of the log says; tells whether something became lasting.
    ///
    /// # Errors
    /// The line does not fit the disk.
    pub fn replay(&mut self, line: &Value) -> Result<bool> {
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        let number = |key: &str| usize::try_from(line[key].as_u64().unwrap_or(0)).unwrap_or(0);
        let path = text("path");
        match text("op") {
            "mkdir" => {
                let id = self.make(0o700, Body::Directory(BTreeMap::new()));
                self.add_name(path, id)?;
            }
            "create" if self.find(path).is_err() => {
                let id = self.make(0o600, Body::File(Vec::new()));
                self.add_name(path, id)?;
            }
            "create" | "reserve" => {}
            "symlink" => {
                let id = self.make(0o777, Body::Link(text("target").into()));
                self.add_name(path, id)?;
            }
            "attributes" => {
                let id = self.find(path)?;
                self.seen[id].mode = u32::try_from(number("mode"))?;
            }
            "write" | "truncate" => {
                let id = self.find(path)?;
                let Body::File(content) = &mut self.seen[id].body else { bail!("{path} is no file") };
                let bytes: Vec<u8> = serde_json::from_value(line["bytes"].clone()).unwrap_or_default();
                let end = if text("op") == "write" { number("offset") + bytes.len() } else { number("length") };
                if text("op") == "truncate" || content.len() < end {
                    content.resize(end, 0);
                }
                content[end - bytes.len()..end].copy_from_slice(&bytes);
            }
            "link" => {
                let id = self.find(text("from"))?;
                self.add_name(path, id)?;
            }
            "rename" => {
                let id = self.find(text("from"))?;
                let (from, to) = (self.parent(text("from"))?.0, self.parent(path)?.0);
                self.leave(text("from"))?;
                self.add_name(path, id)?;
                self.renames.push((from, to));
            }
            "exchange" => {
                let (one, other) = (self.find(text("from"))?, self.find(path)?);
                let (from, to) = (self.parent(text("from"))?.0, self.parent(path)?.0);
                self.add_name(text("from"), other)?;
                self.add_name(path, one)?;
                self.renames.extend([(from, to), (to, from)]);
            }
            "unlink" | "rmdir" => self.leave(path)?,
            "fsync" => {
                let id = self.find(path)?;
                return Ok(self.secure(id));
            }
            "fsync-parent" => {
                let (id, _) = self.parent(path)?;
                return Ok(self.secure(id));
            }
            other => bail!("the log has {other:?}"),
        }
        Ok(false)
    }

    fn secure(&mut self, id: Id) -> bool {
        let changed = self.lasting[id] != self.seen[id];
        self.lasting[id] = self.seen[id].clone();
        self.renames.retain(|(from, to)| *from != id && *to != id);
        changed
    }

    /// Writes the tree as it is after a power cut to `root`, which must not exist.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn cut(&self, loss: Loss, root: &Path) -> Result<()> {
        let mut survives: Vec<bool> = match loss {
            Loss::All => vec![false; self.seen.len()],
            Loss::Some(bits) => {
                (0..self.seen.len()).map(|id| bits.rotate_right(u32::try_from(id % 64).unwrap_or(0)) & 1 == 1).collect()
            }
        };
        for (from, to) in &self.renames {
            survives[*to] |= survives[*from];
        }
        self.write(ROOT, &survives, root, &mut BTreeMap::new())
    }

    fn write(&self, id: Id, survives: &[bool], path: &Path, written: &mut BTreeMap<Id, PathBuf>) -> Result<()> {
        let inode = if survives[id] { &self.seen[id] } else { &self.lasting[id] };
        if let (Some(first), Body::File(_)) = (written.get(&id), &inode.body) {
            return Ok(fs::hard_link(first, path)?);
        }
        written.insert(id, path.to_owned());
        match &inode.body {
            Body::Directory(names) => {
                fs::create_dir(path)?;
                for (name, below) in names {
                    self.write(*below, survives, &path.join(name), written)?;
                }
            }
            Body::File(content) => fs::write(path, content)?,
            Body::Link(target) => return Ok(symlink(target, path)?),
        }
        for (name, value) in &inode.attributes {
            xattr::set(path, name, value)?;
        }
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(inode.mode))?)
    }
}
