//! Finds the package: the file this program was started from, or the one given with `--payload`.
//! It is opened once, and never again by name.

use std::fs::File;
use std::path::Path;

use payload::Package;

use crate::error::Error;
use crate::exit::Exit;

/// Opens the package.
///
/// # Errors
/// Exit code 10 when it is damaged or holds no payload, 12 when its format cannot be read.
pub fn open(payload: Option<&Path>) -> Result<Package, Error> {
    let file = match payload {
        Some(path) => File::open(path).map_err(|error| {
            Error::new(Exit::Damaged, format!("cannot read {}: {error}", path.display()))
                .hint("check the name and the medium")
        })?,
        None => File::open("/proc/self/exe").map_err(|error| {
            Error::new(Exit::Damaged, format!("cannot find the file this program was started from: {error}"))
                .hint("mount /proc, or name the package: --payload FILE")
        })?,
    };
    Package::open(file).map_err(|error| Error::payload(&error))
}
