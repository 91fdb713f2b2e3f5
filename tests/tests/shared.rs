//! Accounts and packages beside each other: nobody's account is deleted but the installer's own, and what another
//! installed package needs stays until that one goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::crash::draft::Draft;
use e2e::crash::program::{Ended, Run};
use e2e::crash::stage::Stage;
use e2e::crash::trials::{Goal, Scratch, Series};
use e2e::crash::{directory, sample};
use e2e::scenario::{package, sample as shipped, with_mounts};
use e2e::skip::needs_root;
use e2e::tree::{Tree, copy};
use payload::index::Role;
use tempfile::TempDir;

const JOURNAL: &str = "var/lib/airgap-deploy/demo/journal";

/// Runs an account tool below a root.
fn account_tool(tool: &str, root: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new(tool).arg("--prefix").arg(root).args(arguments).status()?;
    ensure!(status.success(), "{tool} {arguments:?}: {status}");
    Ok(())
}

fn line_of(root: &Path, file: &str, name: &str) -> Result<Option<String>> {
    let text = fs::read_to_string(root.join("etc").join(file))?;
    Ok(text.lines().find(|line| line.starts_with(&format!("{name}:"))).map(str::to_owned))
}

/// Kills an installation when `step` is the last in its journal, and `done` says whether its tool has run.
fn killed_at(stage: &Stage, step: &str, done: impl Fn(&Path) -> Result<bool>) -> Result<Scratch> {
    for change in 1.. {
        let scratch = Scratch::of(&stage.bare)?;
        let ended = Run::new(&stage.first, &scratch.root, &["--install"]).set("KILL_AT", change).end();
        ensure!(ended.killed, "no kill at {step}: {ended:?}");
        let journal = fs::read_to_string(scratch.root.join(JOURNAL)).unwrap_or_default();
        let last = journal.lines().last().is_some_and(|line| line.contains(&format!("\"{step}\"")));
        if last && journal.ends_with('\n') && done(&scratch.root)? {
            return Ok(scratch);
        }
    }
    anyhow::bail!("there are no more numbers")
}

#[test]
fn an_account_that_somebody_made_after_the_crash_is_theirs() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = Stage::new(true)?;
    for (step, tool, file) in [("create-group", "groupadd", "group"), ("create-user", "useradd", "passwd")] {
        let scratch = killed_at(&stage, step, |root| Ok(line_of(root, file, "demo")?.is_none()))?;
        let arguments: &[&str] = if tool == "useradd" { &["--system", "--gid", "root", "demo"] } else { &["demo"] };
        account_tool(tool, &scratch.root, arguments)?;
        let theirs = line_of(&scratch.root, file, "demo")?.context("not made")?;
        let ended = Run::new(&stage.first, &scratch.root, &["--recover"]).end();
        ensure!(ended.code == Some(23) && ended.text.contains("somebody else made it"), "{step}: {ended:?}");
        ensure!(line_of(&scratch.root, file, "demo")? == Some(theirs), "{step}: their account is gone");
        ensure!(!scratch.root.join(JOURNAL).exists(), "the journal has no end");
    }
    Ok(())
}

#[test]
fn an_account_that_the_installer_made_goes_with_the_crash() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = Stage::new(true)?;
    let scratch = killed_at(&stage, "create-user", |root| Ok(line_of(root, "passwd", "demo")?.is_some()))?;
    let ended = Run::new(&stage.first, &scratch.root, &["--recover"]).end();
    ensure!(ended.code == Some(0), "{ended:?}");
    let left = Tree::read(&stage.bare)?.difference(&Tree::read(&scratch.root)?);
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

#[test]
fn an_account_made_anew_after_the_installation_and_a_group_that_was_there_stay() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = Stage::new(true)?;
    let scratch = Scratch::of(&stage.installed)?;
    account_tool("userdel", &scratch.root, &["demo"])?;
    account_tool("useradd", &scratch.root, &["--system", "--gid", "root", "demo"])?;
    let ended = Run::new(&stage.first, &scratch.root, &["--uninstall"]).end();
    ensure!(ended.code == Some(32) && ended.text.contains("the user demo has the number"), "{ended:?}");
    ensure!(line_of(&scratch.root, "passwd", "demo")?.is_some(), "their user is gone");
    // userdel(8) would take the group of the same name along.
    let scratch = Scratch::of(&stage.bare)?;
    account_tool("groupadd", &scratch.root, &["--gid", "777", "demo"])?;
    let before = line_of(&scratch.root, "group", "demo")?;
    for action in ["--install", "--uninstall"] {
        let ended = Run::new(&stage.first, &scratch.root, &[action]).end();
        ensure!(ended.code == Some(0), "{ended:?}");
    }
    ensure!(line_of(&scratch.root, "passwd", "demo")?.is_none(), "the user is left");
    ensure!(line_of(&scratch.root, "group", "demo")? == before, "their group is gone");
    Ok(())
}

