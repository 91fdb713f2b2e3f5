//! Evidence: what an action judged and changed, gathered while it goes on, whatever becomes of it.
//! The document that is made of it is in `evidence/document.rs`; who writes it where, in `command/report.rs`.

mod change;
mod document;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use payload::index::{Index, PackageName};
use payload::{Package, Watch};
use serde::Serialize;
use serde_json::value::RawValue;

pub use change::Change;
pub use document::{Call, Caller, Ending, Installed, is_report, write};

use crate::apply::journal::Begun;
use crate::apply::uninstall::Outcome;
use crate::host::interrupt;
use crate::host::machine::{Machine, StepError};
use crate::host::root::Root;
use crate::plan::facts::Host;
use crate::plan::preflight::ClearedPlan;
use crate::plan::removal::{Removal, UninstallPlan};
use crate::plan::step::Step;
use crate::record::log::{About, Log};
use crate::record::receipt::Receipt;
use change::Became;

/// What an action leaves to be told about it.
#[derive(Debug)]
pub struct Evidence {
    /// Whether anybody will read it: only then is read what the action itself does not read.
    wanted: bool,
    log: Log,
    gathered: Mutex<Gathered>,
}

/// A plan in lines: in sums, and every path of it.
#[derive(Debug, Clone, Default)]
pub struct PlanLines {
    pub summary: Vec<String>,
    pub every_path: Vec<String>,
}

#[derive(Debug, Default)]
struct Gathered {
    package: Option<document::PackageFacts>,
    /// Which package the action is about, and what was installed of it before.
    about: Option<(PackageName, Option<document::Installed>)>,
    changes: Vec<Change>,
    /// The change that comes next.
    next: usize,
    /// Where the changes of the action itself begin: before them are those of a recovery.
    own: usize,
    result: Option<Box<RawValue>>,
    plan: Option<PlanLines>,
}

impl Evidence {
    /// Nothing so far.
    pub fn new(wanted: bool, log: Log) -> Self {
        Self { wanted, log, gathered: Mutex::default() }
    }

    /// The log that is kept of the same.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether anybody will read it.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The package that was opened: stub and index are intact.
    pub fn package(&self, package: &Package, file: String) {
        let index = package.index();
        let about = About {
            version: Some(index.package.version.clone()),
            index: Some(package.digest().to_string()),
            key_id: package.signature().key_id().map(|id| id.to_string()),
            file: Some(file.clone()),
            ..About::default()
        };
        self.log.about(&index.package.name, about);
        self.gathered().package = Some(document::PackageFacts::of(package, file));
    }

    /// Every byte of it was compared. The digest of the whole file is what people compare: it costs reading it once more,
    /// so only who wants it waits for it.
    pub fn verified(&self, package: &Package) {
        let watch = Watch { stop: &interrupt::requested, ..Watch::nobody() };
        let digest = self.wanted.then(|| package.file_digest(watch).ok()).flatten();
        if let Some(package) = &mut self.gathered().package {
            package.everything_verified(digest);
        }
    }

    /// Every byte of it that was used was compared: what is in place already was not read again.
    pub fn verified_in_part(&self) {
        if let Some(package) = &mut self.gathered().package {
            package.what_was_used_verified();
        }
    }

    /// Which package the action is about, and the receipt that was there.
    pub fn about(&self, name: &PackageName, receipt: Option<&Receipt>) {
        let installed = receipt.map(|receipt| About {
            version: Some(receipt.version.clone()),
            index: Some(receipt.index.to_string()),
            key_id: receipt.signed_by.as_ref().map(|key| key.key_id.clone()),
            ..About::default()
        });
        self.log.about(name, installed.unwrap_or_default());
        self.gathered().about = Some((name.clone(), receipt.map(document::Installed::of)));
    }

    /// Which package the action is about.
    pub fn subject(&self) -> Option<PackageName> {
        self.gathered().about.as_ref().map(|(name, _)| name.clone())
    }

    /// The document that answers the action.
    pub fn result(&self, document: &impl Serialize) {
        if self.wanted {
            self.gathered().result = document::result(document);
        }
    }

    /// A plan that was shown.
    pub fn plan(&self, lines: PlanLines) {
        self.gathered().plan = Some(lines);
    }

