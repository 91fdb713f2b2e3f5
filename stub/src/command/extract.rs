//! `--extract`: the files of the package below a directory of the caller's, without installing them.
//! How a blob becomes a file is in `apply/stage.rs`.

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use payload::index::LinkKind;
use payload::{Package, RelPath};

use crate::apply::stage::{self, StageError};
use crate::error::Error;
use crate::exit::Exit;
use crate::report::screen::Screen;

/// Writes every file of the package below `directory`, with the paths it would be installed at.
///
/// # Errors
/// Exit code 10 when the package is damaged, 23 when something is in the way: `directory` must be empty or absent.
pub fn extract(package: &Package, directory: &Path, workers: usize, screen: Screen) -> Result<(), Error> {
    let bar = screen.progress(package.index().stored_size());
    let outcome = write_below(directory, package, workers, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    outcome?;
    screen.say(&format!("extracted below {}", directory.display()));
    Ok(())
}

fn write_below(
    directory: &Path,
    package: &Package,
    workers: usize,
    progress: payload::Progress<'_>,
) -> Result<(), Error> {
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
        stage::stage(package, position, &out, &file.path, workers, progress).map_err(|error| match error {
            StageError::Payload(error) => Error::payload(&error).state("a part of the package may be extracted"),
            StageError::Fs(error) => error.into(),
            StageError::Interrupted => Error::new(Exit::Interrupted, "interrupted".to_owned()),
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
    Ok(())
}

fn make_parent(path: &RelPath, directory: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent.below(directory)),
        None => Ok(()),
    }
}
