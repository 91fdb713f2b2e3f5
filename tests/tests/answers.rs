//! What the installer says about what it did: what was done, with its outcome, and all of it or an error.
//! What has to be done is tested elsewhere.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::scenario::tree::Tree;
use e2e::scenario::{Scenario, package, package_as_nobody, package_below, sample};

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

/// A manifest with a program of many libraries, in more directories than one wants to read.
fn with_many_files(scenario: &Scenario) -> Result<String> {
    for number in 0..240 {
        let path = format!("inputs/ollama/lib/ollama/part{}/nested{}/lib{number}.so", number % 12, number % 3);
        scenario.write(&path, format!("library {number}"))?;
    }
    sample::write_inputs(scenario)?;
    Ok(sample::MANIFEST.to_owned())
}

#[test]
fn a_plan_is_short_first_and_names_every_path_when_asked() -> Result<()> {
    let scenario = Scenario::new()?;
    let manifest = with_many_files(&scenario)?;
    let run = scenario.build(&manifest)?;
    let root = scenario.target("root")?;
    let short = package_below(&run, &root, &["--dry-run"])?.exits(0)?;
    ensure!(short.stdout.lines().count() < 60, "{} lines", short.stdout.lines().count());
    let short = short.says("/opt/ollama/lib/ollama/ and below: 2")?.says("place /opt/ollama/share/notes.txt")?;
    let short =
        short.says("make /opt/ollama/ and ")?.says("--verify compares every byte")?.says("Nothing was changed")?;
    // Numbers without gaps, also where there are no accounts.
    let before_dot = short.stdout.lines().filter_map(|line| line.split_once(". ")).map(|(before, _)| before);
    let numbers: Vec<&str> = before_dot.filter(|before| before.parse::<u8>().is_ok()).collect();
    ensure!(numbers == ["1", "2", "3", "4"], "{numbers:?}");
    let long = package_below(&run, &root, &["--dry-run", "--verbose"])?.exits(0)?;
    for number in 0..240 {
        ensure!(long.stdout.contains(&format!("/lib{number}.so (")), "lib{number}.so is not named");
    }
    Ok(())
}

#[test]
fn a_plan_names_what_the_installer_keeps_for_itself() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let plan = package_below(&run, &root, &["--dry-run"])?.exits(0)?;
    let plan = plan.says("/var/lib/airgap-deploy/sample/ with the receipt")?.says("/opt/.airgap-deploy.sample/")?;
    let plan = plan.says("/var/lib/airgap-deploy/sample/journal")?.says("a lock on")?;
    ensure!(!plan.stdout.contains("--history"), "there is no place for logs: {plan}");
    fs::create_dir_all(root.join("var/log"))?;
    package_below(&run, &root, &["--dry-run"])?.exits(0)?.says("in /var/log/airgap-deploy/sample.log (--history)")?;
    let json = package_below(&run, &root, &["--dry-run", "--json"])?.exits(0)?.json()?;
    ensure!(json["own_files"]["program"] == "/var/lib/airgap-deploy/sample/airgap-deploy", "{json}");
    Ok(())
}

#[test]
fn whoever_may_not_install_still_sees_a_plan_without_an_exit_code() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let plan = package_as_nobody(&run, &["--dry-run"])?.exits(0)?.says("Required permissions: root")?;
    ensure!(!plan.stdout.contains("exit code"), "it ends with 0: {plan}");
    Ok(())
}

#[test]
fn a_package_says_which_one_it_is() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    package(&run, &["--version"])?.exits(0)?.says("sample 1.2.3\nairgap-deploy ")?;
    let json = package(&run, &["--version", "--json"])?.exits(0)?.json()?;
    ensure!(json["package"] == "sample" && json["version"] == "1.2.3", "{json}");
    Ok(())
}

