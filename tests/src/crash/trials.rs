//! The loops of the crash tests: kill the program before its first change, its second, and so on, recover, and compare
//! whole trees; then kill the recovery in the same way. Also: make every change fail, one at a time.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};

use super::directory;
use super::program::{Ended, Run};
use crate::tree::{Tree, copy};

/// One thing that is done to a target, and what it may end in.
#[derive(Debug)]
pub struct Series<'a> {
    /// The target before; it is copied for each trial.
    pub prior: &'a Path,
    pub package: &'a Path,
    /// What is killed, such as `--install`.
    pub action: &'a [&'a str],
    /// What the target looks like when nothing interferes.
    pub complete: Tree,
}

/// What must hold after a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// As before, or complete.
    BeforeOrComplete,
    Complete,
}

/// How many trials were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub kills: u64,
    /// Of these, in a recovery from an earlier kill.
    pub in_recovery: u64,
}

/// Every how many kills the recovery is killed everywhere too. `AIRGAP_DEPLOY_EVERY=1` takes longest. A recovery that
/// installs makes so many changes that fewer of them do.
fn stride(recovery: &[&str]) -> u64 {
    let usual = if recovery.contains(&"--install") { 89 } else { 29 };
    std::env::var("AIRGAP_DEPLOY_EVERY").ok().and_then(|text| text.parse().ok()).unwrap_or(usual).max(1)
}

