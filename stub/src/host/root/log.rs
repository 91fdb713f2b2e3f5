//! Files that grow at their end, in a directory of root's: opened, moved aside when they are full, and never a reason to fail.
//! What is written into them is in `record/log.rs`. No change of the installation's own: a crash in here leaves a shorter log.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode as Bits, SFlag, fstat, mkdirat};
use payload::RelPath;

use super::{Cause, Found, FsError, Result, Root, failed};

/// A file to which lines are added.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    size: u64,
}

impl Root {
    /// Opens the file at `path` to add lines to it, once it has `full` bytes a fresh one: the full one is moved to `aside`,
    /// over an earlier one. Its directory is made, if it may be, where the one above is there; `None` where there is none.
    pub fn open_log(&self, path: &RelPath, aside: &RelPath, full: u64, make: bool) -> Result<Option<LogFile>> {
        let Some(directory) = path.parent() else { return Ok(None) };
        let above = directory.parent();
        if !matches!(above.as_ref().map(|above| self.look_directory(above)).transpose()?, Some(Found::Directory(_))) {
            return Ok(None);
        }
        if self.look(&directory)? == Found::Absent {
            if !make {
                return Ok(None);
            }
            let bits = Bits::from_bits_truncate(0o755);
            mkdirat(self.parent(&directory)?, directory.name(), bits).map_err(failed("make directory", &directory))?;
        }
        if !matches!(self.look(&directory)?, Found::Directory(_)) || !self.only_root_can_write(Some(&directory))? {
            return Err(foreign(&directory));
        }
        let parent = self.parent(path)?;
        let log = self.open_in(&parent, path)?;
        if log.size < full {
            return Ok(Some(log));
        }
        renameat(&parent, path.name(), &parent, aside.name()).map_err(failed("replace", aside))?;
        self.open_in(&parent, path).map(Some)
    }

    fn open_in(&self, parent: &OwnedFd, path: &RelPath) -> Result<LogFile> {
        let flags = OFlag::O_WRONLY
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_CLOEXEC;
        let handle = openat(parent, path.name(), flags, Bits::from_bits_truncate(0o644))
            .map_err(|errno| if errno == Errno::ELOOP { foreign(path) } else { failed("open", path)(errno) })?;
        let stat = fstat(&handle).map_err(failed("look at", path))?;
        let regular = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
        if !regular || stat.st_nlink != 1 || !self.trusts_user(stat.st_uid) {
            return Err(foreign(path));
        }
        Ok(LogFile { file: File::from(handle), size: u64::try_from(stat.st_size).unwrap_or(0) })
    }
}

impl LogFile {
    /// How many bytes are in it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a line in one call, so that lines of two programs do not mix.
    ///
    /// # Errors
    /// The disk is full, for example.
    pub fn add(&mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        self.size += line.len() as u64;
        self.file.write_all(line.as_bytes())
    }
}

fn foreign(path: &RelPath) -> FsError {
    FsError { action: "write", path: path.to_string(), cause: Cause::Foreign }
}
