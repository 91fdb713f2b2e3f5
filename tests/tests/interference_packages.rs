//! Another package is installed or removed at every moment of an installation, an upgrade and an uninstallation, and between
//! a crash and what is called next. What others do to paths is in `interference.rs`, to units in `interference_services.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use e2e::crash::directory;
use e2e::crash::draft::Draft;
use e2e::crash::foreign::Things;
use e2e::crash::program::{Ended, Run};
use e2e::crash::stage::Stage;
use e2e::crash::stopped::{go_on, stopped};
use e2e::crash::trials::{Scratch, Series, on_all_cores};
use e2e::tree::{Tree, copy};
use payload::index::Role;
use tempfile::TempDir;

/// What happens to the other package meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Installed,
    Removed,
}

impl Act {
    fn typed(self) -> [&'static str; 1] {
        [if self == Self::Installed { "--install" } else { "--uninstall" }]
    }
}

/// A package that works, and the other one.
struct Scene<'a> {
    package: &'a Path,
    action: &'static [&'static str],
    other: &'a Path,
    /// Where each act begins, and what is there when both packages have done what they were to do.
    acts: Vec<(Act, Scratch, Things)>,
    changes: u64,
}

/// Every how many changes one is tried. `AIRGAP_DEPLOY_EVERY=1` takes all.
fn stride() -> u64 {
    std::env::var("AIRGAP_DEPLOY_EVERY").ok().and_then(|text| text.parse().ok()).unwrap_or(17).max(1)
}

/// A package that shares directories with the other, and has a file and a unit of its own.
fn another(stage: &Stage) -> Result<PathBuf> {
    let mut draft = Draft::new("1", "opt/more", false)?;
    draft.index.package.name = "more".parse().map_err(anyhow::Error::msg)?;
    draft.directory("opt")?.directory("opt/more")?.file(
        "opt/more/file",
        Role::Program,
        0o644,
        b"of another package",
    )?;
    draft.directory("etc")?.directory("etc/systemd")?.directory("etc/systemd/system")?;
    draft.unit("more.service", "[Service]\nExecStart=/opt/more/file\n")?;
    let more = stage.path().join("more.run");
    draft.write(&more)?;
    Ok(more)
}

fn done(package: &Path, root: &Path, typed: &[&str]) -> Result<()> {
    let ended = Run::new(package, root, typed).end();
    ensure!(ended.is_done(), "{typed:?}: {ended:?}");
    Ok(())
}

/// A copy whose path must be quoted when it is typed.
fn odd_place(prior: &Path) -> Result<(TempDir, PathBuf)> {
    let directory = directory()?;
    let root = directory.path().join("it's the root");
    copy(prior, &root)?;
    Ok((directory, root))
}

/// Types what was suggested into a shell, and does that. The copy of the program that is named has to be there; the packages
/// of these tests carry none that runs, so the one with failpoints stands in for it.
fn type_what_was_said(package: &Path, root: &Path, ended: &Ended) -> Result<()> {
    let command = ended.text.split_once("first type: ").and_then(|(_, rest)| rest.lines().next());
    let command = command.with_context(|| format!("nothing is to be typed: {ended:?}"))?;
    let script = format!("printf '%s\\n' {command}");
    let words = Command::new("sh").args(["-c", &script]).env_clear().stdin(Stdio::null()).output()?;
    let words = String::from_utf8(words.stdout)?;
    let words: Vec<&str> = words.lines().collect();
    let program = root.join("var/lib/airgap-deploy/demo/airgap-deploy");
    let root_text = root.to_str().context("UTF-8")?;
    ensure!(words[1..] == ["--recover", "--root", root_text], "{command}: {words:?}");
    ensure!(Path::new(words[0]) == program && program.is_file(), "{command}: there is no such program");
    done(package, Path::new(words[3]), &words[1..2])
}

