//! One change of the target's file system as a value: for error messages, for trying again after a signal, and for the
//! places where tests interfere. The system calls are made in `root.rs`.

use std::fs::File;

use nix::errno::Errno;
use payload::{Mode, RelPath, disk};

use crate::host::failpoint;
use crate::host::root::{Cause, FsError};

/// A change that is about to be made.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "failpoints"), expect(dead_code, reason = "only tests look into a change"))]
pub enum Change<'a> {
    MakeDirectory(&'a RelPath),
    SetAttributes {
        path: &'a RelPath,
        mode: Mode,
        owner: Option<(u32, u32)>,
    },
    Create(&'a RelPath),
    Write {
        path: &'a RelPath,
        file: &'a File,
        offset: u64,
        bytes: &'a [u8],
    },
    Truncate {
        path: &'a RelPath,
        length: u64,
    },
    /// Sets room aside for so many bytes, or shares them with a file that has them.
    Reserve {
        path: &'a RelPath,
        length: u64,
    },
    SyncFile(&'a RelPath),
    /// Brings the directory that holds this path to the disk.
    SyncDirectoryOf(&'a RelPath),
    Link {
        from: &'a RelPath,
        to: &'a RelPath,
    },
    MakeSymbolicLink {
        path: &'a RelPath,
        target: &'a str,
    },
    Rename {
        from: &'a RelPath,
        to: &'a RelPath,
    },
    Exchange {
        one: &'a RelPath,
        other: &'a RelPath,
    },
    Remove(&'a RelPath),
    RemoveDirectory(&'a RelPath),
}

impl Change<'_> {
    /// What it does, as it reads after "cannot".
    pub fn action(&self) -> &'static str {
        match self {
            Self::MakeDirectory(_) => "make directory",
            Self::SetAttributes { .. } => "set mode and owner of",
            Self::Create(_) | Self::Link { .. } => "create",
            Self::Write { .. } | Self::Truncate { .. } | Self::Reserve { .. } | Self::SyncFile(_) => "write",
            Self::SyncDirectoryOf(_) => "write the directory of",
            Self::MakeSymbolicLink { .. } => "make the link",
            Self::Rename { .. } | Self::Exchange { .. } => "replace",
            Self::Remove(_) | Self::RemoveDirectory(_) => "remove",
        }
    }

    /// The path that is changed.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::MakeDirectory(path)
            | Self::Create(path)
            | Self::SyncFile(path)
            | Self::SyncDirectoryOf(path)
            | Self::Remove(path)
            | Self::RemoveDirectory(path)
            | Self::SetAttributes { path, .. }
            | Self::Write { path, .. }
            | Self::Truncate { path, .. }
            | Self::Reserve { path, .. }
            | Self::MakeSymbolicLink { path, .. }
            | Self::Link { to: path, .. }
            | Self::Rename { to: path, .. }
            | Self::Exchange { other: path, .. } => path,
        }
    }

    /// Makes the change, again when a signal came in between.
    pub fn make<T>(self, call: impl Fn() -> nix::Result<T>) -> Result<T, FsError> {
        loop {
            match failpoint::around(&self, &call) {
                Err(Errno::EINTR) => {}
                Ok(value) => return Ok(value),
                Err(errno) => {
                    let path = self.path().to_string();
                    return Err(FsError { action: self.action(), path, cause: Cause::System(errno) });
                }
            }
        }
    }
}

/// Writes all of `bytes` at `offset` of a file that is at `path`.
pub fn write(path: &RelPath, file: &File, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
    Change::Write { path, file, offset, bytes }
        .make(|| disk::write_all_at(file, bytes, offset).map_err(|error| errno(&error)))
}

/// Cuts or extends a file to `length` bytes.
pub fn truncate(path: &RelPath, file: &File, length: u64) -> Result<(), FsError> {
    Change::Truncate { path, length }.make(|| file.set_len(length).map_err(|error| errno(&error)))
}

/// Brings the content of a file to the disk.
pub fn sync_file(path: &RelPath, file: &File) -> Result<(), FsError> {
    Change::SyncFile(path).make(|| file.sync_all().map_err(|error| errno(&error)))
}

/// The system's number of an error; an I/O error when it has none.
pub fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
