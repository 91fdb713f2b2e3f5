//! The members of an archive: collected from any format, checked, their bytes on disk under names of our own.
//! The formats are read in `tape.rs`, `zipped.rs` and `directory.rs`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use payload::{Hasher, RelPath, printable};

use crate::content::error::ContentError;

use super::{Exclude, Limits, OnDisk};

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Member {
    Directory,
    File { content: OnDisk, executable: bool },
    SymbolicLink { target: String },
    HardLink { to: RelPath },
}

/// All members of an archive that passed the checks.
#[derive(Debug)]
pub(crate) struct Members {
    /// What messages call the archive.
    pub(crate) location: String,
    pub(crate) list: BTreeMap<RelPath, Member>,
    /// Members that a pattern took away, with that pattern.
    pub(crate) excluded: Vec<(RelPath, String)>,
    /// The directory at the top that holds everything, when there is one.
    pub(crate) top: Option<RelPath>,
}

/// Longest target of a symbolic link, as in Linux.
pub(super) const MAX_TARGET: u64 = 4096;
const SPECIAL_BITS: u32 = 0o6000;
/// Directories that stand for themselves at the top of an archive, never for the archive's name.
const WELL_KNOWN: [&str; 6] = ["bin", "lib", "lib64", "libexec", "share", "usr"];

/// Takes members in, one after the other.
pub(super) struct Sink<'a> {
    pub(super) location: &'a str,
    exclude: &'a Exclude,
    pub(super) limits: Limits,
    workdir: &'a Path,
    list: BTreeMap<RelPath, Member>,
    excluded: Vec<(RelPath, String)>,
    seen: usize,
    written: u64,
}

impl<'a> Sink<'a> {
    pub(super) fn new(location: &'a str, exclude: &'a Exclude, limits: Limits, workdir: &'a Path) -> Self {
        let (list, excluded) = (BTreeMap::new(), Vec::new());
        Self { location, exclude, limits, workdir, list, excluded, seen: 0, written: 0 }
    }

    pub(super) fn refused(&self, problem: impl Into<String>) -> ContentError {
        ContentError::Refused { archive: self.location.to_owned(), problem: problem.into() }
    }

    /// What went wrong while decoding the archive.
    pub(super) fn damaged(&self, error: &std::io::Error) -> ContentError {
        if error.kind() == std::io::ErrorKind::FileTooLarge {
            return self.refused(error.to_string());
        }
        ContentError::Damaged { archive: self.location.to_owned(), problem: error.to_string() }
    }

    /// The path of a member; `None` for the root of the archive, and for what a pattern takes away.
    pub(super) fn path(&mut self, raw: &[u8]) -> Result<Option<RelPath>, ContentError> {
        self.seen += 1;
        if self.seen > self.limits.members {
            return Err(self.refused(format!("it has more than {} members", self.limits.members)));
        }
        let Ok(text) = std::str::from_utf8(raw) else {
            let name = printable(&String::from_utf8_lossy(raw));
            return Err(self.refused(format!("the name of member {name:?} is not UTF-8")));
        };
        if text.starts_with('/') {
            return Err(self.refused(format!("member path {:?} is absolute", printable(text))));
        }
        let mut plain = text;
        while let Some(rest) = plain.strip_prefix("./") {
            plain = rest.trim_start_matches('/');
        }
        let plain = plain.trim_end_matches('/');
        if plain.is_empty() || plain == "." {
            return Ok(None);
        }
        let path: RelPath = plain.parse().map_err(|error| self.refused(format!("member {error}")))?;
        let Some(pattern) = self.exclude.matching(plain) else { return Ok(Some(path)) };
        self.excluded.push((path, pattern.to_owned()));
        Ok(None)
    }

    pub(super) fn directory(&mut self, path: RelPath) -> Result<(), ContentError> {
        match self.list.get(&path) {
            None | Some(Member::Directory) => {
                self.list.insert(path, Member::Directory);
                Ok(())
            }
            Some(_) => Err(self.duplicate(&path)),
        }
    }

    fn duplicate(&self, path: &RelPath) -> ContentError {
        self.refused(format!("it has two members named {:?}", path.as_str()))
    }

    pub(super) fn add(&mut self, path: RelPath, member: Member) -> Result<(), ContentError> {
        if self.list.contains_key(&path) {
            return Err(self.duplicate(&path));
        }
        self.list.insert(path, member);
        Ok(())
    }

