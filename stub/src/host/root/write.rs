//! Making and changing what stands below the root. Every change is brought to the disk before the call returns.
//! Removing is in `remove.rs`; the bytes of files are written in `host/change.rs`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode as Bits, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags, fchown, fsync, linkat, symlinkat, unlinkat};
use payload::{Mode, RelPath};
use rustix::fs::{RenameFlags, renameat_with};

use super::{Cause, FsError, Result, Root, failed};
use crate::host::change::{self, Change};
use crate::host::names::UNWRITTEN;

/// Names for a moment, of which no package can have one.
const LINK_PROBES: [&str; 2] = [".airgap-deploy.link-probe.1", ".airgap-deploy.link-probe.2"];

impl Root {
    /// Makes a directory that only its maker can use until [`Self::set_attributes`] opens it.
    pub fn make_directory(&self, path: &RelPath) -> Result<()> {
        let parent = self.parent(path)?;
        Change::MakeDirectory(path).make(|| mkdirat(&parent, path.name(), Bits::S_IRWXU))?;
        sync(&parent, path)
    }

    /// Sets mode and, when given, owner of a directory or regular file that this program made.
    pub fn set_attributes(&self, path: &RelPath, mode: Mode, owner: Option<(u32, u32)>) -> Result<()> {
        self.set_attributes_of(path, mode, owner, owner.map(|(uid, _)| uid))
    }

    /// Takes a directory back from the user `from`, to whom this program gave it.
    pub fn take_back(&self, path: &RelPath, mode: Mode, owner: Option<(u32, u32)>, from: Option<u32>) -> Result<()> {
        self.set_attributes_of(path, mode, owner, from)
    }

    fn set_attributes_of(
        &self,
        path: &RelPath,
        mode: Mode,
        owner: Option<(u32, u32)>,
        expected: Option<u32>,
    ) -> Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let handle = openat(self.parent(path)?, path.name(), flags, Bits::empty()).map_err(failed("open", path))?;
        let stat = fstat(&handle).map_err(failed("look at", path))?;
        let directory = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
        let ours = self.trusts_user(stat.st_uid) || expected == Some(stat.st_uid);
        if !ours || (!directory && stat.st_nlink > 1) {
            return Err(FsError { action: "set mode and owner of", path: path.to_string(), cause: Cause::Foreign });
        }
        let (bits, user, group) = (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid);
        if bits == mode.bits() && owner.is_none_or(|owner| owner == (user, group)) {
            return Ok(());
        }
        set_attributes(&handle, mode, owner, path)?;
        Change::SyncFile(path).make(|| fsync(&handle))
    }

    /// Sets mode and owner of a staged file that is yet to be brought to the disk.
    pub fn prepare_staged(file: &File, path: &RelPath, mode: Mode, owner: Option<(u32, u32)>) -> Result<()> {
        // A later attempt may have to write into it, and not be root.
        if mode.bits() & Bits::S_IWUSR.bits() == 0 { Ok(()) } else { set_attributes(file, mode, owner, path) }
    }

    /// Creates, or opens again, a file in a directory that only this program can use. One that has another name as well is
    /// not written into: what an interrupted installation placed there may be somebody else's by now.
    pub fn open_staged(&self, path: &RelPath) -> Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let mode = Bits::S_IRUSR | Bits::S_IWUSR;
        let parent = self.parent(path)?;
        let open = || Change::Create(path).make(|| openat(&parent, path.name(), flags, mode)).map(File::from);
        let file = open()?;
        if fstat(&file).map_err(failed("look at", path))?.st_nlink < 2 {
            return Ok(file);
        }
        self.remove(path)?;
        open()
    }

    /// Gives the file at `from` the second name `to`, where nothing may stand yet.
    pub fn link(&self, from: &RelPath, to: &RelPath) -> Result<()> {
        sync(&self.linked(from, to)?, to)
    }

    /// The same, but the name is on the disk only when one that is made later in the same directory is.
    pub fn link_unsynchronised(&self, from: &RelPath, to: &RelPath) -> Result<()> {
        self.linked(from, to).map(drop)
    }

    /// The directory in which the name was made.
    fn linked(&self, from: &RelPath, to: &RelPath) -> Result<OwnedFd> {
        let (source, target) = (self.parent(from)?, self.parent(to)?);
        let call = || linkat(&source, from.name(), &target, to.name(), LinkatFlags::empty());
        Change::Link { from, to }.make(call)?;
        Ok(target)
    }

    /// Tries whether a file in this directory can have two names, with one that goes again. `true` as well where nothing can
    /// be tried.
    pub fn tries_hard_links(&self, directory: Option<&RelPath>) -> Result<bool> {
        let name = |name: &str| directory.map_or_else(|| name.parse(), |directory| directory.join(name));
        let (Ok(one), Ok(two)) = (name(LINK_PROBES[0]), name(LINK_PROBES[1])) else { return Ok(true) };
        if self.remove(&two).and_then(|()| self.open_staged(&one)).is_err() {
            return Ok(true);
        }
        let outcome = self.link(&one, &two);
        self.remove(&two)?;
        self.remove(&one)?;
        Ok(!outcome.is_err_and(|error| error.lacks_hard_links()))
    }

    /// Makes a symbolic link where nothing may stand yet.
    pub fn make_link(&self, target: &str, path: &RelPath) -> Result<()> {
        let parent = self.parent(path)?;
        Change::MakeSymbolicLink { path, target }.make(|| symlinkat(target, &parent, path.name()))?;
        sync(&parent, path)
    }

    /// Renames, replacing what stands at `to`.
    pub fn rename(&self, from: &RelPath, to: &RelPath) -> Result<()> {
        let (source, target) = (self.parent(from)?, self.parent(to)?);
        Change::Rename { from, to }.make(|| renameat(&source, from.name(), &target, to.name()))?;
        sync(&target, to)
    }

    /// Moves a file or link to where nothing stands, all at once: what was there is what arrives, whatever it was.
    pub fn move_to_free(&self, from: &RelPath, to: &RelPath) -> Result<()> {
        let (source, target) = (self.parent(from)?, self.parent(to)?);
        let call = || rename_with(&source, from, &target, to, RenameFlags::NOREPLACE);
        match (Change::Rename { from, to }).make(call) {
            Err(error) if is_unsupported(&error) => {
                let call = || linkat(&source, from.name(), &target, to.name(), LinkatFlags::empty());
                Change::Link { from, to }.make(call)?;
                Change::Remove(from).make(|| unlinkat(&source, from.name(), UnlinkatFlags::NoRemoveDir))?;
            }
            other => other?,
        }
        sync(&target, to)?;
        sync(&source, from)
    }

    /// Makes each of two names that of the other's file, all at once. `false` where the file system cannot do that.
    pub fn exchange(&self, one: &RelPath, other: &RelPath) -> Result<bool> {
        let (first, second) = (self.parent(one)?, self.parent(other)?);
        let call = || rename_with(&first, one, &second, other, RenameFlags::EXCHANGE);
        match (Change::Exchange { one, other }).make(call) {
            Err(error) if is_unsupported(&error) => return Ok(false),
            outcome => outcome?,
        }
        sync(&second, other)?;
        sync(&first, one)?;
        Ok(true)
    }

    /// Brings the names in the directory that holds `path` to the disk.
    pub fn sync_directory_of(&self, path: &RelPath) -> Result<()> {
        sync(&self.parent(path)?, path)
    }

    /// Writes a small file so that either the old or the new content is there at any moment.
    pub fn write_atomically(&self, path: &RelPath, bytes: &[u8], mode: Mode) -> Result<()> {
        self.write_pieces_atomically(path, mode, |out| out.write_all(bytes))
    }

    /// The same, of what is written piece by piece and never held as a whole.
    pub fn write_pieces_atomically(
        &self,
        path: &RelPath,
        mode: Mode,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let fresh: RelPath =
            format!("{}{UNWRITTEN}", path.as_str()).parse().map_err(|_| failed("write", path)(Errno::ENAMETOOLONG))?;
        self.remove(&fresh)?;
        let file = self.open_staged(&fresh)?;
        write_pieces(&fresh, &file, write)?;
        set_attributes(&file, mode, None, &fresh)?;
        change::sync_file(&fresh, &file)?;
        self.rename(&fresh, path)
    }
}

