//! The target's file system below one root directory: every path is walked from its handle.
//! Nothing else changes files (clippy.toml holds that); what is changed, and in which order, is decided in `plan.rs`.

mod exclusive;
mod found;
mod log;
mod read;
mod remove;
mod sure;
mod walk;
mod write;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open, openat};
use nix::sys::stat::Mode as Bits;
use nix::unistd::{Uid, geteuid};
use payload::RelPath;

use crate::error::Error;
use crate::exit::Exit;
use crate::host::change;
pub use found::{Attributes, FileSystem, Found, Stat};
pub use log::LogFile;
pub use sure::wait_for_clock;

/// Where the running system keeps what is gone after a reboot.
const RUN: &str = "/run";

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
    #[error("the link {0} may have been placed by somebody else: users other than root can write to its directory")]
    UntrustedLink(String),
    #[error("it is not what was put there")]
    Foreign,
    #[error("something is mounted there")]
    Mounted,
    #[error("interrupted")]
    Interrupted,
}

type Result<T> = std::result::Result<T, FsError>;

impl FsError {
    /// Whether something is there that this program did not put there.
    pub fn is_foreign(&self) -> bool {
        matches!(self.cause, Cause::Foreign)
    }

    /// Whether making a second name failed because this file system has none.
    pub fn lacks_hard_links(&self) -> bool {
        matches!(self.errno(), Some(Errno::EPERM | Errno::EOPNOTSUPP | Errno::ENOSYS))
    }

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
        if matches!(error.cause, Cause::Interrupted) {
            return Self::interrupted();
        }
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
