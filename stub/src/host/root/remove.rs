//! Removing what stands below the root. What is not there is removed already.
//! What may be removed is decided by those who ask.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode as Bits, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use payload::RelPath;

use super::found;
use super::read::raw_names;
use super::write::sync;
use super::{Cause, Found, FsError, Result, Root, failed};
use crate::host::change::Change;

impl Root {
    /// Removes a file or link; nothing there is fine.
    pub fn remove(&self, path: &RelPath) -> Result<()> {
        self.unlink(path, UnlinkatFlags::NoRemoveDir, Change::Remove(path))
    }

    /// Removes an empty directory; nothing there is fine.
    pub fn remove_directory(&self, path: &RelPath) -> Result<()> {
        self.unlink(path, UnlinkatFlags::RemoveDir, Change::RemoveDirectory(path))
    }

    /// Removes a directory that only this program uses, with everything in it; nothing there is fine. What was in it is brought
    /// to the disk once: whoever finds a part of it removes the rest.
    pub fn remove_tree(&self, path: &RelPath) -> Result<()> {
        for name in self.names(path)? {
            let unusual = |_| FsError { action: "remove", path: format!("{path}/{name:?}"), cause: Cause::Foreign };
            let below = path.join(&name).map_err(unusual)?;
            match self.look(&below)? {
                Found::Directory(_) => self.remove_tree(&below)?,
                _ => self.unlink_unsynced(&below, UnlinkatFlags::NoRemoveDir, Change::Remove(&below)).map(drop)?,
            }
        }
        if self.look(path)? != Found::Absent {
            sync(&self.directory(Some(path))?, path)?;
        }
        self.remove_directory(path)
    }

    /// Removes what has a name in this directory that is no component of a path, with everything in it; but nothing that is
    /// mounted there.
    ///
    /// # Errors
    /// The first thing that could not be removed; everything else is.
    pub fn remove_unusual(&self, path: &RelPath) -> Result<()> {
        let directory = self.directory(Some(path))?;
        let mut outcome = Ok(());
        for name in raw_names(&directory, path)? {
            if name.to_str().is_ok_and(|name| path.join(name).is_ok()) {
                continue;
            }
            outcome = outcome.and(remove_raw(&directory, &name, path, &path.to_string()));
        }
        sync(&directory, path).and(outcome)
    }

    /// The names that are left in a directory by [`Root::remove_unusual`]: components of paths, and what holds a mount.
    pub fn names_but_unusual(&self, path: &RelPath) -> Result<Vec<String>> {
        let directory = self.directory(Some(path))?;
        let mut left = Vec::new();
        for name in raw_names(&directory, path)? {
            let is_usual = name.to_str().is_ok_and(|name| path.join(name).is_ok());
            if is_usual || holds_mount(&directory, &name, &path.to_string())? {
                left.push(name.to_string_lossy().into_owned());
            }
        }
        Ok(left)
    }

    fn unlink(&self, path: &RelPath, flag: UnlinkatFlags, change: Change<'_>) -> Result<()> {
        match self.unlink_unsynced(path, flag, change)? {
            Some(parent) => sync(&parent, path),
            None => Ok(()),
        }
    }

    /// Gives the directory that has to be brought to the disk for it; `None` when nothing was there.
    fn unlink_unsynced(&self, path: &RelPath, flag: UnlinkatFlags, change: Change<'_>) -> Result<Option<OwnedFd>> {
        let parent = match self.parent(path) {
            Ok(parent) => parent,
            Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
        match change.make(|| unlinkat(&parent, path.name(), flag)) {
            Ok(()) => Ok(Some(parent)),
            Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(None),
            // On a read-only file system this is said first, also of what does not exist.
            Err(error) if error.errno() == Some(Errno::EROFS) && self.look(path)? == Found::Absent => Ok(None),
            Err(error) => Err(error),
        }
    }
}

const TO_LOOK_BELOW: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Removes one name and, if it is a directory, everything in it; follows no link, and enters no mount. `path` is the nearest
/// directory above that a path can name, `above` what is shown of the way from it to here.
fn remove_raw(directory: &OwnedFd, name: &CStr, path: &RelPath, above: &str) -> Result<()> {
    let unlink = |flag| Change::Remove(path).make(|| unlinkat(directory, name, flag));
    let shown = below(above, name);
    match openat(directory, name, TO_LOOK_BELOW, Bits::empty()) {
        Ok(inside) => {
            if mount_of(directory, above)? != mount_of(&inside, &shown)? {
                return Err(FsError { action: "remove", path: shown, cause: Cause::Mounted });
            }
            for name in raw_names(&inside, &shown)? {
                remove_raw(&inside, &name, path, &shown)?;
            }
            unlink(UnlinkatFlags::RemoveDir)
        }
        Err(Errno::ENOTDIR | Errno::ELOOP) => unlink(UnlinkatFlags::NoRemoveDir),
        Err(errno) => Err(failed("remove", &shown)(errno)),
    }
}

/// Whether something is mounted at one name or below it.
fn holds_mount(directory: &OwnedFd, name: &CStr, above: &str) -> Result<bool> {
    let shown = below(above, name);
    let inside = match openat(directory, name, TO_LOOK_BELOW, Bits::empty()) {
        Ok(inside) => inside,
        Err(Errno::ENOTDIR | Errno::ELOOP | Errno::ENOENT) => return Ok(false),
        Err(errno) => return Err(failed("look at", &shown)(errno)),
    };
    if mount_of(directory, above)? != mount_of(&inside, &shown)? {
        return Ok(true);
    }
    for name in raw_names(&inside, &shown)? {
        if holds_mount(&inside, &name, &shown)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Any name in a directory, so that it can be shown.
fn below(above: &str, name: &CStr) -> String {
    format!("{above}/{}", payload::printable(&name.to_string_lossy()))
}

/// Tells mounts apart, also of one file system.
fn mount_of(directory: &OwnedFd, shown: &str) -> Result<(u64, Option<u64>)> {
    let stat = fstat(directory).map_err(failed("look at", &shown))?;
    Ok((stat.st_dev, found::mount(directory)))
}
