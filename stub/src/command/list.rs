//! `--list`: the files of the package.
//! How they are shown is in `report/list.rs`.

use payload::Package;

use crate::report::list;
use crate::report::screen::Screen;

/// Lists the package.
pub fn list(package: &Package, screen: Screen) {
    if screen.json {
        screen.json(&list::json(package));
    } else {
        screen.say_all(&list::lines(package.index()));
    }
}
