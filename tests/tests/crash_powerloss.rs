//! Power cuts after every change, on a disk that keeps nothing but what an fsync secured (`e2e::crash::powerloss`):
//! recovery leads to the state before, or to the complete one; what is said to be done has lasted.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::crash::powerloss::{Disk, Loss};
use e2e::crash::program::Run;
use e2e::crash::trials::{Goal, Scratch};
use e2e::crash::{directory, sample};
use e2e::tree::{Tree, copy};
use serde_json::Value;

/// One deterministic sequence of numbers.
fn bits(seed: u64) -> u64 {
    let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ (mixed >> 32)
}

fn cut_everywhere(prior: &Path, package: &Path, action: &[&str], recoveries: &[(&[&str], Goal)]) -> Result<u64> {
    let scratch = Scratch::of(prior)?;
    let log = directory()?;
    let log = log.path().join("log");
    let ended = Run::new(package, &scratch.root, action).set("LOG", log.display()).end();
    ensure!(ended.code == Some(0), "{ended:?}");
    let (before, complete) = (Tree::read(prior)?, Tree::read(&scratch.root)?);
    let mut disk = Disk::load(prior)?;
    let mut trials = 0;
    let text = fs::read_to_string(&log)?;
    for (number, line) in text.lines().enumerate() {
        let line: Value = serde_json::from_str(line)?;
        let secured = disk.replay(&line).with_context(|| format!("{line}"))?;
        let mut losses = vec![Loss::Some(bits(number as u64))];
        if secured {
            losses.push(Loss::All);
        }
        for loss in losses {
            for (recovery, goal) in recoveries {
                let cut = directory()?;
                let root = cut.path().join("root");
                disk.cut(loss, &root)?;
                let ended = Run::new(package, &root, recovery).end();
                ensure!(ended.is_done(), "cut {number} ({loss:?}) after {line}: {ended:?}");
                let found = Tree::read(&root)?;
                ensure!(
                    found == complete || (*goal == Goal::BeforeOrComplete && found == before),
                    "cut {number} ({loss:?}) after {line}: {ended:?}\nfrom before:\n{}\nfrom complete:\n{}",
                    before.difference(&found),
                    complete.difference(&found)
                );
                trials += 1;
            }
        }
    }
    let end = directory()?;
    let root = end.path().join("root");
    disk.cut(Loss::All, &root)?;
    let difference = complete.difference(&Tree::read(&root)?);
    ensure!(difference.is_empty(), "said to be done, and lost in a power cut right after:\n{difference}");
    Ok(trials)
}

#[test]
fn without_an_fsync_it_would_be_noticed() -> Result<()> {
    let scratch = directory()?;
    let path = |name: &str| scratch.path().join(name);
    let (root, run, log) = (path("root"), path("x.run"), path("log"));
    sample::target(&root, false)?;
    sample::first(false)?.write(&run)?;
    let before = Disk::load(&root)?;
    let ended = Run::new(&run, &root, &["--install"]).set("LOG", log.display()).end();
    ensure!(ended.code == Some(0), "{ended:?}");
    let complete = Tree::read(&root)?;
    let text = fs::read_to_string(&log)?;
    for (position, missing) in ["fsync", "fsync-parent"].into_iter().enumerate() {
        let mut disk = before.clone();
        for line in text.lines().map(serde_json::from_str::<Value>) {
            let line = line?;
            if line["op"] != missing {
                disk.replay(&line)?;
            }
        }
        let cut = path(&format!("cut{position}"));
        disk.cut(Loss::All, &cut)?;
        ensure!(complete != Tree::read(&cut)?, "nothing is lost without {missing}");
    }
    Ok(())
}

const INSTALL: [&str; 2] = ["--install", "--replace"];
const BOTH: [(&[&str], Goal); 2] = [(&["--recover"], Goal::BeforeOrComplete), (&INSTALL, Goal::Complete)];

#[test]
fn a_fresh_install_survives_power_cuts() -> Result<()> {
    let scratch = directory()?;
    let (root, run) = (scratch.path().join("root"), scratch.path().join("x.run"));
    sample::target(&root, false)?;
    sample::second(false)?.write(&run)?;
    println!("fresh install: {} power cuts", cut_everywhere(&root, &run, &INSTALL, &BOTH)?);
    Ok(())
}

#[test]
fn an_upgrade_and_an_uninstallation_survive_power_cuts() -> Result<()> {
    let scratch = directory()?;
    let path = |name: &str| scratch.path().join(name);
    let (root, installed, first, second) = (path("root"), path("installed"), path("x.run"), path("y.run"));
    sample::target(&root, false)?;
    sample::first(false)?.write(&first)?;
    sample::second(false)?.write(&second)?;
    ensure!(Run::new(&first, &root, &["--install"]).end().code == Some(0), "the first version cannot be installed");
    println!("upgrade: {} power cuts", cut_everywhere(&root, &second, &INSTALL, &BOTH)?);
    copy(&root, &installed)?;
    ensure!(Run::new(&second, &installed, &INSTALL).end().code == Some(0), "the second version cannot be installed");
    let again: [(&[&str], Goal); 1] = [(&["--uninstall"], Goal::Complete)];
    println!("uninstall: {} power cuts", cut_everywhere(&installed, &second, &["--uninstall"], &again)?);
    Ok(())
}
