//! The target's file system below one root directory: every path is walked from its handle, component by component.
//! This is the only module that changes files; what is changed, and in which order, is decided in `plan.rs`.

mod found;

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, open, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode as Bits, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags, fchown, fsync, geteuid, linkat, symlinkat, unlinkat};
use payload::{Digest, Hasher, Mode, RelPath};

use crate::error::Error;
use crate::exit::Exit;
use crate::host::change::{self, Change};
use found::attributes;
pub use found::{Attributes, FileSystem, Found};

/// Where the running system keeps what is gone after a reboot.
const RUN: &str = "/run";

/// More links than any sane path has.
const MAX_LINKS: u32 = 40;

/// A handle on the root directory of the target.
#[derive(Debug)]
pub struct Root {
    handle: OwnedFd,
    path: PathBuf,
    /// The user this process acts as: files of this user and of root are trusted.
    euid: Uid,
}

/// Held while this process is the only installer working below a root.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not read: dropping it gives the lock up")]
pub struct Lock(Flock<OwnedFd>);

/// A system call on the target failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {action} {path}: {cause}")]
pub struct FsError {
    pub action: &'static str,
    pub path: String,
    pub cause: Cause,
}

/// Why.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Cause {
    #[error("{}", .0.desc())]
    System(Errno),
    #[error("the link {0} may have been placed by somebody else: its directory is writable by others than root")]
    UntrustedLink(String),
    #[error("it is not what was put there")]
    Foreign,
}

type Result<T> = std::result::Result<T, FsError>;

impl FsError {
    /// The system's error number, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self.cause {
            Cause::System(errno) => Some(errno),
            _ => None,
        }
    }
}

impl From<FsError> for Error {
    fn from(error: FsError) -> Self {
        let exit = match error.errno() {
            Some(Errno::EACCES | Errno::EPERM) => Exit::PermissionDenied,
            Some(Errno::EROFS) => Exit::IncompatibleHost,
            Some(Errno::ENOSPC | Errno::EDQUOT) => Exit::OutOfDiskSpace,
            _ => Exit::Conflict,
        };
        Self::new(exit, error.to_string())
    }
}

fn failed(action: &'static str, path: &impl ToString) -> impl FnOnce(Errno) -> FsError {
    let path = path.to_string();
    move |errno| FsError { action, path, cause: Cause::System(errno) }
}

fn io(action: &'static str, path: &RelPath) -> impl FnOnce(std::io::Error) -> FsError {
    let path = path.to_string();
    move |error| FsError { action, path, cause: Cause::System(change::errno(&error)) }
}

