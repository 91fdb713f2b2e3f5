//! The service's account is in somebody else's hands: at every change of an installation, an upgrade and an
//! uninstallation it plants links, FIFOs and directories where it may. Nothing outside its own directories changes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use e2e::crash::program::{Ended, Run};
use e2e::crash::stage::Stage;
use e2e::crash::trials::{Scratch, Series};
use e2e::skip::needs_root;
use e2e::tree::Tree;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What the account does, in a shell, in its directory; `$OUT` is somebody else's directory.
const ATTACKS: [&str; 9] = [
    "mv blobs moved; ln -s $OUT blobs",
    "mv blobs moved; ln -s ../../../etc blobs",
    "mv blobs moved; mkdir -p blobs/deep",
    "for f in *; do test -f $f && mv -f $f $f.x; ln -s $OUT/secret $f; done",
    "for f in * blobs/*; do test -f $f && rm -f $f && ln $OUT/secret $f; done",
    "for f in * blobs/*; do test -f $f && rm -f $f && mkfifo $f; done",
    "for f in *.gguf *.json; do cp -f $f evil; mv -f evil $f; echo changed >> $f; done",
    "for f in m n gone; do mkdir -p $f.gguf $f.json; ln -s $OUT/secret $f.gguf.airgap-deploy-backup; done",
    "mkdir .airgap-deploy.demo; ln -s $OUT .airgap-deploy.demo/f0; ln -s $OUT .airgap-deploy-state.demo; chmod 0 . ",
];

/// Whether the account has a directory of its own by now, in which it could do it.
fn attack(root: &Path, outside: &Path, attack: &str) -> Result<bool> {
    let models = root.join("opt/demo/models");
    let Ok(facts) = fs::metadata(&models) else { return Ok(false) };
    if facts.uid() == 0 {
        return Ok(false);
    }
    // What the account may not do fails, and that is as it should be.
    Command::new("/bin/sh")
        .args(["-c", attack])
        .current_dir(&models)
        .env("OUT", outside)
        .uid(facts.uid())
        .gid(facts.gid())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(true)
}

/// Runs the action; the attack happens before its change `number`. `None` if there was nothing to attack.
fn attacked(run: Run, number: u64, act: impl Fn() -> Result<bool>) -> Result<Option<Ended>> {
    let child = run.set("STOP_AT", number).command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    if !matches!(waitpid(pid, Some(WaitPidFlag::WUNTRACED))?, WaitStatus::Stopped(..)) {
        return Ok(None);
    }
    let planted = act()?;
    kill(pid, Signal::SIGCONT)?;
    let ended = child.wait_with_output()?.into();
    Ok(planted.then_some(ended))
}

/// Everything that is not the account's own.
fn others(root: &Path) -> Result<Tree> {
    let tree = Tree::read(root)?;
    Ok(tree.without("opt/demo/models").without("opt/demo/.demo").without("var/lib/airgap-deploy"))
}

/// The directory of somebody else, with a file that only root can read.
fn outside_of(stage: &Stage) -> Result<PathBuf> {
    fs::set_permissions(stage.path(), fs::Permissions::from_mode(0o755))?;
    let outside = stage.path().join("outside");
    let secret = outside.join("secret");
    fs::create_dir(&outside)?;
    fs::write(&secret, "secret\n")?;
    fs::set_permissions(secret, fs::Permissions::from_mode(0o600))?;
    Ok(outside)
}

fn everywhere(stage: &Stage, prior: &Path, package: &Path, action: &[&str], step: usize) -> Result<u64> {
    let directory = outside_of(stage)?;
    let outside = Tree::read(&directory)?;
    let before = others(prior)?;
    let series = Series::new(prior, package, action)?;
    let complete = {
        let scratch = Scratch::of(prior)?;
        ensure!(Run::new(package, &scratch.root, action).end().code == Some(0), "it does not even work in peace");
        others(&scratch.root)?
    };
    let mut trials = 0;
    for number in (1..=series.changes()?).step_by(step) {
        for (position, planted) in ATTACKS.iter().enumerate() {
            let scratch = Scratch::of(prior)?;
            let above = scratch.root.parent().context("no parent")?;
            fs::set_permissions(above, fs::Permissions::from_mode(0o755))?;
            let run = Run::new(package, &scratch.root, action);
            let Some(ended) = attacked(run, number, || attack(&scratch.root, &directory, planted))? else {
                break;
            };
            trials += 1;
            let said = format!("attack {position} at change {number}: {ended:?}");
            let difference = outside.difference(&Tree::read(&directory)?);
            ensure!(difference.is_empty(), "{said}\noutside:\n{difference}");
            ensure!(ended.code.is_some(), "{said}");
            let found = others(&scratch.root)?;
            match ended.code {
                Some(0) => ensure!(found == complete, "{said}\n{}", complete.difference(&found)),
                // Part of the way: what the action leaves alone is as it was.
                Some(31 | 32) => {
                    let lost = before.shared_with(&complete).lacking_in(&found);
                    ensure!(lost.is_empty(), "{said}\n{lost}");
                }
                _ => ensure!(found == before, "{said}\n{}", before.difference(&found)),
            }
        }
    }
    Ok(trials)
}

#[test]
fn during_an_installation() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = Stage::new(true)?;
    let trials = everywhere(&stage, &stage.bare, &stage.first, &["--install"], 1)?;
    println!("service user during an installation: {trials} attacks");
    ensure!(trials > 50, "hardly an attack was made");
    Ok(())
}

#[test]
fn during_an_upgrade() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = Stage::new(true)?;
    let trials = everywhere(&stage, &stage.installed, &stage.second, &["--install", "--replace"], 5)?;
    println!("service user during an upgrade: {trials} attacks");
    ensure!(trials > 100, "hardly an attack was made");
    Ok(())
}

#[test]
fn during_an_uninstallation() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let stage = Stage::new(true)?;
    let trials = everywhere(&stage, &stage.installed, &stage.first, &["--uninstall"], 2)?;
    println!("service user during an uninstallation: {trials} attacks");
    ensure!(trials > 50, "hardly an attack was made");
    Ok(())
}
