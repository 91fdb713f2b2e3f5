//! Somebody else does something at every moment of an installation, an upgrade and an uninstallation, and at every moment
//! between a crash and its recovery: nothing of theirs is lost, what was found is said, and the next run ends in a clean
//! state. What is done, and what has to be left, is `crash/foreign.rs`. Each test prints its trials (`--nocapture`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use e2e::crash::foreign::{ACTS, Act, Done, Things, act, contents, nothing_older_is_lost};
use e2e::crash::program::{Ended, Run};
use e2e::crash::stage::Stage;
use e2e::crash::stopped::{go_on, stopped};
use e2e::crash::trials::{Scratch, Series, on_all_cores};
use e2e::skip::without_root;
use e2e::tree::Tree;

/// When somebody does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The program stands still before a change, and then goes on.
    Meanwhile,
    /// It was killed before a change; then it is called with these arguments.
    AfterCrash(&'static [&'static str]),
}

/// What is interfered with.
struct Scene<'a> {
    prior: &'a Path,
    package: &'a Path,
    action: &'static [&'static str],
    before: Things,
    complete: Things,
    /// A target on which nobody interfered.
    undisturbed: Scratch,
    /// What was there before any package.
    bare: Things,
    /// Where something is done.
    paths: Vec<PathBuf>,
    changes: u64,
}

/// How many things are done at each change. One is a sample; `AIRGAP_DEPLOY_EVERY=1` takes many.
fn acts_at_each_change() -> u64 {
    let all = std::env::var("AIRGAP_DEPLOY_EVERY").is_ok_and(|every| every == "1");
    if all { 24 } else { 1 }
}