#[test]
fn a_log_says_who_did_what_and_the_history_tells_all_of_it() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    package_below(&run, &root, &["--history"])?.exits(0)?.says("no history")?;
    fs::create_dir_all(root.join("var/log"))?;
    scenario.write("root/opt/ollama/share/notes.txt", "somebody else's")?;
    package_below(&run, &root, &["--install"])?.exits(23)?;
    package_below(&run, &root, &["--install", "--replace"])?.exits(0)?;
    let bytes = fs::read(&run)?;
    let damaged = scenario.write("damaged.run", &bytes[..bytes.len() - 5000])?;
    fs::set_permissions(&damaged, fs::metadata(&run)?.permissions())?;
    package_below(&damaged, &root, &["--install"])?.exits(10)?;
    package_below(&run, &root, &["--uninstall"])?.exits(0)?;

    let log = fs::read_to_string(root.join("var/log/airgap-deploy/sample.log"))?;
    for line in ["step place /opt/ollama/bin/ollama", "step remove /opt/ollama/bin/ollama: done"] {
        ensure!(log.contains(line), "{line} is not in the log:\n{log}");
    }
    ensure!(log.lines().all(|line| line.split(' ').nth(1).is_some_and(|pid| pid.parse::<u32>().is_ok())), "{log}");
    let told = package_below(&run, &root, &["--history"])?.exits(0)?;
    let told = told.says("sample 1.2.3")?.says("exit code 23: ")?.says("notes.txt")?.says("uninstall  sample 1.2.3")?;
    ensure!(told.stdout.lines().count() == 4, "{told}");
    let known = package_below(&run, &root, &["--history", "--json"])?.exits(0)?.json()?;
    let entries = known["entries"].as_array().context("entries")?;
    let codes: Vec<_> = entries.iter().filter_map(|entry| entry["exit_code"].as_u64()).collect();
    ensure!(codes == [23, 0, 10, 0], "{known:#}");
    let index = package(&run, &["--version", "--json"])?.json()?["index"].clone();
    ensure!(entries[0]["index"] == index && entries[3]["index"] == index, "{known:#}");
    let unopened = damaged.to_str().context("UTF-8")?;
    ensure!(entries[2]["package"].is_null() && entries[2]["file"] == unopened, "{known:#}");
    let only = package_below(&run, &root, &["--history", "sample", "--json"])?.exits(0)?.json()?;
    ensure!(only["entries"].as_array().is_some_and(|entries| entries.len() == 3), "{only:#}");
    package_below(&run, &root, &["--history", "other"])?.exits(41)?;
    Ok(())
}

#[test]
fn a_log_follows_no_link_stays_small_and_is_no_reason_to_fail() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let (log, elsewhere) = (root.join("var/log/airgap-deploy/sample.log"), scenario.write("elsewhere", "of others")?);
    fs::create_dir_all(root.join("var/log/airgap-deploy"))?;
    symlink(&elsewhere, &log)?;
    let install = |text: &str| package_below(&run, &root, &["--install"])?.exits(0)?.says(text);
    install("the log of this is not complete")?;
    fs::remove_file(&log)?;
    fs::create_dir(&log)?;
    install("the log of this is not complete")?;
    fs::remove_dir(&log)?;
    fs::hard_link(&elsewhere, &log)?;
    install("the log of this is not complete")?;
    fs::remove_file(&log)?;
    ensure!(fs::read(&elsewhere)? == b"of others", "somebody else's file was written into");

    fs::write(&log, "x\n".repeat(1 << 19))?;
    install("nothing was changed")?;
    ensure!(fs::metadata(&log)?.len() < 4096, "a full log was not moved aside");
    ensure!(fs::metadata(root.join("var/log/airgap-deploy/sample.log.1"))?.len() == 1 << 20, "it is gone");
    Ok(())
}

#[test]
fn what_an_uninstallation_leaves_stays_known_and_can_be_purged_later() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let before = Tree::of(&root)?.without_directory_times();
    let leave = || -> Result<()> {
        package_below(&run, &root, &["--install"])?.exits(0)?;
        fs::write(root.join("opt/ollama/lib/ollama/of-theirs"), "new")?;
        fs::write(root.join("opt/ollama/share/notes.txt"), "changed")?;
        package_below(&run, &root, &["--uninstall"])?.exits(32)?.says("--uninstall --purge")?;
        Ok(())
    };
    leave()?;
    package_below(&run, &root, &["--status"])?.exits(41)?.says("is not installed, but something of it is left")?;
    package_below(&run, &root, &["--list-installed"])?.exits(0)?.says("leftovers of an uninstallation")?;
    let stub = root.join("var/lib/airgap-deploy/sample/airgap-deploy");
    let shown = package_below(&stub, &root, &["--uninstall", "--purge", "--dry-run"])?.exits(0)?;
    shown.says("notes.txt")?;
    package_below(&run, &root, &["--uninstall"])?.exits(32)?.says("of-theirs")?;
    package_below(&stub, &root, &["--uninstall", "--purge"])?.exits(0)?;
    before.equals(&Tree::of(&root)?.without_directory_times())?;
    package_below(&run, &root, &["--uninstall"])?.exits(41)?;

    // What is left is the package's own again when it is installed once more.
    leave()?;
    package_below(&run, &root, &["--install"])?.exits(23)?.says("notes.txt")?;
    fs::remove_file(root.join("opt/ollama/share/notes.txt"))?;
    fs::remove_file(root.join("opt/ollama/lib/ollama/of-theirs"))?;
    package_below(&run, &root, &["--install"])?.exits(0)?;
    package_below(&run, &root, &["--status"])?.exits(0)?;
    package_below(&run, &root, &["--uninstall"])?.exits(0)?;
    before.equals(&Tree::of(&root)?.without_directory_times())?;
    Ok(())
}