    /// The plan that was shown, if one was.
    pub fn plan_lines(&self) -> Option<PlanLines> {
        self.gathered().plan.clone()
    }

    /// What was judged, in rows.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        self.gathered().package.as_ref().map_or_else(Vec::new, document::PackageFacts::rows)
    }

    /// What a page about it is called.
    pub fn title(&self) -> Option<String> {
        self.gathered().package.as_ref().map(document::PackageFacts::title)
    }

    /// Steps that are about to be taken.
    pub fn will_install(&self, cleared: &ClearedPlan, index: &Index, host: &Host) {
        if self.wanted {
            self.begin(Change::planned(&cleared.shared(), index, host));
        }
    }

    /// Removals that are about to be made.
    pub fn will_uninstall(&self, plan: &UninstallPlan, receipt: &Receipt, machine: &Machine, purge: bool) {
        if !self.wanted {
            return;
        }
        let removals = plan.removals.iter();
        let changes = removals.map(|removal| Change::removal(removal, receipt, &machine.root, purge)).collect();
        self.begin(changes);
    }

    fn begin(&self, changes: Vec<Change>) {
        let mut gathered = self.gathered();
        let own = gathered.changes.len();
        (gathered.own, gathered.next) = (own, own);
        gathered.changes.extend(changes);
    }

    /// The next step was taken, or failed.
    pub fn step(&self, step: &Step, outcome: Result<(), &StepError>) {
        let became = match outcome {
            Ok(()) => Became::Done,
            Err(error) => Became::Failed(error.to_string()),
        };
        self.log.step(&step.describe(), &became.to_string());
        self.became(became);
    }

    /// The next removal was made, or not.
    pub fn removed(&self, removal: &Removal, outcome: &Outcome) {
        let became = match outcome {
            Outcome::Done => Became::Done,
            Outcome::Kept(why) | Outcome::KeptWithOthers(why) => Became::Kept(why.clone()),
            Outcome::Failed(why) => Became::Failed(why.clone()),
        };
        self.log.step(&removal.describe(), &became.to_string());
        self.became(became);
    }

    fn became(&self, became: Became) {
        let mut gathered = self.gathered();
        let next = gathered.next;
        if let Some(change) = gathered.changes.get_mut(next) {
            change.became = became;
        }
        gathered.next += 1;
    }

    /// The installation was undone, but for the steps that are still in the journal.
    pub fn rolled_back(&self, standing: &[Begun]) {
        self.tell_undone("what was done", standing);
        let mut gathered = self.gathered();
        let (own, standing) = (gathered.own, names(standing));
        for change in &mut gathered.changes[own..] {
            change.undone(standing.contains(&change.text()));
        }
    }

    fn tell_undone(&self, what: &str, standing: &[Begun]) {
        for begun in standing {
            self.log.step(&format!("undo {}", begun.step.describe()), "not done");
        }
        let outcome = if standing.is_empty() { "done" } else { "done in part" };
        self.log.step(&format!("undo {what}"), outcome);
    }

    /// Steps of an interrupted installation that are about to be undone, the last one first.
    pub fn will_recover(&self, steps: &[Begun], root: &Root) {
        if self.wanted {
            let changes = steps.iter().rev().map(|begun| Change::recovery(&begun.step, root)).collect();
            self.begin(changes);
        }
    }

    /// They are undone, but for those that are still in the journal.
    pub fn recovered(&self, standing: &[Begun], root: &Root) {
        self.tell_undone("an interrupted installation", standing);
        let mut gathered = self.gathered();
        let (own, standing) = (gathered.own, names(standing));
        for change in &mut gathered.changes[own..] {
            change.recovered(standing.contains(&change.text()), root);
        }
    }
}

/// What the steps are called: no two of one installation are called the same.
fn names(steps: &[Begun]) -> HashSet<String> {
    steps.iter().map(|begun| begun.step.describe()).collect()
}

/// The path that a step is about, if it names one.
fn path_of(step: &Step) -> Option<&payload::RelPath> {
    match step {
        Step::MakeDirectory { path, .. }
        | Step::MakeHardLink { path, .. }
        | Step::MakeSymbolicLink { path, .. }
        | Step::RemoveFile { path, .. }
        | Step::RemoveSymbolicLink { path, .. } => Some(path),
        Step::PlaceFile(place) => Some(&place.path),
        _ => None,
    }
}