impl Root {
    /// Opens `path` as the root of the target.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let handle = open(path, flags, Bits::empty()).map_err(failed("open the root directory", &path.display()))?;
        Ok(Self { handle, path: path.to_owned(), euid: geteuid() })
    }

    /// The directory that this root is, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is the running system itself.
    pub fn is_live(&self) -> bool {
        self.path == Path::new("/")
    }

    /// Opens the directory at `path`; `None` is the root itself.
    ///
    /// Links are followed only out of directories that nobody but root (or the user running this) can write to, and
    /// never leave the root.
    pub fn directory(&self, path: Option<&RelPath>) -> Result<OwnedFd> {
        let Some(path) = path else { return reopen(&self.handle, "/") };
        let shown = path.to_string();
        let mut pending: VecDeque<String> = path.components().map(str::to_owned).collect();
        let mut stack = vec![reopen(&self.handle, &shown)?];
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            let Some(current) = stack.last() else { break };
            if name == ".." {
                if stack.len() > 1 {
                    stack.pop();
                }
                continue;
            }
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            match openat(current, name.as_str(), flags, Bits::empty()) {
                Ok(next) => stack.push(next),
                Err(errno @ (Errno::ENOTDIR | Errno::ELOOP)) => {
                    let Ok(target) = readlinkat(current, name.as_str()) else {
                        return Err(failed("open directory", &shown)(errno));
                    };
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(failed("open directory", &shown)(Errno::ELOOP));
                    }
                    self.require_trusted_link(current, &name, &shown)?;
                    let target = target.to_string_lossy().into_owned();
                    if target.starts_with('/') {
                        stack.truncate(1);
                    }
                    for part in target.split('/').rev().filter(|part| !part.is_empty() && *part != ".") {
                        pending.push_front(part.to_owned());
                    }
                }
                Err(errno) => return Err(failed("open directory", &shown)(errno)),
            }
        }
        stack.pop().ok_or_else(|| failed("open directory", &shown)(Errno::ENOENT))
    }

    fn require_trusted_link(&self, directory: &OwnedFd, name: &str, shown: &str) -> Result<()> {
        let stat = fstat(directory).map_err(failed("look at", &shown))?;
        let link = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed("look at", &shown))?;
        if self.is_trusted(&stat) && self.trusts_user(link.st_uid) {
            Ok(())
        } else {
            let cause = Cause::UntrustedLink(name.to_owned());
            Err(FsError { action: "follow a link on the way to", path: shown.to_owned(), cause })
        }
    }

    fn trusts_user(&self, uid: u32) -> bool {
        uid == 0 || uid == self.euid.as_raw()
    }

    /// Whether nobody but root, or the user running this, can change the names in a directory.
    fn is_trusted(&self, stat: &FileStat) -> bool {
        let sticky = stat.st_mode & 0o1000 != 0;
        self.trusts_user(stat.st_uid) && (stat.st_mode & 0o022 == 0 || sticky)
    }

    /// The handle of the directory that holds `path`.
    fn parent(&self, path: &RelPath) -> Result<OwnedFd> {
        self.directory(path.parent().as_ref())
    }

    /// What stands at `path`, without following it when it is a link.
    pub fn look(&self, path: &RelPath) -> Result<Found> {
        let parent = match self.parent(path) {
            Ok(parent) => parent,
            Err(error) => {
                return match error.errno() {
                    Some(Errno::ENOENT | Errno::ENOTDIR) => Ok(Found::Absent),
                    Some(Errno::EACCES) => Ok(Found::Hidden),
                    _ => Err(error),
                };
            }
        };
        let stat = match fstatat(&parent, path.name(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(Found::Absent),
            Err(Errno::EACCES) => return Ok(Found::Hidden),
            Err(errno) => return Err(failed("look at", path)(errno)),
        };
        Ok(match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => Found::Directory(attributes(&stat)),
            SFlag::S_IFREG => Found::File(attributes(&stat)),
            SFlag::S_IFLNK => {
                let target = readlinkat(&parent, path.name()).map_err(failed("read the link", path))?;
                Found::Link { target: target.to_string_lossy().into_owned() }
            }
            _ => Found::Special,
        })
    }

    /// What stands at `path` when it may be a trusted link to a directory.
    pub fn look_directory(&self, path: &RelPath) -> Result<Found> {
        match self.look(path)? {
            Found::Link { .. } => {
                let handle = self.directory(Some(path))?;
                Ok(Found::Directory(attributes(&fstat(&handle).map_err(failed("look at", path))?)))
            }
            other => Ok(other),
        }
    }

    /// Whether nobody but root, or the user running this, can change the names in this directory.
    pub fn is_trusted_directory(&self, path: Option<&RelPath>) -> Result<bool> {
        let handle = self.directory(path)?;
        let stat = fstat(&handle).map_err(failed("look at", &shown(path)))?;
        Ok(self.is_trusted(&stat) && stat.st_mode & 0o022 == 0)
    }

    /// The file system that holds the directory at `path`.
    pub fn file_system(&self, path: Option<&RelPath>) -> Result<FileSystem> {
        let handle = self.directory(path)?;
        let stat = fstat(&handle).map_err(failed("look at", &shown(path)))?;
        let facts = fstatvfs(&handle).map_err(failed("ask for the free space of", &shown(path)))?;
        let block = facts.fragment_size();
        let flags = facts.flags();
        Ok(FileSystem {
            device: stat.st_dev,
            mount: found::mount(&handle),
            available: facts.blocks_available().saturating_mul(block),
            block: block.max(1),
            free_inodes: (facts.files() > 0).then(|| facts.files_available()),
            read_only: flags.contains(FsFlags::ST_RDONLY),
            no_exec: flags.contains(FsFlags::ST_NOEXEC),
        })
    }

    /// Waits for no one: tells whether this process is now the only installer working below this root.
    pub fn lock(&self) -> Result<Option<Lock>> {
        let handle = if self.is_live() && Path::new(RUN).is_dir() { open_lock_file()? } else { self.open_itself()? };
        match Flock::lock(handle, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Lock(lock))),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(failed("lock", &"/")(errno)),
        }
    }

    fn open_itself(&self) -> Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(&self.handle, ".", flags, Bits::empty()).map_err(failed("open", &"/"))
    }

    /// Opens the regular file at `path` for reading; never follows a link, never waits for a FIFO.
    pub fn open_file(&self, path: &RelPath) -> Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let handle = openat(self.parent(path)?, path.name(), flags, Bits::empty()).map_err(failed("open", path))?;
        let file = File::from(handle);
        match file.metadata() {
            Ok(facts) if facts.is_file() => Ok(file),
            Ok(_) => Err(FsError { action: "open", path: path.to_string(), cause: Cause::Foreign }),
            Err(error) => Err(io("look at", path)(error)),
        }
    }

    /// The digest of the regular file at `path`.
    pub fn digest(&self, path: &RelPath) -> Result<Digest> {
        let file = self.open_file(path)?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        loop {
            let count = file.read_at(&mut buffer, offset).map_err(io("read", path))?;
            if count == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(&buffer[..count]);
            offset += count as u64;
        }
    }

    /// The content of a small file; `None` when it does not exist.
    pub fn read(&self, path: &RelPath, limit: u64) -> Result<Option<Vec<u8>>> {
        use std::io::Read as _;
        let file = match self.open_file(path) {
            Ok(file) => file,
            Err(error) if matches!(error.errno(), Some(Errno::ENOENT | Errno::ENOTDIR)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(io("read", path))?;
        if bytes.len() as u64 > limit {
            return Err(failed("read", path)(Errno::EFBIG));
        }
        Ok(Some(bytes))
    }

    /// The names in a directory, sorted; empty when it does not exist.
    pub fn names(&self, path: &RelPath) -> Result<Vec<String>> {
        let handle = match self.directory(Some(path)) {
            Ok(handle) => handle,
            Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let names = raw_names(&handle, path)?;
        Ok(names.iter().map(|name| name.to_string_lossy().into_owned()).collect())
    }

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
        set_attributes(&handle, mode, owner, path)?;
        Change::SyncFile(path).make(|| fsync(&handle))
    }

    /// Creates, or opens again, a file in a directory that only this program can use.
    pub fn open_staged(&self, path: &RelPath) -> Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let mode = Bits::S_IRUSR | Bits::S_IWUSR;
        let parent = self.parent(path)?;
        Change::Create(path).make(|| openat(&parent, path.name(), flags, mode)).map(File::from)
    }

    /// Gives the file at `from` the second name `to`, where nothing may stand yet.
    pub fn link(&self, from: &RelPath, to: &RelPath) -> Result<()> {
        let (source, target) = (self.parent(from)?, self.parent(to)?);
        let call = || linkat(&source, from.name(), &target, to.name(), LinkatFlags::empty());
        Change::Link { from, to }.make(call)?;
        sync(&target, to)
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

    /// Removes a file or link; nothing there is fine.
    pub fn remove(&self, path: &RelPath) -> Result<()> {
        self.unlink(path, UnlinkatFlags::NoRemoveDir, Change::Remove(path))
    }

    /// Removes an empty directory; nothing there is fine.
    pub fn remove_directory(&self, path: &RelPath) -> Result<()> {
        self.unlink(path, UnlinkatFlags::RemoveDir, Change::RemoveDirectory(path))
    }

    /// Removes a directory that only this program uses, with everything in it; nothing there is fine.
    pub fn remove_tree(&self, path: &RelPath) -> Result<()> {
        for name in self.names(path)? {
            let unusual = |_| FsError { action: "remove", path: format!("{path}/{name:?}"), cause: Cause::Foreign };
            let below = path.join(&name).map_err(unusual)?;
            match self.look(&below)? {
                Found::Directory(_) => self.remove_tree(&below)?,
                _ => self.remove(&below)?,
            }
        }
        self.remove_directory(path)
    }

    /// Removes what has a name in this directory that is no component of a path, with everything in it.
    pub fn remove_unusual(&self, path: &RelPath) -> Result<()> {
        let directory = self.directory(Some(path))?;
        for name in raw_names(&directory, path)? {
            if name.to_str().is_ok_and(|name| path.join(name).is_ok()) {
                continue;
            }
            remove_raw(&directory, &name, path)?;
        }
        sync(&directory, path)
    }

    fn unlink(&self, path: &RelPath, flag: UnlinkatFlags, change: Change<'_>) -> Result<()> {
        let parent = match self.parent(path) {
            Ok(parent) => parent,
            Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(()),
            Err(error) => return Err(error),
        };
        match change.make(|| unlinkat(&parent, path.name(), flag)) {
            Ok(()) => sync(&parent, path),
            Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(()),
            // On a read-only file system this is said first, also of what does not exist.
            Err(error) if error.errno() == Some(Errno::EROFS) && self.look(path)? == Found::Absent => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Brings the names in the directory that holds `path` to the disk.
    pub fn sync_directory_of(&self, path: &RelPath) -> Result<()> {
        sync(&self.parent(path)?, path)
    }

    /// Writes a small file so that either the old or the new content is there at any moment.
    pub fn write_atomically(&self, path: &RelPath, bytes: &[u8], mode: Mode) -> Result<()> {
        let fresh: RelPath =
            format!("{}.new", path.as_str()).parse().map_err(|_| failed("write", path)(Errno::ENAMETOOLONG))?;
        self.remove(&fresh)?;
        let file = self.open_staged(&fresh)?;
        change::write(&fresh, &file, 0, bytes)?;
        set_attributes(&file, mode, None, &fresh)?;
        change::sync_file(&fresh, &file)?;
        self.rename(&fresh, path)
    }
}

/// A file of its own that only root can open: anybody may hold a lock on what anybody may read.
fn open_lock_file() -> Result<OwnedFd> {
    let path = Path::new(RUN).join("airgap-deploy.lock");
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(&path, flags, Bits::S_IRUSR | Bits::S_IWUSR).map_err(failed("open", &path.display()))
}

fn shown(path: Option<&RelPath>) -> String {
    path.map_or_else(|| "/".to_owned(), RelPath::to_string)
}

fn set_attributes(handle: &impl AsFd, mode: Mode, owner: Option<(u32, u32)>, path: &RelPath) -> Result<()> {
    Change::SetAttributes { path, mode, owner }.make(|| {
        if let Some((uid, gid)) = owner {
            fchown(handle, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        fchmod(handle, Bits::from_bits_truncate(mode.bits()))
    })
}

fn reopen(handle: &OwnedFd, shown: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    openat(handle, ".", flags, Bits::empty()).map_err(failed("open directory", &shown))
}

/// The names in an open directory, sorted.
fn raw_names(directory: &OwnedFd, shown: &RelPath) -> Result<Vec<CString>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut dir = Dir::openat(directory, ".", flags, Bits::empty()).map_err(failed("list", shown))?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let name = entry.map_err(failed("list", shown))?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Removes one name and, if it is a directory, everything in it; follows no link.
fn remove_raw(directory: &OwnedFd, name: &CStr, shown: &RelPath) -> Result<()> {
    let unlink = |flag| Change::Remove(shown).make(|| unlinkat(directory, name, flag));
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(directory, name, flags, Bits::empty()) {
        Ok(below) => {
            for name in raw_names(&below, shown)? {
                remove_raw(&below, &name, shown)?;
            }
            unlink(UnlinkatFlags::RemoveDir)
        }
        Err(Errno::ENOTDIR | Errno::ELOOP) => unlink(UnlinkatFlags::NoRemoveDir),
        Err(errno) => Err(failed("remove", shown)(errno)),
    }
}

/// Brings a changed directory to the disk.
fn sync(directory: &OwnedFd, path: &RelPath) -> Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let readable = openat(directory, ".", flags, Bits::empty()).map_err(failed("write the directory of", path))?;
    Change::SyncDirectoryOf(path).make(|| fsync(&readable))
}
