//! Finished packages are cut into volumes, and volumes joined: the same bytes, all of them compared on the way.
//! Building a package in volumes is in `prep.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use payload::{Cut, Digest, Output, Package, PayloadError, Watch};

use super::beside;
use super::emit::{EmitError, refuse_to_replace, refuse_without_room};
use super::transfer;
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

/// What is around a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeLayout {
    Files,
    /// An archive for each, and a manifest: see `transfer.rs`.
    AirgapTransfer,
}

/// Cuts a package into volumes in `directory`, which is made when it is not there, so that no file is longer than `size`.
///
/// # Errors
/// What is wrong with the package, or with the size; what would be overwritten; what cannot be written.
pub fn split(
    package: &Package,
    file: &Path,
    size: u64,
    shape: VolumeLayout,
    directory: &Path,
    force: bool,
) -> Result<Written, EmitError> {
    let layout = package.layout();
    let cut = match shape {
        VolumeLayout::Files => volumes::cut(layout, size)?,
        VolumeLayout::AirgapTransfer => volumes::cut(layout, transfer::volume_size(size))?,
    };
    fs::create_dir_all(directory).map_err(|source| EmitError::Write { path: directory.to_owned(), source })?;
    let name = package_name(package, file);
    if shape == VolumeLayout::AirgapTransfer {
        require_complete(package, file)?;
        transfer::require_ours(directory, force)?;
        refuse_without_room(&directory.join(&name), package.index().total_length)?;
        let output = directory.join(&name);
        let (volumes, digest) = transfer::emit(&output, cut, size, &mut content(package, file, &output))?;
        return Ok(Written { volumes, list: directory.join(payload::TRANSFER_MANIFEST), digest });
    }
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
    require_complete(package, file)?;
    refuse_to_replace(output, &[file.to_owned()], None, force)?;
    volumes::require_ours(output, force)?;
    refuse_without_room(output, package.index().total_length)?;
    let (volumes, digest) = volumes::emit(output, cut, &mut content(package, file, output))?;
    let list = beside::write_list(output, &volumes)?;
    Ok(Written { volumes, list, digest })
}

/// All volumes are here, and the program is the one that was packed.
fn require_complete(package: &Package, file: &Path) -> Result<(), EmitError> {
    let failed = |source| EmitError::Payload { path: file.to_owned(), source };
    package.require_stub().and_then(|()| package.parts().require_all()).map_err(failed)
}

/// What writes a package that exists.
fn content<'a>(
    package: &'a Package,
    file: &'a Path,
    output: &'a Path,
) -> impl FnMut(&mut dyn Output) -> Result<(), EmitError> + 'a {
    move |out| {
        package.copy(out, Watch::nobody()).map_err(|source| match source {
            PayloadError::Write { source, .. } => EmitError::Write { path: output.to_owned(), source },
            source => EmitError::Payload { path: file.to_owned(), source: package.narrow(source) },
        })
    }
}

/// What the volumes are called: as the file is, or as the package is when that is a directory of chunks.
fn package_name(package: &Package, file: &Path) -> PathBuf {
    match file.file_name() {
        Some(name) if !file.is_dir() => PathBuf::from(name),
        _ => PathBuf::from(format!("{}.run", package.index().package.name)),
    }
}
