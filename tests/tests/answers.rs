//! What the installer says about what it did: what was done, with its outcome, and all of it or an error.
//! What has to be done is tested elsewhere.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::scenario::{Scenario, package_below, sample};

#[test]
fn an_uninstallation_says_what_was_done_and_what_was_kept() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    package_below(&run, &root, &["--install"])?.exits(0)?;
    fs::write(root.join("opt/ollama/lib/ollama/of-theirs"), "new")?;
    let left = package_below(&run, &root, &["--uninstall"])?.exits(32)?;
    let left = left.says("remove /opt/ollama/bin/ollama")?.says("remove directory /opt/ollama/bin/")?;
    let left = left.says("kept: /opt/ollama/lib/ollama/ is not empty: of-theirs")?;
    for stays in ["/opt/ollama/lib/ollama/", "/opt/ollama/lib/", "/opt/ollama/"] {
        ensure!(root.join(&stays[1..]).is_dir(), "{stays} is gone");
        ensure!(!left.stdout.contains(&format!("remove directory {stays}\n")), "{stays} was not removed: {left}");
    }
    Ok(())
}

#[test]
fn below_a_root_without_accounts_nothing_is_said_of_owners_or_services() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let installed = package_below(&run, &root, &["--install"])?.exits(0)?;
    let installed = installed.says("place /opt/ollama/models/llama2-7b.gguf")?.says("no account is created")?;
    for untrue in ["ollama:ollama", "root:root", "systemctl"] {
        ensure!(!installed.stdout.contains(untrue), "{untrue} is said: {installed}");
    }
    Ok(())
}

/// What a program says whose standard output is full.
fn into_a_full_disk(run: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let full = OpenOptions::new().write(true).open("/dev/full")?;
    let output = Command::new(run).args(arguments).stdin(Stdio::null()).stdout(full).output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let root = root.to_str().context("UTF-8")?;
    for action in ["--list", "--verify", "--dry-run"] {
        for json in [&[][..], &["--json"]] {
            let arguments = [&[action, "--root", root], json].concat();
            let (code, text) = into_a_full_disk(&run, &arguments)?;
            ensure!(
                code == Some(44) && text.contains("the answer cannot be written"),
                "{arguments:?}: {code:?} {text}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let mut child = Command::new(&run).args(["--list", "--json"]).stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    ensure!(child.wait()?.code() == Some(0), "a closed pipe is no error");
    let mut child = Command::new(&run).arg("--list").stdout(Stdio::piped()).spawn()?;
    let mut few = [0; 4];
    child.stdout.take().context("stdout")?.read_exact(&mut few)?;
    ensure!(child.wait()?.code() == Some(0), "a closed pipe is no error");
    Ok(())
}
