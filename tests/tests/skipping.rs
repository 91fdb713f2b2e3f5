//! What cannot run is counted: a run of tests that skipped some does not read like one that ran them all.
//! Which tests need what is said by each of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use e2e::crash::workspace;
use e2e::scenario::{NOBODY, Scenario};
use e2e::skip::{is_root, needs_root, without_root};

/// What `tools/test.sh` says in the end when cargo says `text` and ends with `code`.
fn summary(text: &str, code: i32) -> Result<(String, Option<i32>)> {
    let scenario = Scenario::new()?;
    scenario.write("said", text)?;
    let cargo =
        scenario.write("bin/cargo", format!("#!/bin/sh\ncat {}\nexit {code}\n", scenario.path("said").display()))?;
    fs::set_permissions(cargo, fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:/usr/bin:/bin", scenario.path("bin").display());
    let output = Command::new(workspace().join("tools/test.sh")).env("PATH", path).stdin(Stdio::null()).output()?;
    let said = String::from_utf8(output.stdout)?;
    let added = said.strip_prefix(text).unwrap_or(&said);
    Ok((added.to_owned(), output.status.code()))
}

const RAN: &str =
    "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured\ntest result: ok. 3 passed; 0 failed; 0\n";

#[test]
fn the_summary_counts_what_was_skipped_and_why() -> Result<()> {
    ensure!(summary(RAN, 0)? == ("tests: 15 passed, 0 failed, 0 skipped\n".to_owned(), Some(0)), "nothing was skipped");
    let skipped =
        format!("skipped: needs root: one\n..\nskipped: needs root: two\nskipped: needs python3: three\n{RAN}");
    let (said, code) = summary(&skipped, 0)?;
    let last = "tests: 12 passed, 0 failed, 3 skipped, 0 in part: NOT ALL OF THE TESTS RAN\n";
    ensure!(said.ends_with(last) && code == Some(0), "{said}");
    ensure!(said.contains("2 skipped: needs root\n") && said.contains("1 skipped: needs python3\n"), "{said}");
    let (said, _) = summary(&format!("in part: needs root for owners: one\n{RAN}"), 0)?;
    ensure!(said.ends_with("tests: 15 passed, 0 failed, 0 skipped, 1 in part: NOT ALL OF THE TESTS RAN\n"), "{said}");
    let (said, code) = summary("test result: FAILED. 2 passed; 1 failed; 0 ignored\n", 101)?;
    ensure!(said == "tests: 2 passed, 1 failed, 0 skipped\n" && code == Some(101), "{said}");
    Ok(())
}

/// Two tests that say in this program what others say in theirs; they are run once more below, by somebody else.
#[test]
fn needs_root_as_others_do() {
    let _ = needs_root();
}

#[test]
fn leaves_something_out_as_others_do() {
    without_root("owners");
}

#[test]
fn whoever_is_not_root_sees_what_did_not_run() -> Result<()> {
    let scenario = Scenario::new()?;
    let program = scenario.path("tests");
    fs::copy(std::env::current_exe()?, &program)?;
    for (name, said) in [
        ("needs_root_as_others_do", "skipped: needs root: needs_root_as_others_do"),
        ("leaves_something_out_as_others_do", "in part: needs root for owners: leaves_something_out_as_others_do"),
    ] {
        // In the harness's own words and in its dots, the line is one of its own.
        for format in ["pretty", "terse"] {
            let mut command = Command::new(&program);
            command.args(["--exact", name, "--test-threads=2", "--format", format]).current_dir("/");
            if is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
            let output = command.stdin(Stdio::null()).output()?;
            let text = String::from_utf8(output.stderr)?;
            ensure!(output.status.success() && text.lines().any(|line| line == said), "{format}: {text:?}");
        }
    }
    Ok(())
}