#[test]
fn a_machine_that_does_not_say_which_accounts_it_has_is_refused() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let scenario = e2e::scenario::Scenario::new()?;
    let run = shipped::build(&scenario)?;
    let silent = scenario.write("getent", "#!/bin/sh\necho 'no answer from the directory' >&2\nexit 3\n")?;
    fs::set_permissions(&silent, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    // Shows what would be done on the running system, where getent is asked; and changes nothing.
    let script = "mount --bind \"$2\" \"$(command -v getent)\" && \"$1\" --dry-run";
    let said = with_mounts(script, &[&run, &silent])?.exits(21)?;
    said.says("this machine does not say which accounts it has")?.says("no answer from the directory")?;
    package(&run, &["--dry-run"])?.exits(0)?;
    Ok(())
}

/// The first package, and beside it one more model in the same store, with the same account.
struct Pair {
    stage: Stage,
    _directory: TempDir,
    more: PathBuf,
    both: PathBuf,
}

fn more(accounts: bool) -> Result<Draft> {
    let mut draft = Draft::new("1", sample::PREFIX, accounts)?;
    draft.index.package.name = "more".parse().map_err(anyhow::Error::msg)?;
    draft.directory("opt")?.directory(sample::PREFIX)?.directory("opt/demo/lib")?;
    draft.service_directory("opt/demo/models", 0o755)?.service_directory("opt/demo/models/blobs", 0o755)?;
    draft.service_file("opt/demo/models/more.gguf", Role::ModelBlob, 0o644, b"one more model")?;
    draft.file("opt/demo/lib/libsame.so", Role::Program, 0o644, b"the same in both versions")?;
    draft.file("opt/demo/lib/libold.so", Role::Program, 0o644, b"not in version two")?;
    Ok(draft)
}

fn pair(accounts: bool) -> Result<Pair> {
    let stage = Stage::new(accounts)?;
    let kept = directory()?;
    let (more_run, both) = (kept.path().join("more.run"), kept.path().join("both"));
    more(accounts)?.write(&more_run)?;
    copy(&stage.installed, &both)?;
    done(&Run::new(&more_run, &both, &["--install"]).end())?;
    Ok(Pair { stage, _directory: kept, more: more_run, both })
}

fn done(ended: &Ended) -> Result<()> {
    ensure!(ended.code == Some(0), "{ended:?}");
    Ok(())
}

fn is_bare(pair: &Pair, root: &Path) -> Result<()> {
    let left = Tree::read(&pair.stage.bare)?.difference(&Tree::read(root)?);
    ensure!(left.is_empty(), "both are gone, and this differs:\n{left}");
    Ok(())
}

fn shared(accounts: bool) -> Result<()> {
    let pair = pair(accounts)?;
    for uninstall in [&["--uninstall"][..], &["--uninstall", "--purge"]] {
        let scratch = Scratch::of(&pair.both)?;
        let first = |action: &[&str]| Run::new(&pair.stage.first, &scratch.root, action).end();
        let second = |action: &[&str]| Run::new(&pair.more, &scratch.root, action).end();
        let shown = first(&[uninstall, &["--dry-run"]].concat());
        done(&shown)?;
        ensure!(shown.text.contains("stays, needed by more: "), "{shown:?}");
        let gone = first(uninstall);
        done(&gone)?;
        for needed in ["/opt/demo/models/blobs", "/opt/demo/lib/libsame.so"] {
            ensure!(shown.text.contains(needed) && gone.text.contains(needed), "{needed}: {shown:?} {gone:?}");
        }
        if accounts {
            ensure!(shown.text.contains("user demo, group demo"), "{shown:?}");
            ensure!(line_of(&scratch.root, "passwd", "demo")?.is_some(), "the user is gone");
        }
        ensure!(!scratch.root.join("opt/demo/bin").exists(), "what only the first had is left");
        done(&second(&["--status"]))?;
        done(&second(uninstall))?;
        is_bare(&pair, &scratch.root)?;
    }
    // The other one goes first.
    let scratch = Scratch::of(&pair.both)?;
    done(&Run::new(&pair.more, &scratch.root, &["--uninstall"]).end())?;
    done(&Run::new(&pair.stage.first, &scratch.root, &["--status"]).end())?;
    done(&Run::new(&pair.stage.first, &scratch.root, &["--uninstall"]).end())?;
    is_bare(&pair, &scratch.root)
}

