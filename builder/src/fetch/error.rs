//! Why content could not be acquired, which exit code that is, and what to type next.
//! Printing and exiting belong to `main.rs`.

use std::path::PathBuf;

/// The one error of this stage. URLs in it carry no credentials.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The server, the release or this machine has nothing of that name.
    #[error("{what} not found: component {component:?}: {problem}\n  looked in: {location}")]
    NotFound { what: &'static str, component: String, location: String, problem: String, hint: String },
    /// Content is there, and it is not what was expected.
    #[error(
        "{what} mismatch: component {component:?}\n  source:   {location}\n  expected: {expected}\n  found:    {found}"
    )]
    Mismatch {
        what: &'static str,
        component: String,
        location: String,
        expected: Box<str>,
        found: Box<str>,
        hint: Box<str>,
    },
    /// The network or the server did not deliver.
    #[error("cannot fetch component {component:?}: {problem}\n  source: {location}")]
    Network { component: String, location: String, problem: String, hint: String },
    /// Fetching is possible and not allowed: not HTTPS, not an allowed host, offline.
    #[error("refused to fetch component {component:?}: {problem}\n  source: {location}")]
    Refused { component: String, location: String, problem: String, hint: String },
    /// Nothing says what the content must be, or the lock file says something else than the manifest.
    #[error("component {component:?} is not pinned: {problem}\n  source: {location}")]
    Unpinned { component: String, location: String, problem: String, hint: String },
    /// The lock file or the user's configuration file cannot be used.
    #[error("{path}: {problem}", path = path.display())]
    Settings { path: PathBuf, problem: String, hint: String },
    /// The cache's file system is too small.
    #[error(
        "Out of disk space: {path} has {available} free, component {component:?} needs {needed} more",
        path = path.display(), available = payload::size(*available), needed = payload::size(*needed)
    )]
    NoSpace { component: String, path: PathBuf, needed: u64, available: u64 },
    /// Reading or writing on this machine failed.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Disk {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl SourceError {
    /// The program's exit code for this error (see docs/operating.md).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings { .. } | Self::Unpinned { .. } => 40,
            Self::NotFound { .. } => 41,
            Self::Mismatch { .. } => 42,
            Self::Network { .. } | Self::Refused { .. } => 43,
            Self::NoSpace { .. } => 22,
            Self::Disk { .. } => 44,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotFound { hint, .. }
            | Self::Network { hint, .. }
            | Self::Refused { hint, .. }
            | Self::Unpinned { hint, .. }
            | Self::Settings { hint, .. } => hint.clone(),
            Self::Mismatch { hint, .. } => hint.to_string(),
            Self::NoSpace { .. } => {
                "free some space (`builder cache prune`), or use another cache with --cache-dir DIR".to_owned()
            }
            Self::Disk { path, .. } => format!("check that {} exists and that you may use it", path.display()),
        }
    }

    pub(crate) fn disk(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk { action, path, source }
    }
}
