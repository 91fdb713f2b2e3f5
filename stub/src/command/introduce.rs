//! No action: what the package is, and how to go on.
//! It changes nothing, and verifies nothing but the index.

use payload::Package;

use crate::report::screen::Screen;
use crate::report::{signature, text};

/// Says what the package is.
pub fn introduce(package: &Package, screen: Screen) {
    screen.say_all(&text::package(package.index()));
    screen.say_all(&signature::lines(package));
    screen.say("");
    screen.say("Nothing was changed. How to go on:");
    for (option, what) in [
        ("--dry-run", "show what would be done; needs no root"),
        ("--verify", "compare every byte of this file with its index"),
        ("--install", "install it (as root)"),
        ("--help", "everything else"),
    ] {
        screen.say(&format!("  {option:12} {what}"));
    }
}