    /// Refuses programs that run as another account than the caller's.
    pub(super) fn check_mode(&self, path: &RelPath, mode: u32) -> Result<(), ContentError> {
        if mode & SPECIAL_BITS == 0 {
            return Ok(());
        }
        let problem = format!("member {:?} has a set-uid or set-gid bit (mode {mode:04o})", path.as_str());
        Err(self.refused(format!("{problem}; exclude it if it is not needed")))
    }

    /// A regular file of `size` bytes, copied from `reader` into the working directory.
    pub(super) fn file(&mut self, path: RelPath, mode: u32, size: u64, reader: impl Read) -> Result<(), ContentError> {
        self.check_mode(&path, mode)?;
        if self.list.contains_key(&path) {
            return Err(self.duplicate(&path));
        }
        let content = self.store(reader)?;
        if content.size != size {
            let problem = format!("member {:?} has {} bytes, not {size}", path.as_str(), content.size);
            return Err(ContentError::Damaged { archive: self.location.to_owned(), problem });
        }
        self.add(path, Member::File { content, executable: mode & 0o111 != 0 })
    }

    /// Copies `reader` into a new file of the working directory.
    pub(super) fn store(&mut self, mut reader: impl Read) -> Result<OnDisk, ContentError> {
        let path = self.workdir.join(self.list.len().to_string());
        let mut file = File::create_new(&path).map_err(ContentError::io("make the file", &path))?;
        let (mut hasher, mut size) = (Hasher::default(), 0);
        let mut buffer = vec![0; 256 << 10];
        loop {
            let length = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.damaged(&error)),
            };
            let bytes = &buffer[..length];
            size += length as u64;
            self.count(length as u64)?;
            hasher.update(bytes);
            file.write_all(bytes).map_err(ContentError::io("write to", &path))?;
        }
        Ok(OnDisk { path, size, digest: hasher.finish() })
    }

    /// Counts bytes towards the limit.
    pub(super) fn count(&mut self, bytes: u64) -> Result<(), ContentError> {
        self.written = self.written.saturating_add(bytes);
        if self.written > self.limits.bytes {
            return Err(self.refused(too_large(self.limits.bytes)));
        }
        Ok(())
    }

    /// Checks what can only be seen once all members are known.
    pub(super) fn finish(self) -> Result<Members, ContentError> {
        for (path, member) in &self.list {
            for above in path.ancestors() {
                if self.list.get(&above).is_some_and(|above| *above != Member::Directory) {
                    let (path, above) = (path.as_str(), above.as_str());
                    return Err(self.refused(format!("member {path:?} lies below {above:?}, which is no directory")));
                }
            }
            if let Member::HardLink { to } = member {
                self.check_hard_link(path, to)?;
            }
        }
        let top = top(&self.list);
        let Self { location, exclude, mut list, mut excluded, .. } = self;
        if let Some(top) = &top {
            list.retain(|path, _| match below(path, top).and_then(|inner| exclude.matching(inner)) {
                Some(pattern) => {
                    excluded.push((path.clone(), pattern.to_owned()));
                    false
                }
                None => true,
            });
        }
        Ok(Members { location: location.to_owned(), list, excluded, top })
    }

    fn check_hard_link(&self, path: &RelPath, to: &RelPath) -> Result<(), ContentError> {
        if matches!(self.list.get(to), Some(Member::File { .. })) {
            return Ok(());
        }
        let excluded = self.excluded.iter().find(|(excluded, _)| excluded == to);
        let reason = match excluded {
            Some((_, pattern)) => format!("which exclude pattern {pattern:?} takes away; exclude both"),
            None => "which is no file of the archive".to_owned(),
        };
        Err(self.refused(format!("hard link {:?} names {:?}, {reason}", path.as_str(), to.as_str())))
    }
}

pub(super) fn too_large(limit: u64) -> String {
    format!("it is larger than {limit} bytes when unpacked")
}

/// The part of `path` below `top`.
pub(super) fn below<'a>(path: &'a RelPath, top: &RelPath) -> Option<&'a str> {
    path.as_str().strip_prefix(top.as_str())?.strip_prefix('/')
}

fn top(list: &BTreeMap<RelPath, Member>) -> Option<RelPath> {
    let name = list.keys().next()?.components().next()?;
    let same = list.iter().all(|(path, member)| {
        path.components().next() == Some(name) && (path.as_str() != name || *member == Member::Directory)
    });
    if same && !WELL_KNOWN.contains(&name) { name.parse().ok() } else { None }
}