impl<'a> Scene<'a> {
    fn new(stage: &'a Stage, prior: &'a Path, package: &'a Path, action: &'static [&'static str]) -> Result<Self> {
        let series = Series::new(prior, package, action)?;
        let undisturbed = Scratch::of(prior)?;
        let ended = Run::new(package, &undisturbed.root, action).end();
        ensure!(ended.code == Some(0), "{ended:?}");
        let (before, complete) = (Things::below(prior)?, Things::below(&undisturbed.root)?);
        let paths: BTreeSet<PathBuf> = before.0.keys().chain(complete.0.keys()).cloned().collect();
        Ok(Self {
            prior,
            package,
            action,
            bare: Things::below(&stage.bare)?,
            paths: paths.into_iter().collect(),
            changes: series.changes()?,
            before,
            complete,
            undisturbed,
        })
    }

    /// Every change, with one or more things done there; gives the number of trials and how many had an effect.
    fn interfere(&self, moment: Moment) -> Result<(u64, u64)> {
        let (trials, effects) = (AtomicU64::new(0), AtomicU64::new(0));
        let each = acts_at_each_change();
        on_all_cores(|number| {
            if number > self.changes * each {
                return Ok(false);
            }
            let change = (number - 1) / each + 1;
            let trial =
                self.trial(moment, change, number).with_context(|| format!("change {change}, trial {number}"))?;
            if let Some(effect) = trial {
                trials.fetch_add(1, Ordering::Relaxed);
                effects.fetch_add(u64::from(effect), Ordering::Relaxed);
            }
            Ok(true)
        })?;
        Ok((trials.into_inner(), effects.into_inner()))
    }

    /// `None` when nothing could be done there; else whether the end was another one because of it.
    fn trial(&self, moment: Moment, change: u64, number: u64) -> Result<Option<bool>> {
        let scratch = Scratch::of(self.prior)?;
        let root = &scratch.root;
        let run = Run::new(self.package, root, self.action);
        let child = match moment {
            Moment::Meanwhile => match stopped(run, change)? {
                Some(child) => Some(child),
                None => return Ok(None),
            },
            Moment::AfterCrash(_) => {
                let killed = run.set("KILL_AT", change).end();
                ensure!(killed.killed, "{killed:?}");
                None
            }
        };
        let done = self.choose(root, number);
        let after = Things::below(root)?;
        let meanwhile = done.as_ref().ok().and_then(Option::as_ref).filter(|_| moment == Moment::Meanwhile);
        let after_contents = contents(root, meanwhile)?;
        let ended = match (child, moment) {
            (Some(child), _) => go_on(child)?,
            (None, Moment::AfterCrash(arguments)) => Run::new(self.package, root, arguments).end(),
            (None, Moment::Meanwhile) => return Ok(None),
        };
        let Some(mut done) = done? else { return Ok(None) };
        done.touches_all_names(self.prior)?;
        done.touches_all_names(&self.undisturbed.root)?;
        let judged = self.judge(&done, &after, &after_contents, &ended, root);
        judged.with_context(|| format!("{:?} at /{}: {ended:?}", done.act, done.path.display()))?;
        self.afterwards(&done, root).with_context(|| format!("{:?} at /{}", done.act, done.path.display()))?;
        Ok(Some(ended.code != Some(0)))
    }

    /// The first thing that can be done, beginning somewhere in the table of all acts at all paths. Every fifth is done to
    /// what is kept of somebody else's file, where there is any.
    fn choose(&self, root: &Path, number: u64) -> Result<Option<Done>> {
        let is_kept = |path: &&PathBuf| path.to_string_lossy().contains(".airgap-deploy-backup");
        let kept: Vec<&PathBuf> = self.paths.iter().filter(is_kept).collect();
        let on_kept = number.is_multiple_of(5) && !kept.is_empty();
        let paths: Vec<&PathBuf> = if on_kept { kept } else { self.paths.iter().collect() };
        let all = (paths.len() * ACTS.len()) as u64;
        for step in 0..all {
            // A prime, so that neighbours differ in act and in path.
            let place = usize::try_from((number * 7919 + step) % all)?;
            let (kind, path) = (ACTS[place % ACTS.len()], paths[place / ACTS.len()]);
            if let Some(done) = act(kind, root, path, number)? {
                return Ok(Some(done));
            }
        }
        Ok(None)
    }

    fn judge(
        &self,
        done: &Done,
        after: &Things,
        after_contents: &[payload::Digest],
        ended: &Ended,
        root: &Path,
    ) -> Result<()> {
        let now = Things::below(root)?;
        let uninstalls = self.action.contains(&"--uninstall");
        let codes: &[i32] = if uninstalls { &[0, 32, 41] } else { &[0, 23, 30] };
        ensure!(ended.code.is_some_and(|code| codes.contains(&code)), "the exit code says nothing about it");
        if let Some(kept) = done.whereabouts(&now)? {
            let name = kept.file_name().context("a name")?.to_string_lossy().into_owned();
            ensure!(ended.text.contains(&name), "{name} is not named");
        }
        nothing_older_is_lost(&self.bare, after_contents, &now)?;
        let states = if uninstalls || ended.code == Some(0) {
            [&self.complete, &self.before]
        } else {
            [&self.before, &self.complete]
        };
        done.is_one_of(&states, after, &now)?;
        if ended.code != Some(0) && ended.code != Some(41) {
            let is_named = |path: &PathBuf| {
                let above = path.parent().map(|above| above.display().to_string()).unwrap_or_default();
                ended.text.contains(&path.display().to_string()) || ended.text.contains(&format!("/{above}/ "))
            };
            ensure!(done.touched.iter().any(is_named), "what was found is not named");
        }
        Ok(())
    }

    /// What people do next ends in a clean state, and loses nothing either.
    fn afterwards(&self, done: &Done, root: &Path) -> Result<()> {
        let run = |arguments: &[&str]| Run::new(self.package, root, arguments).end();
        if !self.action.contains(&"--uninstall") {
            let recovered = run(&["--recover"]);
            ensure!(recovered.code == Some(0), "nothing was left to recover: {recovered:?}");
        }
        let installed = run(&["--install", "--replace"]);
        ensure!(matches!(installed.code, Some(0 | 23)), "{installed:?}");
        done.whereabouts(&Things::below(root)?).context("lost by the installation after it")?;
        if installed.code == Some(0) {
            let status = run(&["--status"]);
            ensure!(status.code == Some(0), "{status:?}");
        }
        let removed = run(&["--uninstall"]);
        ensure!(matches!(removed.code, Some(0 | 32 | 41)), "{removed:?}");
        done.whereabouts(&Things::below(root)?).context("lost by the uninstallation after it")?;
        let tree = Tree::read(root)?;
        ensure!(!tree.has("var/lib/airgap-deploy/demo/journal"), "a journal is left");
        Ok(())
    }

    fn report(&self, name: &str, moments: &[Moment]) -> Result<()> {
        without_root("changes of owners");
        for moment in moments {
            let (trials, effects) = self.interfere(*moment).with_context(|| format!("{name}, {moment:?}"))?;
            println!(
                "interference: {name}, {moment:?}: {trials} trials, {effects} of them ended with another exit code"
            );
            ensure!(trials * 10 > self.changes * 9, "hardly anything could be done: {trials}");
        }
        Ok(())
    }
}

const RECOVER: Moment = Moment::AfterCrash(&["--recover"]);

#[test]
fn an_installation_among_others_loses_nothing_of_theirs() -> Result<()> {
    let stage = Stage::new(false)?;
    let scene = Scene::new(&stage, &stage.bare, &stage.first, &["--install"])?;
    scene.report("install", &[Moment::Meanwhile, RECOVER, Moment::AfterCrash(&["--install"])])
}

#[test]
fn an_upgrade_among_others_loses_nothing_of_theirs() -> Result<()> {
    let stage = Stage::new(false)?;
    let scene = Scene::new(&stage, &stage.installed, &stage.second, &["--install", "--replace"])?;
    scene.report("upgrade", &[Moment::Meanwhile, RECOVER, Moment::AfterCrash(&["--install", "--replace"])])
}

#[test]
fn an_uninstallation_among_others_loses_nothing_of_theirs() -> Result<()> {
    let stage = Stage::new(false)?;
    let replaced = stage.replaced()?;
    let scene = Scene::new(&stage, &replaced, &stage.second, &["--uninstall"])?;
    scene.report("uninstall", &[Moment::Meanwhile, Moment::AfterCrash(&["--uninstall"])])
}

/// That the reference can fail: an installer that overwrote an edited file would be found.
#[test]
fn the_reference_notices_what_is_lost() -> Result<()> {
    let stage = Stage::new(false)?;
    let scratch = Scratch::of(&stage.installed)?;
    let path = Path::new("opt/demo/bin/demo");
    let done = act(Act::Edit, &scratch.root, path, 1)?.context("nothing there")?;
    let after = Things::below(&scratch.root)?;
    ensure!(done.whereabouts(&after)?.is_none(), "it is where it was put");
    let before = Things::below(&stage.installed)?;
    ensure!(done.whereabouts(&before).is_err(), "what was edited is lost, and nobody notices");
    let mut other = before.clone();
    other.0.remove(Path::new("opt/demo/lib/libsame.so"));
    ensure!(done.is_one_of(&[&before], &after, &other).is_err(), "a file is missing, and nobody notices");
    // Nor is what they made of a backup taken for what was set aside.
    let replaced = Scratch::of(&stage.replaced()?)?;
    let aside = Path::new("etc/demo.conf.airgap-deploy-backup");
    let mut edited = act(Act::Edit, &replaced.root, aside, 1)?.context("nothing there")?;
    edited.touches_all_names(&stage.bare)?;
    std::fs::rename(replaced.root.join(aside), replaced.root.join("etc/demo.conf"))?;
    let moved = Things::below(&replaced.root)?;
    ensure!(edited.whereabouts(&moved).is_err(), "an edited backup is put back, and nobody notices");
    done.is_one_of(&[&before], &after, &after)
}
