//! Finished packages are cut into volumes, and volumes joined: the same bytes, all of them compared on the way.
//! Building a package in volumes is in `prep.rs`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use payload::{Cut, Digest, Layout, Package, Watch};

use super::beside;
use super::emit::{EmitError, refuse_to_replace, refuse_without_room};
use super::volumes::{self, Volume};

/// What was written.
#[derive(Debug)]
pub struct Written {
    pub volumes: Vec<Volume>,
    /// The list of digests, for `sha256sum -c`.
    pub list: PathBuf,
    /// Of all bytes.
    pub digest: Digest,
}

/// Cuts a package into volumes of `size` bytes in `directory`, which is made when it is not there.
///
/// # Errors
/// What is wrong with the package, or with the size; what would be overwritten; what cannot be written.
pub fn split(package: &Package, file: &Path, size: u64, directory: &Path, force: bool) -> Result<Written, EmitError> {
    let failed = |source| EmitError::Payload { path: file.to_owned(), source };
    let layout = Layout::new(package.index(), package.index_json(), package.signature_file()).map_err(failed)?;
    let cut = volumes::cut(&layout, size)?;
    fs::create_dir_all(directory).map_err(|source| EmitError::Write { path: directory.to_owned(), source })?;
    let name = file.file_name().unwrap_or_default();
    write(package, file, cut, &directory.join(name), force)
}

/// Joins the volumes of a package into the one file `output`.
///
/// # Errors
/// As for [`split`].
pub fn join(package: &Package, file: &Path, output: &Path, force: bool) -> Result<Written, EmitError> {
    let length = package.index().total_length;
    write(package, file, Cut::new(length, length), output, force)
}

fn write(package: &Package, file: &Path, cut: Cut, output: &Path, force: bool) -> Result<Written, EmitError> {
    let failed = |source| EmitError::Payload { path: file.to_owned(), source };
    package.require_stub().map_err(failed)?;
    let missing = package.parts().missing().map_err(failed)?;
    if !missing.is_empty() {
        return Err(failed(package.parts().are_missing(missing)));
    }
    refuse_to_replace(output, &[file.to_owned()], force)?;
    volumes::require_ours(output, force)?;
    refuse_without_room(output, package.index().total_length)?;
    let mut content = |out: &mut dyn Write| {
        package.copy(out, Watch::nobody()).map_err(|source| match source {
            payload::PayloadError::Write { source, .. } => EmitError::Write { path: output.to_owned(), source },
            source => EmitError::Payload { path: file.to_owned(), source: package.narrow(source) },
        })
    };
    let (volumes, digest) = volumes::emit(output, cut, &mut content)?;
    let list = beside::write_list(output, &volumes)?;
    Ok(Written { volumes, list, digest })
}
