//! Tests that cannot run here, or only in part, say so, in words that `make test` counts; and who runs the tests.
//! What a test needs beside that is said by the test.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

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

/// Whether a test that mounts something cannot run; says that aloud. Whoever is not root needs user namespaces for it.
pub fn needs_mounts() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    let possible = *POSSIBLE.get_or_init(|| {
        let mut command = Command::new("unshare");
        if !is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    });
    if !possible {
        skipped(if is_root() { "needs mount namespaces" } else { "needs root, or user namespaces" });
    }
    !possible
}

/// Says what of a test is left out without root: the rest of it runs.
pub fn without_root(what: &str) {
    if !is_root() {
        say("in part", &format!("needs root for {what}"));
    }
}

/// Says that a test is skipped.
pub fn skipped(why: &str) {
    say("skipped", why);
}

/// Not `eprintln!`: the test harness would swallow it. On a line of its own, whatever the harness has begun to write.
fn say(kind: &str, why: &str) {
    let thread = std::thread::current();
    let line = format!("\n{kind}: {why}: {}\n", thread.name().unwrap_or("a test"));
    // Nobody may be listening.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