#[test]
fn what_another_package_needs_stays_and_the_last_one_takes_it_along() -> Result<()> {
    shared(false)
}

#[test]
fn an_account_that_another_package_uses_stays_and_the_last_one_takes_it_along() -> Result<()> {
    if needs_root() { Ok(()) } else { shared(true) }
}

#[test]
fn what_is_left_of_one_package_keeps_its_account_when_the_other_goes() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let pair = pair(true)?;
    let scratch = Scratch::of(&pair.both)?;
    let first = |action: &[&str]| Run::new(&pair.stage.first, &scratch.root, action).end();
    fs::write(scratch.root.join("opt/demo/models/m.gguf"), "trained further")?;
    let left = first(&["--uninstall"]);
    ensure!(left.code == Some(32) && left.text.contains("m.gguf"), "{left:?}");
    let other = Run::new(&pair.more, &scratch.root, &["--uninstall"]).end();
    done(&other)?;
    ensure!(other.text.contains("stays, needed by demo: ") && other.text.contains("user demo"), "{other:?}");
    ensure!(line_of(&scratch.root, "passwd", "demo")?.is_some(), "a file belongs to nobody");
    done(&first(&["--uninstall", "--purge"]))?;
    is_bare(&pair, &scratch.root)
}

#[test]
fn an_uninstallation_beside_another_package_goes_on_where_it_stopped() -> Result<()> {
    let pair = pair(false)?;
    let series = Series::new(&pair.both, &pair.stage.first, &["--uninstall"])?;
    let count = series.kill_everywhere(&["--uninstall"], Goal::Complete)?;
    println!("uninstall beside another package: {count:?}");
    ensure!(count.kills > 20, "hardly a trial was made: {count:?}");
    Ok(())
}

#[test]
fn an_upgrade_leaves_what_another_package_needs() -> Result<()> {
    let pair = pair(false)?;
    let scratch = Scratch::of(&pair.both)?;
    let upgrade = Run::new(&pair.stage.second, &scratch.root, &["--install", "--replace"]).end();
    done(&upgrade)?;
    let said = "/opt/demo/lib/libold.so is no longer in the package; more needs it, so it stays";
    ensure!(upgrade.text.contains(said), "{upgrade:?}");
    done(&Run::new(&pair.more, &scratch.root, &["--status"]).end())?;
    done(&Run::new(&pair.stage.second, &scratch.root, &["--uninstall"]).end())?;
    done(&Run::new(&pair.more, &scratch.root, &["--uninstall"]).end())?;
    is_bare(&pair, &scratch.root)?;
    // Nor does it change under the other one what both have, unless it is told to, and then it says so.
    let mut draft = more(false)?;
    draft.file("opt/demo/lib/libdemo.so.1", Role::Program, 0o644, b"library one")?;
    draft.file("opt/demo/bin/tool", Role::Program, 0o755, b"tool one")?;
    draft.directory("opt/demo/bin")?;
    let also = pair.stage.path().join("also.run");
    draft.write(&also)?;
    let scratch = Scratch::of(&pair.stage.installed)?;
    done(&Run::new(&also, &scratch.root, &["--install"]).end())?;
    let upgrade = Run::new(&pair.stage.second, &scratch.root, &["--install"]).end();
    let said = "/opt/demo/bin/tool is needed by more as it is";
    ensure!(upgrade.code == Some(23) && upgrade.text.contains(said), "{upgrade:?}");
    Ok(())
}

#[test]
fn an_installation_that_was_interrupted_is_recovered_before_another_package_changes_anything() -> Result<()> {
    let pair = pair(false)?;
    let scratch = Scratch::of(&pair.both)?;
    let upgrade = ["--install", "--replace"];
    let killed = Run::new(&pair.stage.second, &scratch.root, &upgrade).set("KILL_AT", 150).end();
    ensure!(killed.killed, "{killed:?}");
    let before = Tree::read(&scratch.root)?;
    for action in [&["--install"][..], &["--uninstall"], &["--uninstall", "--dry-run"]] {
        let refused = Run::new(&pair.more, &scratch.root, action).end();
        let root = scratch.root.display();
        let said = format!("first type: {root}/var/lib/airgap-deploy/demo/airgap-deploy --recover --root {root}");
        ensure!(refused.code == Some(23) && refused.text.contains(&said), "{action:?}: {refused:?}");
    }
    ensure!(before == Tree::read(&scratch.root)?, "something was changed");
    done(&Run::new(&pair.stage.second, &scratch.root, &["--recover"]).end())?;
    done(&Run::new(&pair.more, &scratch.root, &["--uninstall"]).end())
}
