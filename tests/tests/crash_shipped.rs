//! The stub that ships, without failpoints, is killed at random moments of an installation, an upgrade and an uninstallation,
//! and then recovered; some recoveries are killed too, and sometimes somebody else does something before. The moments come
//! from a seed (`AIRGAP_DEPLOY_SEED`) and from how long it takes undisturbed. Kills at every change are in `crash_kill.rs`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::crash::foreign::{ACTS, Done, Things, act};
use e2e::crash::program::{Ended, Run};
use e2e::crash::stage::Stage;
use e2e::crash::trials::{Scratch, on_all_cores};
use e2e::scenario::{Scenario, sample};
use e2e::skip::without_root;
use e2e::tree::Tree;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The stub at the start of a package that the builder which ships made.
fn shipped() -> Result<&'static Path> {
    static STUB: OnceLock<std::result::Result<(Scenario, PathBuf), String>> = OnceLock::new();
    let made = STUB.get_or_init(|| cut_out().map_err(|error| format!("{error:#}")));
    made.as_ref().map(|(_, stub)| stub.as_path()).map_err(|error| anyhow::anyhow!("{error}"))
}

fn cut_out() -> Result<(Scenario, PathBuf)> {
    let scenario = Scenario::new()?.shipped();
    let run = sample::build(&scenario)?;
    let bytes = payload::Package::open(File::open(&run)?, &payload::Trust::nobody())?.stub()?;
    ensure!(!bytes.windows(21).any(|found| found == b"AIRGAP_DEPLOY_KILL_AT"), "it has failpoints");
    let stub = scenario.write("stub", bytes)?;
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755))?;
    Ok((scenario, stub))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn seed() -> u64 {
    number("AIRGAP_DEPLOY_SEED").unwrap_or(20_261_125)
}

/// How many trials a series has: a sample, or with `AIRGAP_DEPLOY_EVERY=1` many.
fn trials() -> u64 {
    if number("AIRGAP_DEPLOY_EVERY") == Some(1) { 1000 } else { 60 }
}

/// The choices of one trial: the same for a seed and a number, however many trials run at a time (`SplitMix64`).
struct Choices(u64);

impl Choices {
    fn of(trial: u64) -> Self {
        Self(seed().wrapping_mul(0x2545_F491_4F6C_DD1D).wrapping_add(trial << 20))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    /// A moment of something that takes so long, or shortly after it.
    fn moment(&mut self, takes: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(takes.as_micros()).unwrap_or(u64::MAX) * 11 / 10))
    }
}

/// Starts it, kills it after `moment`, and says how it ended: a run that was done before that was not killed.
fn killed_after(run: Run, moment: Duration) -> Result<Ended> {
    let child = run.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    std::thread::sleep(moment);
    // It has not been waited for: its number is still its own.
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGKILL)?;
    Ok(child.wait_with_output()?.into())
}

/// What is killed, and what it may end in.
struct Series<'a> {
    prior: &'a Path,
    package: &'a Path,
    action: &'static [&'static str],
    /// What is called after a kill.
    recoveries: &'static [&'static [&'static str]],
    /// How long the action takes at least when nobody kills it.
    takes: Duration,
    before: (Tree, Things),
    complete: (Tree, Things),
}

#[derive(Debug, Default)]
struct Count {
    kills: AtomicU64,
    in_recovery: AtomicU64,
    among_others: AtomicU64,
    back: AtomicU64,
}

impl<'a> Series<'a> {
    fn new(
        prior: &'a Path,
        package: &'a Path,
        action: &'static [&'static str],
        recoveries: &'static [&'static [&'static str]],
    ) -> Result<Self> {
        let mut takes = Duration::MAX;
        let mut complete = None;
        for _ in 0..3 {
            let scratch = Scratch::of(prior)?;
            let begin = Instant::now();
            let ended = Run::of(shipped()?, package, &scratch.root, action).end();
            takes = takes.min(begin.elapsed());
            ensure!(ended.code == Some(0), "{ended:?}");
            complete = Some((Tree::read(&scratch.root)?, Things::below(&scratch.root)?));
        }
        let before = (Tree::read(prior)?, Things::below(prior)?);
        Ok(Self { prior, package, action, recoveries, takes, before, complete: complete.context("no run")? })
    }

    fn run(&self, root: &Path, arguments: &[&str]) -> Result<Run> {
        Ok(Run::of(shipped()?, self.package, root, arguments))
    }

