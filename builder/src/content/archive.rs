//! Archives from upstream, taken apart: which members there are, their content on disk with its digest.
//! Which of them are wanted is decided in `archive/select.rs`; where they go, in `place/binary.rs`.

mod directory;
mod exclude;
mod format;
mod members;
mod select;
mod tape;
#[cfg(test)]
pub(crate) mod tests;
mod zipped;

use std::path::{Path, PathBuf};

use payload::Digest;

use crate::content::error::ContentError;
use crate::fetch::artifact::Artifact;

pub(crate) use exclude::Exclude;
pub(crate) use format::problem;
pub(crate) use members::{Member, Members};
pub(crate) use select::{Selection, listing, select};

/// What an archive may cost at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes after decompression, all members and headers together.
    pub(crate) bytes: u64,
    pub(crate) members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 30, members: 200_000 }
    }
}

/// A regular file on this machine's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnDisk {
    pub(crate) path: PathBuf,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// What an external binary turned out to be.
#[derive(Debug)]
pub(crate) enum Unpacked {
    /// A single program, without an archive around it.
    Program(OnDisk),
    Members(Members),
    /// Neither an archive nor a program; says what it is instead.
    Neither(String),
}

/// Takes `artifact` apart. Unpacked files go into `workdir`, which is made, under names of their own.
pub(crate) fn unpack(
    artifact: &Artifact,
    exclude: &Exclude,
    limits: Limits,
    workdir: &Path,
) -> Result<Unpacked, ContentError> {
    std::fs::create_dir_all(workdir).map_err(ContentError::io("make the directory", workdir))?;
    match artifact {
        Artifact::File(file) => format::unpack(file, members::Sink::new(&file.location, exclude, limits, workdir)),
        Artifact::Directory { path } => {
            let location = path.display().to_string();
            directory::walk(path, members::Sink::new(&location, exclude, limits, workdir)).map(Unpacked::Members)
        }
        Artifact::Model(_) => Ok(Unpacked::Neither("a model of a registry".to_owned())),
    }
}
