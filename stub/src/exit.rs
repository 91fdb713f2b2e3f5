//! Exit codes: the contract with scripts, listed in docs/operating.md and in `--help`.
//! Which error has which code is decided where the error is defined.

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Bug = 1,
    Usage = 2,
    Damaged = 10,
    NotTrusted = 11,
    FormatNotReadable = 12,
    PermissionDenied = 20,
    IncompatibleHost = 21,
    OutOfDiskSpace = 22,
    Conflict = 23,
    VolumeMissing = 24,
    RolledBack = 30,
    RollbackIncomplete = 31,
    UninstallIncomplete = 32,
    ServiceFailed = 33,
    NotFound = 41,
    Output = 44,
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
