//! `make help` is what make can do, and the habits of CONTRIBUTING.md name files that are there.
//! What the targets do is run by CI.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::crash::workspace;
use e2e::scenario::Scenario;
use e2e::scenario::outcome::run;

fn help() -> Result<String> {
    let output = Command::new("make").args(["--no-print-directory", "help"]).current_dir(workspace()).output();
    let output = output.context("make cannot be started")?;
    ensure!(output.status.success(), "make help failed");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn make_help_names_every_target_and_no_other() -> Result<()> {
    let help = help()?;
    let told: BTreeSet<&str> =
        help.lines().filter_map(|line| line.strip_prefix("make ")?.split_whitespace().next()).collect();
    let mut targets = BTreeSet::from(["help".to_owned()]);
    for file in ["Makefile", "tests/acceptance.mk", "fuzz/fuzz.mk"] {
        let text = fs::read_to_string(workspace().join(file))?;
        let phony = text.lines().filter_map(|line| line.strip_prefix(".PHONY:"));
        targets.extend(phony.flat_map(str::split_whitespace).map(str::to_owned));
    }
    targets.remove("help");
    let targets: BTreeSet<&str> = targets.iter().map(String::as_str).collect();
    let untold: Vec<_> = targets.difference(&told).collect();
    let untrue: Vec<_> = told.difference(&targets).collect();
    ensure!(untold.is_empty() && untrue.is_empty(), "make help leaves out {untold:?}, and promises {untrue:?}");
    Ok(())
}

#[test]
fn the_files_that_contributing_names_are_there() -> Result<()> {
    let text = fs::read_to_string(workspace().join("CONTRIBUTING.md"))?;
    let mut named = 0;
    for name in text.split('`').skip(1).step_by(2).filter(|name| name.contains('/') && !name.contains(' ')) {
        ensure!(workspace().join(name).exists(), "CONTRIBUTING.md names {name}, which is not there");
        named += 1;
    }
    ensure!(named > 20, "only {named} files are named");
    let targets = help()?;
    for target in text.split("`make ").skip(1).filter_map(|rest| rest.split(['`', ' ']).next()) {
        ensure!(targets.contains(&format!("make {target} ")), "there is no make {target}");
    }
    Ok(())
}

#[test]
fn an_archive_of_the_release_is_the_same_whenever_and_by_whom_its_files_were_written() -> Result<()> {
    let archive = |mode: u32, order: [&str; 2], content: &str| -> Result<Vec<u8>> {
        let scenario = Scenario::new()?;
        for name in order {
            scenario.write(&format!("release/docs/{name}"), content)?;
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(scenario.path(&format!("release/docs/{name}")), permissions)?;
        }
        let mut tool = Command::new(workspace().join("tools/dist.py"));
        let (from, to) = (scenario.path("release"), scenario.path("release.tar.zst"));
        run(tool.arg("tar").arg(from).arg(&to).env("SOURCE_DATE_EPOCH", "1795668413"))?.exits(0)?;
        Ok(fs::read(to)?)
    };
    let first = archive(0o600, ["a.md", "b.md"], "text")?;
    ensure!(first == archive(0o664, ["b.md", "a.md"], "text")?, "order or permissions are in the archive");
    ensure!(first != archive(0o664, ["b.md", "a.md"], "test")?, "the content is not in the archive");
    ensure!(first != archive(0o755, ["b.md", "a.md"], "text")?, "programs do not stay programs");
    Ok(())
}
