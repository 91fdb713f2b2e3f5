//! One change of the machine as evidence: what stood there before, what stands there now, and what became of it.
//! Which changes there are is decided in `plan.rs`.

use std::fmt;

use payload::index::Index;
use payload::{Digest, RelPath};
use serde_json::{Value, json};

use super::path_of;
use crate::host::root::{Found, Root};
use crate::plan::Plan;
use crate::plan::facts::Host;
use crate::plan::removal::Removal;
use crate::plan::step::{PlaceFile, Replaces, Step};
use crate::record::receipt::Receipt;
use crate::report::json;

/// A change, planned or made.
#[derive(Debug, Clone)]
pub struct Change {
    /// What `--json` says of the step.
    facts: Value,
    path: Option<RelPath>,
    text: String,
    /// What stands at its path; `None` when it has no path.
    content: Option<(Value, Value)>,
    /// Whether it takes back a step of an installation that was interrupted.
    recovery: bool,
    pub(super) became: Became,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Became {
    /// The action ended before.
    NotDone,
    Done,
    Failed(String),
    /// It was done, in part or wholly, and is taken back.
    Undone,
    /// What should have gone stays, and why.
    Kept(String),
}

impl fmt::Display for Became {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDone => formatter.write_str("not done"),
            Self::Done => formatter.write_str("done"),
            Self::Failed(why) => write!(formatter, "failed: {why}"),
            Self::Undone => formatter.write_str("undone"),
            Self::Kept(why) => write!(formatter, "kept: {why}"),
        }
    }
}

impl Change {
    fn new(facts: Value, text: String, path: Option<&RelPath>, content: Option<(Value, Value)>) -> Self {
        Self { facts, path: path.cloned(), text, content, recovery: false, became: Became::NotDone }
    }

    /// A step of an installation.
    pub(super) fn planned(step: &Step, plan: &Plan, index: &Index, host: &Host) -> Self {
        let file_at = |path: &RelPath| {
            let placed = plan.placed().find(|place| place.path == *path).map(|place| place.digest);
            let shipped = || index.files.iter().find(|file| file.path == *path).map(|file| file.blob);
            file(placed.or_else(|| host.entries.get(path)?.digest).or_else(shipped))
        };
        let content = match step {
            Step::MakeDirectory { .. } => Some((Value::Null, directory())),
            Step::PlaceFile(place) => Some((replaced(place), file(Some(place.digest)))),
            Step::MakeHardLink { to, .. } => Some((Value::Null, file_at(to))),
            Step::MakeSymbolicLink { target, .. } => Some((Value::Null, link(target))),
            Step::RemoveFile { digest, .. } => Some((file(Some(*digest)), Value::Null)),
            Step::RemoveSymbolicLink { target, .. } => Some((link(target), Value::Null)),
            _ => None,
        };
        Self::new(json::step(step, &host.root), step.describe(), path_of(step), content)
    }

    /// A removal. What it takes away is what the receipt says, or with `purge` what stands there.
    pub(super) fn removal(removal: &Removal, receipt: &Receipt, root: &Root, purge: bool) -> Self {
        let seen = |path: &RelPath, seen: &Found| match seen {
            Found::File(_) if purge || receipt.content(path).is_none() => stands(root, path),
            Found::File(_) => file(receipt.content(path).map(|file| file.digest)),
            other => shown(other),
        };
        let (path, content) = match removal {
            Removal::File { path, seen: found } => (Some(path), Some((seen(path, found), Value::Null))),
            Removal::Restore { path, backup, seen: found, .. } => {
                (Some(path), Some((seen(path, found), stands(root, backup))))
            }
            Removal::Directory { path } => (Some(path), Some((directory(), Value::Null))),
            _ => (None, None),
        };
        let mut facts = json!({"action": removal.action(), "text": removal.describe()});
        if let Some(path) = path {
            facts["path"] = json!(path.to_string());
        }
        Self::new(facts, removal.describe(), path, content)
    }

    /// A step of an interrupted installation, as it stands before it is undone.
    pub(super) fn recovery(step: &Step, root: &Root) -> Self {
        let content = path_of(step).map(|path| (stands(root, path), Value::Null));
        let change = Self::new(json::step(step, root.path()), step.describe(), path_of(step), content);
        Self { recovery: true, ..change }
    }

    /// Whether it is this step.
    pub(super) fn is_of(&self, step: &Step) -> bool {
        self.path.as_ref() == path_of(step) && self.text == step.describe()
    }

    /// The installation was rolled back; `standing` when this step was not.
    pub(super) fn undone(&mut self, standing: bool) {
        if !standing && self.became == Became::Done {
            self.became = Became::Undone;
        }
    }

    /// The recovery ended.
    pub(super) fn recovered(&mut self, standing: bool, root: &Root) {
        self.became = if standing { Became::NotDone } else { Became::Undone };
        if let (Some((_, after)), Some(path)) = (&mut self.content, &self.path) {
            *after = stands(root, path);
        }
    }

    /// Its outcome in one word, and why.
    fn outcome(&self) -> (&'static str, Option<&str>) {
        match &self.became {
            Became::NotDone => ("not-done", None),
            Became::Done => ("done", None),
            Became::Failed(why) => ("failed", Some(why)),
            Became::Undone => ("undone", None),
            Became::Kept(why) => ("kept", Some(why)),
        }
    }

    /// The change in a report.
    pub(super) fn to_json(&self) -> Value {
        let mut value = self.facts.clone();
        let (outcome, why) = self.outcome();
        value["recovery"] = json!(self.recovery);
        value["outcome"] = json!(outcome);
        value["why"] = json!(why);
        if let Some((before, after)) = &self.content {
            value["before"] = before.clone();
            let changed = self.recovery || self.became == Became::Done;
            value["after"] = if changed { after.clone() } else { before.clone() };
        }
        value
    }
}

fn file(digest: Option<Digest>) -> Value {
    json!({"kind": "file", "digest": digest.map(|digest| digest.to_string())})
}

fn link(target: &str) -> Value {
    json!({"kind": "link", "target": target})
}

fn directory() -> Value {
    json!({"kind": "directory"})
}

fn replaced(place: &PlaceFile) -> Value {
    match &place.replaces {
        Replaces::Nothing => Value::Null,
        Replaces::Ours { digest, .. } | Replaces::Foreign { digest, .. } => file(Some(*digest)),
    }
}

/// What stands at `path` now, as far as it can be read.
fn stands(root: &Root, path: &RelPath) -> Value {
    match root.look(path) {
        Ok(Found::File(_)) => file(root.digest(path).ok()),
        Ok(found) => shown(&found),
        Err(_) => shown(&Found::Hidden),
    }
}

fn shown(found: &Found) -> Value {
    match found {
        Found::Absent => Value::Null,
        Found::Hidden => json!({"kind": "unknown"}),
        Found::Directory(_) => directory(),
        Found::File(_) => file(None),
        Found::Link { target } => link(target),
        Found::Special => json!({"kind": "special"}),
    }
}
