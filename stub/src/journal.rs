//! The journal of an unfinished installation: every step is in it, on the disk, before it is taken.
//! How a step is undone is in `step.rs`; the JSON form of a line is in `journal/v1.rs`.

mod v1;

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use payload::index::PackageName;
use payload::{Digest, RelPath};

use crate::failpoint;
use crate::root::{Cause, FsError, Root};
use crate::state;
use crate::step::Step;

/// What an unfinished journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub header: Header,
    /// In the order in which they were begun. The last one may not have happened.
    pub steps: Vec<Step>,
}

/// The first line of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Digest of the index that is being installed.
    pub index: Digest,
    /// The generation the receipt has once the installation is complete.
    pub generation: u64,
    pub areas: Vec<RelPath>,
    /// Directories for the installer's own files that did not exist before, the outermost first.
    pub made: Vec<RelPath>,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: RelPath,
    length: u64,
}

/// Why a journal cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    #[error(
        "the journal has format version {found}, this program reads up to version {known}: use the newer installer"
    )]
    Newer { found: u32, known: u32 },
    #[error("the journal cannot be used: {0}")]
    Broken(String),
}

impl Journal {
    /// Starts the journal of an installation.
    pub fn start(root: &Root, package: &PackageName, header: &Header) -> Result<Self, FsError> {
        let path = state::journal(package);
        root.write_atomically(&path, &v1::header_line(header), payload::Mode::READABLE)?;
        let file = root.open_staged(&path)?;
        let length = file.metadata().map_err(failed(&path))?.len();
        Ok(Self { file, path, length })
    }

    /// Writes down that `step` is about to be taken, and waits until that is on the disk.
    pub fn begin(&mut self, step: &Step) -> Result<(), FsError> {
        failpoint::before("journal", &self.path)?;
        let line = v1::step_line(step);
        self.file.write_all_at(&line, self.length).map_err(failed(&self.path))?;
        self.file.sync_data().map_err(failed(&self.path))?;
        self.length += line.len() as u64;
        Ok(())
    }
}

/// Reads a journal. A last line that was cut off by a crash was never acted on, and is left out.
pub fn parse(bytes: &[u8]) -> Result<Unfinished, JournalError> {
    v1::parse(bytes)
}

fn failed(path: &RelPath) -> impl FnOnce(std::io::Error) -> FsError {
    let path = path.to_string();
    move |error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32));
        FsError { action: "write", path, cause: Cause::System(errno) }
    }
}
