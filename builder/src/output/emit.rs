//! Emitting: the finished package appears under its name at once, executable, or not at all.
//! What is in it is decided in `pack.rs`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::pack::{PackError, Packed};

/// Why the output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    #[error("cannot write {path}: {source}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {path}: {source}")]
    Pack {
        path: PathBuf,
        #[source]
        source: PackError,
    },
}

impl EmitError {
    /// The exit code, see DESIGN §7.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Write { .. } => 44,
            Self::Pack { source, .. } => source.exit_code(),
        }
    }

    /// What to type next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Write { .. } => {
                "check that the directory exists, is writable and has room, or name another: --output PATH"
            }
            Self::Pack { source, .. } => source.hint(),
        }
    }
}

/// Writes a package to `path`, over an older file of that name.
pub fn emit(packed: &Packed<'_>, path: &Path, watch: payload::Watch<'_>) -> Result<(), EmitError> {
    let failed = |source| EmitError::Write { path: path.to_owned(), source };
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new().prefix(".airgap-deploy.").tempfile_in(directory).map_err(failed)?;
    packed.write(file.as_file_mut(), watch).map_err(|source| EmitError::Pack { path: path.to_owned(), source })?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o755)).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // The new name is on the disk only when its directory is; not every file system can do that.
    File::open(directory).and_then(|directory| directory.sync_all()).or(Ok(()))
}
