//! Writing a small file into a directory that others may change as well: it appears under its name at once, or not at all.
//! The target's own files, in directories of root alone, are written in `write.rs`.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode as Bits;
use nix::unistd::{UnlinkatFlags, unlinkat};
use payload::{Mode, RelPath};

use super::write::{set_attributes, sync, write_pieces};
use super::{Result, Root, failed};
use crate::host::change::{self, Change};

/// So many names are tried: one that is taken is somebody else's.
const NAMES: u32 = 16;

impl Root {
    /// Writes `path`, piece by piece, over what stands there. Nobody else can have the new file open: it is made under a name
    /// that did not exist, and everything happens in one directory, whatever becomes of the way to it.
    pub fn write_exclusively(
        &self,
        path: &RelPath,
        mode: Mode,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let parent = self.parent(path)?;
        let (fresh, file) = make(&parent, path)?;
        let written = write_pieces(&fresh, &file, write)
            .and_then(|()| set_attributes(&file, mode, None, &fresh))
            .and_then(|()| change::sync_file(&fresh, &file))
            .and_then(|()| {
                let call = || renameat(&parent, fresh.name(), &parent, path.name());
                Change::Rename { from: &fresh, to: path }.make(call)
            });
        if let Err(error) = written {
            let _what_failed_is_told = unlinkat(&parent, fresh.name(), UnlinkatFlags::NoRemoveDir);
            return Err(error);
        }
        // Not every file system of a removable medium can do that.
        sync(&parent, path).or(Ok(()))
    }
}

fn make(parent: &OwnedFd, path: &RelPath) -> Result<(RelPath, File)> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    for number in 0..NAMES {
        let name = format!(".airgap-deploy-unwritten.{}.{number}", std::process::id());
        let fresh: RelPath = match path.parent() {
            Some(directory) => directory.join(&name),
            None => name.parse(),
        }
        .map_err(|_| failed("write", path)(Errno::ENAMETOOLONG))?;
        let call = || openat(parent, fresh.name(), flags, Bits::S_IRUSR | Bits::S_IWUSR);
        match Change::Create(&fresh).make(call) {
            Err(error) if error.errno() == Some(Errno::EEXIST) => {}
            other => return other.map(|handle| (fresh, File::from(handle))),
        }
    }
    Err(failed("write", path)(Errno::EEXIST))
}