/// Fills a new file, which is never held as a whole.
pub(super) fn write_pieces(
    path: &RelPath,
    file: &File,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let mut pieces = Pieces { path, file, offset: 0 };
    let mut out = BufWriter::with_capacity(PIECE, &mut pieces);
    let outcome = write(&mut out).and_then(|()| out.flush());
    outcome.map_err(|error| failed("write", path)(change::errno(&error)))
}

/// How much of a file is held before it is written, in bytes.
const PIECE: usize = 1 << 20;

/// A new file, from its start on.
struct Pieces<'a> {
    path: &'a RelPath,
    file: &'a File,
    offset: u64,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = change::write(self.path, self.file, self.offset, bytes);
        written.map_err(|error| io::Error::from(error.errno().unwrap_or(Errno::EIO)))?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// renameat2(2), which nix has for one C library only.
fn rename_with(
    source: &OwnedFd,
    from: &RelPath,
    target: &OwnedFd,
    to: &RelPath,
    flags: RenameFlags,
) -> nix::Result<()> {
    let renamed = renameat_with(source, from.name(), target, to.name(), flags);
    renamed.map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// Old file systems and kernels know no flags of renameat2(2).
fn is_unsupported(error: &FsError) -> bool {
    matches!(error.errno(), Some(Errno::EINVAL | Errno::ENOSYS))
}

pub(super) fn set_attributes(handle: &impl AsFd, mode: Mode, owner: Option<(u32, u32)>, path: &RelPath) -> Result<()> {
    Change::SetAttributes { path, mode, owner }.make(|| {
        if let Some((uid, gid)) = owner {
            fchown(handle, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        fchmod(handle, Bits::from_bits_truncate(mode.bits()))
    })
}

/// Brings a changed directory to the disk.
pub(super) fn sync(directory: &OwnedFd, path: &RelPath) -> Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let readable = openat(directory, ".", flags, Bits::empty()).map_err(failed("write the directory of", path))?;
    Change::SyncDirectoryOf(path).make(|| fsync(&readable))
}