impl<'a> Series<'a> {
    /// Finds out what `action` leads to on a copy of `prior`.
    ///
    /// # Errors
    /// The action fails.
    pub fn new(prior: &'a Path, package: &'a Path, action: &'a [&'a str]) -> Result<Self> {
        let scratch = Scratch::of(prior)?;
        let ended = Run::new(package, &scratch.root, action).end();
        ensure!(ended.code == Some(0), "{action:?} without interference: {ended:?}");
        Ok(Self { prior, package, action, complete: Tree::read(&scratch.root)? })
    }

    /// Kills the action before each of its changes. After each kill `recovery` runs undisturbed, and for some also
    /// killed before each of its own changes; then the goal is checked.
    ///
    /// # Errors
    /// The first trial that missed its goal.
    pub fn kill_everywhere(&self, recovery: &[&str], goal: Goal) -> Result<Count> {
        let before = Tree::read(self.prior)?;
        let in_recovery = AtomicU64::new(0);
        let kills = on_all_cores(|number| {
            let scratch = Scratch::of(self.prior)?;
            let killed =
                Run::new(self.package, &scratch.root, self.action).set("KILL_AT", number).set("SHORT_WRITES", 1);
            if !ended_early(&killed.end())? {
                self.check(&scratch.root, &before, Goal::Complete, "no kill")?;
                return Ok(false);
            }
            if number % stride(recovery) == 0 {
                let made = self.kill_recovery(&scratch.root, recovery, &before, goal);
                in_recovery.fetch_add(made.with_context(|| format!("kill {number}"))?, Ordering::Relaxed);
            }
            self.recover(&scratch.root, recovery, &before, goal).with_context(|| format!("kill {number}"))?;
            Ok(true)
        })?;
        Ok(Count { kills, in_recovery: in_recovery.into_inner() })
    }

    fn kill_recovery(&self, crashed: &Path, recovery: &[&str], before: &Tree, goal: Goal) -> Result<u64> {
        for number in 1.. {
            let scratch = Scratch::of(crashed)?;
            let killed = Run::new(self.package, &scratch.root, recovery).set("KILL_AT", number).set("SHORT_WRITES", 1);
            if !ended_early(&killed.end())? {
                return Ok(number - 1);
            }
            let recovered = self.recover(&scratch.root, recovery, before, goal);
            recovered.with_context(|| format!("recovery killed at {number}"))?;
        }
        Ok(0)
    }

    fn recover(&self, root: &Path, recovery: &[&str], before: &Tree, goal: Goal) -> Result<()> {
        let ended = Run::new(self.package, root, recovery).end();
        ensure!(ended.is_done(), "recovery with {recovery:?}: {ended:?}");
        self.check(root, before, goal, &ended.text)
    }

    fn check(&self, root: &Path, before: &Tree, goal: Goal, said: &str) -> Result<()> {
        let found = Tree::read(root)?;
        let complete = self.complete.difference(&found);
        if complete.is_empty() || (goal == Goal::BeforeOrComplete && *before == found) {
            return Ok(());
        }
        bail!("{said}\nfrom before:\n{}\nfrom complete:\n{complete}", before.difference(&found))
    }

    /// Makes each change of the action fail with `errno`, one at a time, and gives every end with its target to
    /// `judge`; returns how many there were. `judge` is not asked about runs in which nothing failed.
    ///
    /// # Errors
    /// The first one that `judge` does not like.
    pub fn fail_everywhere(
        &self,
        errno: i32,
        judge: impl Fn(u64, &Ended, &Path, &Tree) -> Result<()> + Sync,
    ) -> Result<u64> {
        let before = Tree::read(self.prior)?;
        let changes = self.changes()?;
        let tried = on_all_cores(|number| {
            if number > changes {
                return Ok(false);
            }
            let scratch = Scratch::of(self.prior)?;
            let run = Run::new(self.package, &scratch.root, self.action);
            let ended = run.set("FAIL_AT", format!("{number}:{errno}")).set("SHORT_WRITES", 1).end();
            let judged = judge(number, &ended, &scratch.root, &before);
            judged.with_context(|| format!("errno {errno} at change {number}: {ended:?}"))?;
            Ok(true)
        })?;
        Ok(tried)
    }

    /// How many changes the action makes.
    ///
    /// # Errors
    /// A trial cannot be made.
    pub fn changes(&self) -> Result<u64> {
        let (mut low, mut high) = (0, 1 << 14);
        while low < high {
            let middle = u64::midpoint(low, high);
            let scratch = Scratch::of(self.prior)?;
            let killed = Run::new(self.package, &scratch.root, self.action).set("KILL_AT", middle + 1).end().killed;
            if killed {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// Whether a run was killed; anything but a kill or success is an error.
fn ended_early(ended: &Ended) -> Result<bool> {
    ensure!(ended.killed || ended.is_done(), "{ended:?}");
    Ok(ended.killed)
}

/// Calls `trial` with 1, 2, 3… until it says that there is no more; on all cores. Gives the number of trials before.
///
/// # Errors
/// The first one of a trial.
pub fn on_all_cores(trial: impl Fn(u64) -> Result<bool> + Sync) -> Result<u64> {
    on_threads(std::thread::available_parallelism().map_or(1, std::num::NonZero::get), trial)
}

/// The same on so many threads: for trials that mostly wait.
///
/// # Errors
/// The first one of a trial.
pub fn on_threads(threads: usize, trial: impl Fn(u64) -> Result<bool> + Sync) -> Result<u64> {
    let next = AtomicU64::new(1);
    let made = AtomicU64::new(0);
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failure.lock().is_ok_and(|failure| failure.is_none()) {
                    match trial(next.fetch_add(1, Ordering::SeqCst)) {
                        Ok(true) => made.fetch_add(1, Ordering::SeqCst),
                        Ok(false) => return,
                        Err(error) => {
                            if let Ok(mut failure) = failure.lock() {
                                failure.get_or_insert(error);
                            }
                            return;
                        }
                    };
                }
            });
        }
    });
    match failure.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(made.into_inner()),
    }
}

/// A copy of a target that lives as long as one trial.
#[derive(Debug)]
pub struct Scratch {
    _directory: tempfile::TempDir,
    pub root: PathBuf,
}

impl Scratch {
    /// Copies `prior`.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn of(prior: &Path) -> Result<Self> {
        let directory = directory()?;
        let root = directory.path().join("root");
        copy(prior, &root)?;
        Ok(Self { _directory: directory, root })
    }
}