    fn trial(&self, number: u64, count: &Count) -> Result<()> {
        let mut choices = Choices::of(number);
        let scratch = Scratch::of(self.prior)?;
        let root = &scratch.root;
        let killed = killed_after(self.run(root, self.action)?, choices.moment(self.takes))?;
        ensure!(killed.killed || killed.code == Some(0), "{killed:?}");
        count.kills.fetch_add(u64::from(killed.killed), Ordering::Relaxed);
        let theirs = if number.is_multiple_of(3) { self.interfere(root, &mut choices, number)? } else { None };
        let after = Things::below(root)?;
        let recovery = self.recoveries[usize::try_from(choices.below(self.recoveries.len() as u64))?];
        if number.is_multiple_of(2) {
            let again = killed_after(self.run(root, recovery)?, choices.moment(self.takes / 2))?;
            count.in_recovery.fetch_add(u64::from(again.killed), Ordering::Relaxed);
        }
        let ended = self.end_after_a_kill(root, recovery)?;
        let Some(mut done) = theirs else {
            ensure!(ended.is_done(), "{recovery:?}: {ended:?}");
            return self.check(root, recovery, count).with_context(|| format!("{recovery:?}: {ended:?}"));
        };
        count.among_others.fetch_add(1, Ordering::Relaxed);
        let judged = self.judge(&mut done, &after, &ended, root);
        judged.with_context(|| format!("{:?} at /{}, {recovery:?}: {ended:?}", done.act, done.path.display()))
    }

    /// Whoever was killed while it started a tool leaves the lock to that child, until it is the tool: then, as its hint says,
    /// the same is called again.
    fn end_after_a_kill(&self, root: &Path, arguments: &[&str]) -> Result<Ended> {
        let mut ended = self.run(root, arguments)?.end();
        for _ in 0..100 {
            if !ended.text.contains("another installer is running") {
                break;
            }
            ended = self.run(root, arguments)?.end();
        }
        Ok(ended)
    }

    /// Nobody else was there: complete, or where that was asked for, as before; to the last attribute.
    fn check(&self, root: &Path, recovery: &[&str], count: &Count) -> Result<()> {
        let found = Tree::read(root)?;
        let complete = self.complete.0.difference(&found);
        if complete.is_empty() {
            return Ok(());
        }
        ensure!(recovery == ["--recover"], "not complete:\n{complete}");
        let before = self.before.0.difference(&found);
        ensure!(before.is_empty(), "from before:\n{before}\nfrom complete:\n{complete}");
        count.back.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Somebody does something at a path of the package.
    fn interfere(&self, root: &Path, choices: &mut Choices, number: u64) -> Result<Option<Done>> {
        let paths: Vec<&PathBuf> = self.complete.1.0.keys().chain(self.before.1.0.keys()).collect();
        for _ in 0..100 {
            let path = paths[usize::try_from(choices.below(paths.len() as u64))?];
            let kind = ACTS[usize::try_from(choices.below(ACTS.len() as u64))?];
            if let Some(done) = act(kind, root, path, number)? {
                return Ok(Some(done));
            }
        }
        Ok(None)
    }

    /// Nothing of theirs is lost, all else is as in a state that can be meant, and what was found has a code of its own.
    fn judge(&self, done: &mut Done, after: &Things, ended: &Ended, root: &Path) -> Result<()> {
        let uninstalls = self.action.contains(&"--uninstall");
        let codes: &[i32] = if uninstalls { &[0, 32, 41] } else { &[0, 23, 30] };
        ensure!(ended.code.is_some_and(|code| codes.contains(&code)), "the exit code says nothing about it");
        let undisturbed = Scratch::of(self.prior)?;
        ensure!(self.run(&undisturbed.root, self.action)?.end().code == Some(0), "no undisturbed run");
        done.touches_all_names(self.prior)?;
        done.touches_all_names(&undisturbed.root)?;
        let now = Things::below(root)?;
        done.whereabouts(&now)?;
        done.is_one_of(&[&self.before.1, &self.complete.1], after, &now)?;
        let journal = root.join("var/lib/airgap-deploy/demo/journal");
        ensure!(!journal.exists() || ended.code != Some(0), "a journal is left");
        Ok(())
    }

    fn report(&self, name: &str) -> Result<()> {
        without_root("changes of owners");
        let count = Count::default();
        let made = on_all_cores(|number| {
            if number > trials() {
                return Ok(false);
            }
            let trial = self.trial(number, &count);
            trial.with_context(|| format!("{name}, seed {}, trial {number}", seed()))?;
            Ok(true)
        })?;
        println!("the stub that ships, killed at random moments: {name}, seed {}: {made} trials, {count:?}", seed());
        ensure!(count.kills.into_inner() * 5 > made, "hardly any run was killed");
        Ok(())
    }
}

const INSTALL: &[&str] = &["--install"];
const REPLACE: &[&str] = &["--install", "--replace"];
const RECOVER: &[&str] = &["--recover"];
const UNINSTALL: &[&str] = &["--uninstall"];

#[test]
fn an_installation_is_complete_or_undone() -> Result<()> {
    let stage = Stage::new(false)?;
    Series::new(&stage.bare, &stage.first, INSTALL, &[RECOVER, INSTALL])?.report("install")
}

#[test]
fn an_upgrade_is_complete_or_undone() -> Result<()> {
    let stage = Stage::new(false)?;
    Series::new(&stage.installed, &stage.second, REPLACE, &[RECOVER, REPLACE])?.report("upgrade")
}

#[test]
fn an_uninstallation_goes_on_where_it_stopped() -> Result<()> {
    let stage = Stage::new(false)?;
    let replaced = stage.replaced()?;
    Series::new(&replaced, &stage.second, UNINSTALL, &[UNINSTALL])?.report("uninstall")
}
