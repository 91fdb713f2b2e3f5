//! `--extract`: the files of the package below a directory of the caller's, without installing them.
//! How a blob becomes a file is in `apply/stage.rs`.

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use payload::index::LinkKind;
use payload::{Package, RelPath, Watch};

use crate::apply::stage::{self, StageError};
use crate::error::Error;
use crate::exit::Exit;
use crate::host::interrupt;
use crate::report::screen::Screen;

/// Writes every file of the package below `directory`, with the paths it would be installed at.
///
/// # Errors
/// Exit code 10 when the package is damaged anywhere, 23 when something is in the way: `directory` must be empty or absent.
pub fn extract(package: &Package, directory: &Path, workers: usize, screen: Screen) -> Result<(), Error> {
    interrupt::watch();
    let bar = screen.progress("extracting", package.index().stored_size());
    let watch = Watch { progress: &|bytes| bar.inc(bytes), stop: &interrupt::requested };
    let outcome = write_below(directory, package, workers, watch);
    bar.finish_and_clear();
    outcome?;
    screen.say(&format!("extracted below {}", directory.display()));
    Ok(())
}

fn write_below(directory: &Path, package: &Package, workers: usize, watch: Watch<'_>) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| {
            let exit = match error.kind() {
                std::io::ErrorKind::PermissionDenied => Exit::PermissionDenied,
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Exit::OutOfDiskSpace,
                _ => Exit::Conflict,
            };
            Error::new(exit, format!("cannot write {path}: {error}")).state("a part of the package may be extracted")
        }
    };
    // What is no blob; these are compared while they are written.
    package.verify_blobs(|_| false, workers, Watch::nobody()).map_err(|error| Error::payload(&error))?;
    fs::create_dir_all(directory).map_err(failed(directory))?;
    if fs::read_dir(directory).map_err(failed(directory))?.next().is_some() {
        return Err(Error::new(Exit::Conflict, format!("{} is not empty", directory.display()))
            .state("nothing was written")
            .hint("name an empty directory"));
    }
    let index = package.index();
    for path in index.directories.iter().map(|entry| &entry.path) {
        fs::create_dir_all(path.below(directory)).map_err(failed(&path.below(directory)))?;
    }
    for file in &index.files {
        let target = file.path.below(directory);
        make_parent(&file.path, directory).map_err(failed(&target))?;
        let out = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&target)
            .map_err(failed(&target))?;
        let position = index.blobs.iter().position(|blob| blob.digest == file.blob).unwrap_or(usize::MAX);
        stage::stage(package, position, &out, &file.path, workers, watch).map_err(|error| {
            // What is not what its name says must not be taken for it. Where it cannot be removed, the error stands.
            let _ = fs::remove_file(&target);
            match error {
                StageError::Payload(error) => Error::payload(&error).state("a part of the package may be extracted"),
                StageError::Fs(error) => error.into(),
            }
        })?;
        out.set_permissions(fs::Permissions::from_mode(file.mode.bits())).map_err(failed(&target))?;
    }
    for link in &index.links {
        let target = link.path.below(directory);
        make_parent(&link.path, directory).map_err(failed(&target))?;
        match &link.kind {
            LinkKind::Hard { to } => fs::hard_link(to.below(directory), &target),
            LinkKind::Symbolic { target: to } => std::os::unix::fs::symlink(to, &target),
        }
        .map_err(failed(&target))?;
    }
    set_modes(package, directory).map_err(failed(directory))
}

/// When everything is in them: a directory may be closed to its own owner.
fn set_modes(package: &Package, directory: &Path) -> std::io::Result<()> {
    package.index().directories.iter().rev().try_for_each(|entry| {
        fs::set_permissions(entry.path.below(directory), fs::Permissions::from_mode(entry.mode.bits()))
    })
}

fn make_parent(path: &RelPath, directory: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent.below(directory)),
        None => Ok(()),
    }
}
