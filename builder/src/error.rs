//! The one error of a build: which stage it comes from decides exit code and advice.
//! The errors themselves live with their stages.

use std::path::PathBuf;

use crate::content::error::ContentError;
use crate::fetch::SourceError;
use crate::manifest::{ManifestErrors, SelectError};
use crate::output::emit::EmitError;
use crate::pack::PackError;

/// Why a build failed. In every case nothing was written to the output.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Manifest(#[from] ManifestErrors),
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Place(#[from] Box<ContentError>),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Emit(#[from] EmitError),
    #[error("this builder carries no stub for {0}")]
    NoStub(payload::index::Arch),
}

impl BuildError {
    /// The code the program ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Read { .. } => 40,
            Self::Manifest(error) => error.exit_code(),
            Self::Select(error) => error.exit_code(),
            Self::Source(error) => error.exit_code(),
            Self::Place(error) => error.exit_code(),
            Self::Pack(error) => error.exit_code(),
            Self::Emit(error) => error.exit_code(),
            Self::NoStub(_) => 2,
        }
    }

    /// What to type next.
    pub fn hint(&self) -> String {
        match self {
            Self::Read { .. } => "name an existing manifest: --manifest FILE; `builder init` writes one".to_owned(),
            Self::Manifest(error) => error.hint(),
            Self::Select(error) => error.hint(),
            Self::Source(error) => error.hint(),
            Self::Place(error) => error.hint(),
            Self::Pack(error) => error.hint().to_owned(),
            Self::Emit(error) => error.hint().to_owned(),
            Self::NoStub(_) => "use a released builder, or one that was compiled after make toolchain-aarch64; nothing was fetched or written"
                .to_owned(),
        }
    }
}
