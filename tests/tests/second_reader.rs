//! A second reader of the format, in Python and from docs/format.md alone, against the stub: on good, damaged and evil
//! packages. What single rules say is tested in the crate `payload`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::crash::program::{Ended, Run};
use e2e::crash::{directory, sample, workspace};
use e2e::skip::skipped;
use e2e::tree::Tree;
use serde::Deserialize;

/// One package of `tests/format/evil.py`.
#[derive(Debug, Deserialize)]
struct Evil {
    name: String,
    /// An exit code; of random damage it is one of two.
    expect: Option<i32>,
    file: PathBuf,
    /// What the second reader says, and why.
    verdict: i32,
    why: String,
}

/// Whether the second reader cannot run; says that aloud.
fn needs_python() -> bool {
    let missing = Command::new("python3").arg("--version").output().is_err();
    if missing {
        skipped("needs python3");
    }
    missing
}

fn script(name: &str) -> PathBuf {
    workspace().join("tests/format").join(name)
}

fn python(script: &Path, arguments: &[&Path]) -> Result<String> {
    let output = Command::new("python3").arg("-B").arg(script).args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs an action. What it says can be seen, whoever made the package, and is escaped once.
fn end(package: &Path, root: &Path, action: &[&str]) -> Result<Ended> {
    let ended = Run::new(package, root, action).end();
    let hidden = ended.text.lines().find(|line| !payload::is_printable(line));
    ensure!(hidden.is_none(), "{action:?} says what cannot be seen: {hidden:?}");
    let twice = ended.text.lines().find(|line| line.contains("\\\\u{"));
    ensure!(twice.is_none() || ended.code == Some(0), "{action:?} says what is escaped twice: {twice:?}");
    Ok(ended)
}

fn code(package: &Path, root: &Path, action: &str) -> Result<Option<i32>> {
    Ok(end(package, root, &[action])?.code)
}

/// That the plan for an empty machine promises what the installation does.
fn as_hopeful_as_the_installation(package: &Path, root: &Path) -> Result<()> {
    fs::create_dir(root)?;
    for action in [&["--list"][..], &["--list", "--json"], &["--dry-run", "--json"], &["--dry-run", "--verbose"], &[]] {
        let ended = end(package, root, action)?;
        ensure!(ended.code == Some(0), "{action:?}: {ended:?}");
    }
    let (plan, install) = (end(package, root, &["--dry-run"])?, end(package, root, &["--install"])?);
    ensure!(plan.code == Some(0) && install.code == Some(0), "the plan: {plan:?}, the installation: {install:?}");
    ensure!(code(package, root, "--status")? == Some(0), "it is installed, and its status is no success");
    let left = end(package, root, &["--uninstall"])?;
    ensure!(left.code == Some(0) && fs::read_dir(root)?.next().is_none(), "after an uninstallation: {left:?}");
    Ok(())
}

#[test]
fn two_readers_say_the_same_of_every_package() -> Result<()> {
    if needs_python() {
        return Ok(());
    }
    let scratch = directory()?;
    let at = |name: &str| scratch.path().join(name);
    let (good, root, packages) = (at("good.run"), at("root"), at("packages"));
    sample::first(false)?.write(&good)?;
    fs::create_dir(&root)?;
    fs::create_dir(&packages)?;
    let before = Tree::read(&root)?;
    let listed: Vec<Evil> = serde_json::from_str(&python(&script("evil.py"), &[&good, &packages])?)?;
    let (mut accepted, mut refused) = (0, 0);
    for Evil { name, expect, file, verdict, why } in &listed {
        let deserved = expect.map_or_else(|| vec![10, 12], |expect| vec![expect]);
        ensure!(deserved.contains(verdict), "{name}: the second reader says {verdict} ({why}), not {deserved:?}");
        let run = end(file, &root, &["--verify"]).with_context(|| name.clone())?;
        ensure!(run.code == Some(*verdict), "{name}: the second reader says {verdict} ({why}), the stub {run:?}");
        if *verdict == 0 {
            accepted += 1;
            as_hopeful_as_the_installation(file, &at(&format!("root-{accepted}"))).with_context(|| name.clone())?;
            continue;
        }
        refused += 1;
        let says = |action| code(file, &root, action).with_context(|| name.clone());
        ensure!(says("--install")? == Some(*verdict), "{name}: --install says something else than --verify");
        // What the index alone can tell is told by the plan.
        ensure!(*verdict != 12 || says("--dry-run")? == Some(12), "{name}: the plan is more hopeful");
        let extracted = at("extracted");
        let ended = end(file, &root, &["--extract", extracted.to_str().context("UTF-8")?])?;
        // Of a damaged one there may be what was whole; of a strange one there is nothing.
        let clean = *verdict == 10 || !extracted.exists();
        ensure!(ended.code == Some(*verdict) && clean, "{name}: --extract: {ended:?}");
        ensure!(!extracted.join("opt/evil/model").exists(), "{name}: --extract leaves what upstream never published");
        if extracted.exists() {
            fs::remove_dir_all(&extracted)?;
        }
        let changed = before.difference(&Tree::read(&root)?);
        ensure!(changed.is_empty(), "{name}: it was refused, and yet:\n{changed}");
    }
    println!("{accepted} packages accepted and {refused} refused by both readers");
    ensure!(accepted > 10 && refused > 250, "hardly a package was tried: {accepted}, {refused}");
    Ok(())
}

#[test]
fn two_readers_extract_the_same_tree() -> Result<()> {
    if needs_python() {
        return Ok(());
    }
    let scratch = directory()?;
    let at = |name: &str| scratch.path().join(name);
    let (good, ours, theirs) = (at("good.run"), at("ours"), at("theirs"));
    let mut draft = sample::first(false)?;
    draft.service_directory("opt/demo/closed", 0o500)?;
    draft.write(&good)?;
    let ours_text = ours.to_str().context("UTF-8")?;
    let ended = Run::new(&good, scratch.path(), &["--extract", ours_text]).end();
    ensure!(ended.code == Some(0), "{ended:?}");
    python(&script("runfile.py"), &[Path::new("extract"), &good, &theirs])?;
    let difference = Tree::read(&ours)?.difference(&Tree::read(&theirs)?);
    ensure!(difference.is_empty(), "the second reader extracts something else:\n{difference}");
    Ok(())
}
