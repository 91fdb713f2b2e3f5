//! How many instructions a plan takes for each file of a package, against the count on record: repeatable where times are not.
//! What it takes in seconds is in docs/performance.md.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::packages::{Need, install};
use e2e::scenario::Scenario;
use e2e::scenario::outcome::run;
use e2e::skip::skipped;

const VALGRIND: &[Need] = &[Need { file: "/usr/bin/valgrind", package: "valgrind" }];
/// The compiler whose code was counted: another one makes other code.
const COMPILER: &str = "rustc 1.95.0";
/// What is counted, and instructions for each file. When they grow and are meant to, the new count is written here.
const RECORDED: [(&[&str], u64); 2] = [(&["--list"], 214_000), (&["--dry-run"], 253_000)];
const PERCENT: u64 = 5;
const FILES: u64 = 1000;

/// A package of so many files, made by the builder as it is shipped.
fn build(files: u64) -> Result<(Scenario, PathBuf)> {
    let mut manifest =
        "[package]\nname = \"counted\"\nversion = \"1\"\n[install]\nprefix = \"/opt/counted\"\n".to_owned();
    for number in 0..files {
        write!(
            manifest,
            "[[components]]\ntype = \"config-file\"\nname = \"f{number}\"\ncontent = \"{number}\"\n\
             install_path = \"d{}/f{number}\"\n",
            number / 100
        )?;
    }
    let scenario = Scenario::new()?.shipped();
    let package = scenario.build(&manifest)?;
    Ok((scenario, package))
}

/// Of one call; the stub is the same for all packages, and so is what it costs to verify it.
fn count(package: &Path, root: &Path, arguments: &[&str]) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(package).arg("--payload").arg(package);
    valgrind.args(arguments).arg("--root").arg(root).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let outcome = run(&mut valgrind)?;
    ensure!(outcome.code == 0, "{outcome}");
    let counted = outcome.stderr.lines().find_map(|line| line.split_once("Collected : "));
    counted.context("callgrind counted nothing")?.1.trim().parse().context("no count")
}

#[test]
#[ignore = "needs valgrind and a release build; make acceptance runs it"]
fn a_plan_takes_no_more_instructions_than_on_record() -> Result<()> {
    let compiler = run(Command::new("rustc").arg("--version"))?.stdout;
    if !compiler.starts_with(COMPILER) {
        skipped(&format!("the counts on record are of {COMPILER}, this is {compiler}"));
        return Ok(());
    }
    install(VALGRIND)?;
    let ((scenario, one), (_many, many)) = (build(1)?, build(FILES + 1)?);
    let root = scenario.target("root")?;
    for (arguments, recorded) in RECORDED {
        let each = (count(&many, &root, arguments)? - count(&one, &root, arguments)?) / FILES;
        println!("{}: {each} instructions for each file, {recorded} on record", arguments.join(" "));
        ensure!(each * 100 <= recorded * (100 + PERCENT), "{arguments:?}: more than {PERCENT} % more than on record");
    }
    Ok(())
}
