//! Every change of an installation, an upgrade and an uninstallation is made to fail, one at a time, with every errno
//! that matters: the exit code is the documented one, and the target is as before.

use std::path::Path;

use anyhow::{Result, ensure};

use e2e::crash::program::{Ended, Run};
use e2e::crash::stage::Stage;
use e2e::crash::trials::{Scratch, Series};
use e2e::skip::needs_root;
use e2e::tree::Tree;
use nix::errno::Errno;

const ERRNOS: [Errno; 6] = [Errno::ENOSPC, Errno::EDQUOT, Errno::EIO, Errno::EROFS, Errno::EACCES, Errno::EINTR];

/// What must hold after an installation in which one change failed.
fn judge_install(
    package: &Path,
    complete: &Tree,
    errno: Errno,
    ended: &Ended,
    root: &Path,
    before: &Tree,
) -> Result<()> {
    if ended.code == Some(0) {
        if ended.text.contains("cleaning up failed") {
            ensure!(Run::new(package, root, &["--recover"]).end().code == Some(0), "recovery failed");
        }
        let difference = complete.difference(&Tree::read(root)?);
        ensure!(difference.is_empty(), "said to be complete, but:\n{difference}");
        return Ok(());
    }
    // What a program of the host says of its own failure is not this program's.
    let own = !ended.text.contains("useradd") && !ended.text.contains("groupadd");
    let full = own && matches!(errno, Errno::ENOSPC | Errno::EDQUOT);
    let expected = match errno {
        _ if full => 22,
        Errno::EACCES | Errno::EPERM if own => 20,
        _ => 30,
    };
    ensure!(ended.code == Some(expected), "the exit code should be {expected}");
    ensure!(!full || ended.text.contains("Out of disk space"), "the text does not say what it is about");
    ensure!(ended.text.contains("the machine is as it was before"), "the text does not say the state");
    ensure!(ended.text.contains(errno.desc()), "the text does not name the reason");
    let difference = before.difference(&Tree::read(root)?);
    ensure!(difference.is_empty(), "not as before:\n{difference}");
    Ok(())
}

fn installs(prior: &Path, package: &Path, action: &[&str], what: &str) -> Result<()> {
    let series = Series::new(prior, package, action)?;
    for errno in ERRNOS {
        let tried = series.fail_everywhere(errno as i32, |_, ended, root, before| {
            judge_install(package, &series.complete, errno, ended, root, before)
        })?;
        println!("{what}: {errno:?} at {tried} changes");
        ensure!(tried > 50, "hardly a trial was made");
    }
    Ok(())
}

#[test]
fn a_fresh_install_survives_every_failure() -> Result<()> {
    let stage = Stage::new(false)?;
    installs(&stage.bare, &stage.first, &["--install"], "fresh install")
}

#[test]
fn an_upgrade_survives_every_failure() -> Result<()> {
    let stage = Stage::new(false)?;
    installs(&stage.installed, &stage.second, &["--install", "--replace"], "upgrade")
}

#[test]
fn a_fresh_install_that_makes_accounts_survives_every_failure() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = Stage::new(true)?;
    installs(&stage.bare, &stage.first, &["--install"], "fresh install with accounts")
}

#[test]
fn an_uninstallation_survives_every_failure() -> Result<()> {
    let stage = Stage::new(false)?;
    let series = Series::new(&stage.installed, &stage.first, &["--uninstall"])?;
    for errno in ERRNOS {
        let tried = series.fail_everywhere(errno as i32, |_, ended, root, _| {
            ensure!(matches!(ended.code, Some(0 | 32)), "the exit code should be 0 or 32");
            ensure!(
                ended.code == Some(0) || ended.text.contains("run --uninstall again"),
                "the text does not say how to go on"
            );
            let again = Run::new(&stage.first, root, &["--uninstall"]).end();
            ensure!(again.is_done(), "the second attempt: {again:?}");
            let difference = series.complete.difference(&Tree::read(root)?);
            ensure!(difference.is_empty(), "left after the second attempt:\n{difference}");
            Ok(())
        })?;
        println!("uninstall: {errno:?} at {tried} changes");
    }
    Ok(())
}

#[test]
fn when_undoing_fails_too_it_is_said_and_can_be_made_up_for() -> Result<()> {
    let stage = Stage::new(false)?;
    let before = Tree::read(&stage.installed)?;
    let series = Series::new(&stage.installed, &stage.second, &["--install", "--replace"])?;
    let changes = series.changes()?;
    let mut incomplete = 0;
    for (first, more) in (1..changes).step_by(3).flat_map(|first| [(first, 3), (first, 9), (first, 27)]) {
        let scratch = Scratch::of(&stage.installed)?;
        let run = Run::new(&stage.second, &scratch.root, &["--install", "--replace"]);
        let eio = Errno::EIO as i32;
        let ended = run.set("FAIL_AT", format!("{first}:{eio},{}:{eio}", first + more)).end();
        if ended.code == Some(31) {
            incomplete += 1;
            ensure!(ended.text.contains("the journal is kept") && ended.text.contains("--recover"), "{ended:?}");
        }
        let recovered = Run::new(&stage.second, &scratch.root, &["--recover"]).end();
        ensure!(recovered.code == Some(0), "failures at {first} and {}: {recovered:?}", first + more);
        let found = Tree::read(&scratch.root)?;
        ensure!(
            found == before || found == series.complete,
            "failures at {first} and {}: {ended:?}\n{}",
            first + more,
            before.difference(&found)
        );
    }
    println!("failures while undoing: {incomplete} ended with exit code 31");
    ensure!(incomplete > 5, "hardly a trial was made");
    Ok(())
}

#[test]
fn a_recovery_that_fails_can_be_repeated() -> Result<()> {
    let stage = Stage::new(false)?;
    let before = Tree::read(&stage.installed)?;
    let series = Series::new(&stage.installed, &stage.second, &["--install", "--replace"])?;
    let mut trials = 0;
    for kill in (1..=series.changes()?).step_by(11) {
        let crashed = Scratch::of(&stage.installed)?;
        let killed = Run::new(&stage.second, &crashed.root, &["--install", "--replace"]).set("KILL_AT", kill).end();
        ensure!(killed.killed, "{killed:?}");
        let recovery = Series::new(&crashed.root, &stage.second, &["--recover"])?;
        trials += recovery.fail_everywhere(Errno::EIO as i32, |_, ended, root, _| {
            ensure!(matches!(ended.code, Some(0 | 31)), "the exit code should be 0 or 31");
            let again = Run::new(&stage.second, root, &["--recover"]).end();
            ensure!(again.code == Some(0), "the second attempt: {again:?}");
            let found = Tree::read(root)?;
            ensure!(found == before || found == series.complete, "{}", before.difference(&found));
            Ok(())
        })?;
    }
    println!("failing recoveries: {trials}");
    ensure!(trials > 50, "hardly a trial was made");
    Ok(())
}

#[test]
fn the_stub_that_is_shipped_has_no_failpoints() -> Result<()> {
    let builder = std::fs::read(e2e::scenario::binaries::shipped()?)?;
    let armed = std::fs::read(e2e::crash::program::stub())?;
    let holds = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    ensure!(holds(&armed, b"AIRGAP_DEPLOY_KILL_AT"), "this test would not notice failpoints");
    ensure!(holds(&builder, b"--uninstall again: it goes on"), "the builder does not carry a stub that can be read");
    ensure!(!holds(&builder, b"AIRGAP_DEPLOY_KILL_AT"), "the builder carries a stub with failpoints");
    Ok(())
}