impl<'a> Scene<'a> {
    fn new(prior: &Path, package: &'a Path, action: &'static [&'static str], other: &'a Path) -> Result<Self> {
        let (mut acts, mut changes) = (Vec::new(), u64::MAX);
        for act in [Act::Installed, Act::Removed] {
            let begin = Scratch::of(prior)?;
            if act == Act::Removed {
                done(other, &begin.root, &["--install"])?;
            }
            // Directories that both have are changes of the first alone.
            changes = changes.min(Series::new(&begin.root, package, action)?.changes()?);
            let end = Scratch::of(&begin.root)?;
            done(package, &end.root, action)?;
            done(other, &end.root, &act.typed())?;
            acts.push((act, begin, Things::below(&end.root)?));
        }
        Ok(Self { package, action, other, acts, changes })
    }

    /// While it stands still, the other one is refused and changes nothing; then it goes on, and then the other one can.
    fn meanwhile(&self, change: u64) -> Result<u64> {
        for (act, begin, complete) in &self.acts {
            let scratch = Scratch::of(&begin.root)?;
            let root = &scratch.root;
            let child = stopped(Run::new(self.package, root, self.action), change)?.context("it ended before")?;
            let before = Tree::read(root)?;
            let refused = Run::new(self.other, root, &act.typed()).end();
            let changed = before.difference(&Tree::read(root)?);
            let ended = go_on(child)?;
            ensure!(refused.code == Some(23) && refused.text.contains("another installer is running"), "{refused:?}");
            ensure!(changed.is_empty(), "{act:?} while it was refused: {changed}");
            ensure!(ended.code == Some(0), "{act:?}: {ended:?}");
            done(self.other, root, &act.typed())?;
            ensure!(Things::below(root)? == *complete, "{act:?}: this is not what both lead to");
        }
        Ok(self.acts.len() as u64)
    }

    /// After a kill, the other one is refused as long as there is something to recover; the command that it says is typed.
    /// Then both go on. Gives how many were refused.
    fn after_crash(&self, change: u64) -> Result<u64> {
        let mut refused = 0;
        for (act, begin, complete) in &self.acts {
            let (_directory, root) = odd_place(&begin.root)?;
            let killed = Run::new(self.package, &root, self.action).set("KILL_AT", change).end();
            ensure!(killed.killed, "{killed:?}");
            let waits = root.join("var/lib/airgap-deploy/demo/journal").exists();
            let before = Tree::read(&root)?;
            let other = Run::new(self.other, &root, &act.typed()).end();
            if waits {
                ensure!(other.code == Some(23), "{act:?}: {other:?}");
                let changed = before.difference(&Tree::read(&root)?);
                ensure!(changed.is_empty(), "{act:?} while it was refused: {changed}");
                type_what_was_said(self.package, &root, &other).with_context(|| format!("{act:?}"))?;
                done(self.other, &root, &act.typed())?;
                refused += 1;
            } else {
                ensure!(other.code == Some(0), "{act:?}: {other:?}");
            }
            done(self.package, &root, self.action)?;
            ensure!(Things::below(&root)? == *complete, "{act:?}: this is not what both lead to");
        }
        Ok(refused)
    }

    fn report(&self, name: &str) -> Result<()> {
        let (meanwhile, crashed, refused) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        on_all_cores(|number| {
            let change = (number - 1) * stride() + 1;
            if change > self.changes {
                return Ok(false);
            }
            let trial = || -> Result<()> {
                meanwhile.fetch_add(self.meanwhile(change).context("meanwhile")?, Ordering::Relaxed);
                refused.fetch_add(self.after_crash(change).context("after a crash")?, Ordering::Relaxed);
                crashed.fetch_add(self.acts.len() as u64, Ordering::Relaxed);
                Ok(())
            };
            trial().with_context(|| format!("change {change}"))?;
            Ok(true)
        })?;
        let (meanwhile, crashed, refused) = (meanwhile.into_inner(), crashed.into_inner(), refused.into_inner());
        println!(
            "interference: {name}, another package installed or removed: {meanwhile} trials meanwhile, {crashed} after a \
             crash, {refused} of them refused until the recovery"
        );
        let least = self.changes / stride();
        ensure!(meanwhile >= least && crashed >= least, "hardly a trial was made");
        Ok(())
    }
}

#[test]
fn another_package_waits_for_an_installation() -> Result<()> {
    let stage = Stage::new(false)?;
    Scene::new(&stage.bare, &stage.first, &["--install"], &another(&stage)?)?.report("install")
}

#[test]
fn another_package_waits_for_an_upgrade() -> Result<()> {
    let stage = Stage::new(false)?;
    Scene::new(&stage.installed, &stage.second, &["--install", "--replace"], &another(&stage)?)?.report("upgrade")
}

/// An uninstallation has nothing to recover: it goes on when it is called again, whatever happened to others.
#[test]
fn another_package_waits_for_an_uninstallation() -> Result<()> {
    let stage = Stage::new(false)?;
    let replaced = stage.replaced()?;
    Scene::new(&replaced, &stage.second, &["--uninstall"], &another(&stage)?)?.report("uninstall")
}

/// That the comparison can fail: what an uninstallation of the other one would leave is noticed.
#[test]
fn what_is_left_of_another_package_is_noticed() -> Result<()> {
    let stage = Stage::new(false)?;
    let other = another(&stage)?;
    let scene = Scene::new(&stage.bare, &stage.first, &["--install"], &other)?;
    let (_, begin, complete) = &scene.acts[1];
    let scratch = Scratch::of(&begin.root)?;
    done(scene.package, &scratch.root, scene.action)?;
    done(scene.other, &scratch.root, &["--uninstall"])?;
    ensure!(Things::below(&scratch.root)? == *complete, "not even without interference");
    fs::create_dir_all(scratch.root.join("opt/more"))?;
    ensure!(Things::below(&scratch.root)? != *complete, "a directory that is left is not noticed");
    Ok(())
}
