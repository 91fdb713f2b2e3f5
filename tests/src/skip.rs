//! Tests that cannot run here say so, in words that `make test` counts; and who runs the tests.
//! What a test needs beside that is said by the test.

use std::io::Write;

/// Whether the tests run as root: then they may set owners, mount, and run the account tools.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether a test that needs root cannot run; says that aloud.
pub fn needs_root() -> bool {
    if !is_root() {
        skipped("needs root");
    }
    !is_root()
}

/// Says that a test is skipped. Not `eprintln!`: the test harness would swallow it.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {why}: {}\n", thread.name().unwrap_or("a test"));
    // Nobody may be listening.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
