//! The journal of an unfinished installation: every step is in it, on the disk, before it is taken.
//! How a step is undone is in `plan/step.rs`; the JSON form of a line is in `journal/v1.rs`.

mod v1;

use std::fs::File;

use payload::index::PackageName;
use payload::{Digest, RelPath};

use crate::host::change;
use crate::host::root::{FsError, Root};
use crate::plan::step::Step;
use crate::record::state;

/// What an unfinished journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub header: Header,
    /// In the order in which they were begun. The last one may not have happened.
    pub steps: Vec<Begun>,
}

/// A step that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    pub step: Step,
    /// Where its line starts in the journal, in bytes.
    pub offset: u64,
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
    /// Whether systemd is told when the units are back as they were.
    pub reload: bool,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: RelPath,
    length: u64,
    /// Where the line of the step that was begun last starts.
    last: u64,
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
    /// Starts the journal of an installation; takes the place of one whose steps were undone.
    pub fn start(root: &Root, package: &PackageName, header: &Header, program: &[u8]) -> Result<Self, FsError> {
        let path = state::journal(package);
        let line = v1::header_line(header);
        state::start_journal(root, package, &line, program)?;
        let file = root.open_staged(&path)?;
        let length = line.len() as u64;
        Ok(Self { file, path, length, last: length })
    }

    /// Writes down that `step` is about to be taken, and waits until that is on the disk.
    pub fn begin(&mut self, step: &Step) -> Result<(), FsError> {
        let line = v1::step_line(step);
        change::write(&self.path, &self.file, self.length, &line)?;
        change::sync_file(&self.path, &self.file)?;
        self.last = self.length;
        self.length += line.len() as u64;
        Ok(())
    }

    /// Takes the line of a step back that did nothing.
    pub fn give_up_last(&mut self) -> Result<(), FsError> {
        change::truncate(&self.path, &self.file, self.last)?;
        change::sync_file(&self.path, &self.file)?;
        self.length = self.last;
        Ok(())
    }
}

/// Takes back a step that was undone, and everything after it: nothing is undone twice.
pub fn take_back(root: &Root, package: &PackageName, begun: &Begun) -> Result<(), FsError> {
    let path = state::journal(package);
    let file = root.open_staged(&path)?;
    change::truncate(&path, &file, begun.offset)?;
    change::sync_file(&path, &file)
}

/// Reads a journal. A last line that was cut off by a crash was never acted on, and is left out.
pub fn parse(bytes: &[u8]) -> Result<Unfinished, JournalError> {
    v1::parse(bytes)
}
