//! Finds the package: the file this program was started from, or the one given with `--payload`.
//! It is opened once, and never again by name.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use payload::{Package, PayloadError, Trust};

use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;

/// Opens the package.
///
/// # Errors
/// Exit code 10 when it is damaged or holds no payload, 12 when its format cannot be read, 41 when what was named is not
/// there, or no file.
pub fn open(payload: Option<&Path>) -> Result<Package, Error> {
    Package::open(file(payload)?, &Trust::nobody()).map_err(|error| Error::payload(&error))
}

/// Opens the package that this program is part of; `None` when it is the installer alone.
///
/// # Errors
/// The same.
pub fn open_own() -> Result<Option<Package>, Error> {
    match Package::open(file(None)?, &Trust::nobody()) {
        Err(PayloadError::NoPayload(_)) => Ok(None),
        other => other.map(Some).map_err(|error| Error::payload(&error)),
    }
}

fn file(payload: Option<&Path>) -> Result<File, Error> {
    match payload {
        Some(path) => regular_file(path).map_err(|error| {
            Error::new(Exit::NotFound, format!("cannot read {}: {error}", path.display()))
                .state(NOTHING_CHANGED)
                .hint("check the name and the medium")
        }),
        None => File::open("/proc/self/exe").map_err(|error| {
            Error::new(Exit::Damaged, format!("cannot find the file this program was started from: {error}"))
                .hint("mount /proc, or name the package: --payload FILE")
        }),
    }
}

/// Opens what was named without waiting: a FIFO would wait for its writer for ever.
fn regular_file(path: &Path) -> std::io::Result<File> {
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("it is not a regular file")) }
}
