//! `--list`: the files of the package.
//! How they are shown is in `report/list.rs`.

use payload::Package;

use crate::error::Error;
use crate::report::list;
use crate::report::screen::Screen;

/// Lists the package.
///
/// # Errors
/// The index cannot be read any more.
pub fn list(package: &Package, screen: Screen) -> Result<(), Error> {
    if screen.json {
        screen.json(&list::json(package).map_err(|error| Error::payload(&error))?);
    } else {
        screen.say_all(&list::lines(package.index()));
    }
    Ok(())
}
