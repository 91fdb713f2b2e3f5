//! What can be wrong with a `.run` file.
//! Exit codes and advice belong to the programs that report these errors.

use crate::volumes::parts::Volume;
use crate::{DigestError, PathError};

/// Why a `.run` file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Reading failed.
    #[error("cannot read {what}: {source}")]
    Read {
        what: String,
        #[source]
        source: std::io::Error,
    },
    /// Writing failed.
    #[error("cannot write {what}: {source}")]
    Write {
        what: String,
        #[source]
        source: std::io::Error,
    },
    /// The file carries no payload at all: it is the bare stub, or no ELF file.
    #[error("no payload: {0}")]
    NoPayload(String),
    /// Bytes are not the ones that were packed.
    #[error("{region} is damaged: {problem}")]
    Damaged { region: String, problem: String },
    /// No key that this machine trusts vouches for it.
    #[error("the package is not trusted: {0}")]
    NotTrusted(String),
    /// A volume is not the one that belongs here, or its bytes are not the ones that were packed.
    #[error("{name} {problem}")]
    Volume { name: String, numbers: Vec<usize>, problem: String },
    /// The same of several volumes: an error of each.
    #[error("{}", each(.0))]
    Volumes(Vec<PayloadError>),
    /// Volumes were not found.
    #[error("{}", missing(volumes, looked))]
    Missing { volumes: Vec<Volume>, looked: Vec<String> },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The index is intact but of another format, or states something impossible.
    #[error("the index cannot be used: {0}")]
    Format(String),
}

impl PayloadError {
    pub(crate) fn damaged(region: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Damaged { region: region.into(), problem: problem.into() }
    }

    /// The volumes that were not found.
    pub fn missing(&self) -> &[Volume] {
        match self {
            Self::Missing { volumes, .. } => volumes,
            Self::Volumes(errors) => {
                errors.iter().map(Self::missing).find(|volumes| !volumes.is_empty()).unwrap_or_default()
            }
            _ => &[],
        }
    }

    /// What is wrong with so many volumes; `None` with none of them.
    pub(crate) fn of_volumes(mut errors: Vec<Self>) -> Option<Self> {
        if errors.len() > 1 { Some(Self::Volumes(errors)) } else { errors.pop() }
    }

    pub(crate) fn read(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        |source| Self::Read { what, source }
    }

    pub(crate) fn write(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        |source| Self::Write { what, source }
    }
}

fn each(errors: &[PayloadError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn missing(volumes: &[Volume], looked: &[String]) -> String {
    let list: Vec<String> = volumes.iter().map(ToString::to_string).collect();
    let them = if volumes.len() == 1 { "a volume is missing" } else { "volumes are missing" };
    format!("{them}: {}; looked in {}", list.join(", "), looked.join(", "))
}

impl From<PathError> for PayloadError {
    fn from(error: PathError) -> Self {
        Self::Format(error.to_string())
    }
}

impl From<DigestError> for PayloadError {
    fn from(error: DigestError) -> Self {
        Self::Format(error.to_string())
    }
}
