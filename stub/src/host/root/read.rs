//! Looking at what stands below the root, and reading it.
//! Nothing is changed here.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode as Bits, SFlag, fstat, fstatat};
use nix::sys::statfs::{FUSE_SUPER_MAGIC, FsType, MSDOS_SUPER_MAGIC, SMB_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use payload::{CHUNK_SIZE, Digest, Hasher, RelPath};

use super::found::{self, attributes};
use super::{Attributes, Cause, FileSystem, Found, FsError, Result, Root, failed, io, shown};

/// As `linux/magic.h` of the kernel has them.
const EXFAT_SUPER_MAGIC: FsType = FsType(0x2011_bab0);
const V9FS_MAGIC: FsType = FsType(0x0102_1997);
const CIFS_SUPER_MAGIC: FsType = FsType(0xff53_4d42);
const SMB2_SUPER_MAGIC: FsType = FsType(0xfe53_4d42);

impl Root {
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

    /// The file system that holds the directory at `path`.
    pub fn file_system(&self, path: Option<&RelPath>) -> Result<FileSystem> {
        let handle = self.directory(path)?;
        let stat = fstat(&handle).map_err(failed("look at", &shown(path)))?;
        let kind = fstatfs(&handle).map_err(failed("ask for the kind of", &shown(path)))?.filesystem_type();
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
            no_hard_links: kind == MSDOS_SUPER_MAGIC || kind == EXFAT_SUPER_MAGIC,
        })
    }

    /// Whether the directory is on a file system of a kind of which some have hard links and some have none: behind FUSE,
    /// and from other machines.
    pub fn may_lack_hard_links(&self, path: Option<&RelPath>) -> Result<bool> {
        let handle = self.directory(path)?;
        let kind = fstatfs(&handle).map_err(failed("ask for the kind of", &shown(path)))?.filesystem_type();
        Ok([FUSE_SUPER_MAGIC, V9FS_MAGIC, SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC].contains(&kind))
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

    /// The digest of the regular file at `path`, whatever happens meanwhile: to undo something is not interrupted.
    pub fn digest(&self, path: &RelPath) -> Result<Digest> {
        self.digest_in_turn(path, &Mutex::default(), || false)
    }

    /// The digest of the regular file at `path`, unless somebody asks to stop. Of those who share a `turn` one reads at a time:
    /// disks that have to move for each of several files are slow.
    pub fn digest_in_turn(&self, path: &RelPath, turn: &Mutex<()>, stop: impl Fn() -> bool) -> Result<Digest> {
        let file = self.open_file(path)?;
        let length = file.metadata().map_err(io("look at", path))?.len();
        let mut hasher = Hasher::default();
        // One byte more than there should be shows the end.
        let mut buffer = vec![0; usize::try_from(CHUNK_SIZE.min(length + 1)).unwrap_or(1)];
        let mut offset = 0;
        loop {
            if stop() {
                return Err(FsError { action: "read", path: path.to_string(), cause: Cause::Interrupted });
            }
            let reading = turn.lock();
            let count = file.read_at(&mut buffer, offset).map_err(io("read", path))?;
            drop(reading);
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
}

impl Root {
    /// Whether anything at or below `path` is theirs, as far as can be told: what cannot be looked at may be.
    pub fn holds_any(&self, path: &RelPath, is_theirs: &dyn Fn(&Attributes) -> bool) -> Result<bool> {
        match self.look(path)? {
            Found::Absent | Found::Link { .. } => Ok(false),
            Found::Hidden | Found::Special => Ok(true),
            Found::File(facts) => Ok(is_theirs(&facts)),
            Found::Directory(facts) if is_theirs(&facts) => Ok(true),
            Found::Directory(_) => {
                for name in raw_names(&self.directory(Some(path))?, path)? {
                    let below = name.to_str().ok().and_then(|name| path.join(name).ok());
                    if below.map_or(Ok(true), |below| self.holds_any(&below, is_theirs))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

/// The names in an open directory, sorted.
pub(super) fn raw_names(directory: &OwnedFd, shown: &impl ToString) -> Result<Vec<CString>> {
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
