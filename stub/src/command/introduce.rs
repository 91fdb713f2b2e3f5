//! No action: what the package is, and how to go on.
//! It changes nothing, and verifies nothing but the index.

use payload::index::Index;

use crate::report::screen::Screen;
use crate::report::text;

/// Says what the package is.
pub fn introduce(index: &Index, screen: Screen) {
    screen.say_all(&text::package(index));
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
