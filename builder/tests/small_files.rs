//! Files that are named by hand and are none, or never end: refused at once, with a word on what to do.
//! What is wrong inside a manifest is tested in the library.

#![expect(clippy::unwrap_used, reason = "a test has no better answer")]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

fn builder(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_builder")).args(arguments).output().unwrap()
}

#[test]
fn a_manifest_that_never_ends_is_refused_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    nix::unistd::mkfifo(Path::new(&path("fifo")), nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Larger than memory: whoever read it whole would be noticed.
    File::create(path("large")).unwrap().set_len(1 << 40).unwrap();
    for (manifest, says) in [
        (path("fifo"), "not a regular file"),
        ("/dev/zero".to_owned(), "not a regular file"),
        (path("."), "not a regular file"),
        (path("large"), "larger than 1.0 MB"),
    ] {
        for command in [&["check"][..], &["prep", "--manifest"], &["lock", "--manifest"]] {
            let refused = builder(&[command, &[manifest.as_str()]].concat());
            let said = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(refused.status.code(), Some(40), "{command:?} {manifest}: {said}");
            assert!(said.contains(says) && said.contains("next:"), "{command:?} {manifest}: {said}");
        }
    }
}
