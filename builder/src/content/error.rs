//! Why verified content cannot be placed, with exit codes and advice.
//! Printing them is the business of `main.rs`.

use std::io;
use std::path::PathBuf;

use payload::{PathError, RelPath};

/// Why verified content cannot be placed.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error("Binary not found: {archive} of component {component:?} holds no {wanted}; {holds}")]
    BinaryNotFound { component: String, archive: String, wanted: String, holds: String, remedy: &'static str },
    /// The bytes are the expected ones, or nobody said what to expect, and they make no sense.
    #[error("{archive} is damaged: {problem}")]
    Damaged { archive: String, problem: String },
    /// An archive that nobody should unpack.
    #[error("{archive} was refused: {problem}")]
    Refused { archive: String, problem: String },
    #[error("the link {link} -> {target} {problem}")]
    Link { link: RelPath, target: String, problem: String, remedy: String },
    #[error("component {component:?}: {location} {problem}")]
    Unsuitable { component: String, location: String, problem: String, remedy: String },
    #[error("{path} would be placed by component {first:?} and by component {second:?}")]
    Conflict { path: RelPath, first: String, second: String },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl ContentError {
    /// The exit code of the builder.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BinaryNotFound { .. } => 41,
            Self::Damaged { .. } => 42,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => 22,
            Self::Io { .. } => 44,
            _ => 40,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::BinaryNotFound { remedy, .. } => (*remedy).to_owned(),
            Self::Damaged { .. } => {
                "fetch it again; state source.checksum so that damage is noticed earlier".to_owned()
            }
            Self::Refused { .. } => {
                "nothing of it was used; take the archive from its publisher, or unpack it yourself and name the \
                 directory in a file source"
                    .to_owned()
            }
            Self::Link { remedy, .. } | Self::Unsuitable { remedy, .. } => remedy.clone(),
            Self::Conflict { .. } => "give one of the two components another install_path".to_owned(),
            Self::Path(_) => "correct install_path in the manifest".to_owned(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free space on that disk, or let TMPDIR name a directory on another one".to_owned()
            }
            Self::Io { .. } => "check the path and its permissions, then start again; nothing was written".to_owned(),
        }
    }

    pub fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}
