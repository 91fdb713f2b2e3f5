//! One change of the machine as evidence: what stood there before, what stands there now, and what became of it.
//! Which changes there are is decided in `plan.rs`.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use payload::index::{Index, Lookup};
use payload::{Digest, RelPath};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::path_of;
use crate::host::root::{Found, Root};
use crate::plan::Plan;
use crate::plan::facts::Host;
use crate::plan::removal::Removal;
use crate::plan::step::{PlaceFile, Replaces, Step};
use crate::record::receipt::Receipt;
use crate::report::json;

/// A change, planned or made. There may be ten thousand, so each is kept small until it is written.
#[derive(Debug, Clone)]
pub struct Change {
    what: What,
    /// What stands at its path, before and after; `None` when it has no path.
    content: Option<(Stands, Stands)>,
    /// Whether it takes back a step of an installation that was interrupted.
    recovery: bool,
    /// Where to look again when that is done.
    path: Option<RelPath>,
    pub(super) became: Became,
}

/// What is changed.
#[derive(Debug, Clone)]
enum What {
    /// A step of a plan on the target whose root is this, by its place among all of them.
    Step(Arc<Plan>, Arc<Path>, usize),
    /// As JSON says it, without its sentence; and its sentence.
    Told { facts: String, text: String },
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stands {
    Nothing,
    Directory,
    /// The digest is `None` where it could not be read.
    File(Option<Digest>),
    Link(String),
    Special,
    Unknown,
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

impl What {
    fn told(facts: &Value, text: String) -> Self {
        Self::Told { facts: facts.to_string(), text }
    }

    /// Its sentence.
    fn text(&self) -> String {
        match self {
            Self::Step(plan, _, at) => step_at(plan, *at).map(Step::describe).unwrap_or_default(),
            Self::Told { text, .. } => text.clone(),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Step(plan, root, at) => step_at(plan, *at).map(|step| json::step(step, root)).unwrap_or_default(),
            Self::Told { facts, text } => {
                let mut value: Value = serde_json::from_str(facts).unwrap_or_default();
                value["text"] = json!(text);
                value
            }
        }
    }
}

fn step_at(plan: &Plan, at: usize) -> Option<&Step> {
    plan.steps.get(at).or_else(|| plan.afterwards.get(at.checked_sub(plan.steps.len())?))
}

/// What files hold that a plan knows without reading them.
struct Known<'a> {
    placed: HashMap<&'a RelPath, Digest>,
    shipped: Lookup<'a>,
    host: &'a Host,
}

impl Known<'_> {
    fn file_at(&self, path: &RelPath) -> Stands {
        let there = || self.host.entries.get(path)?.digest;
        let shipped = || self.shipped.file(path).map(|file| file.blob);
        Stands::File(self.placed.get(path).copied().or_else(there).or_else(shipped))
    }

    /// What stands where a step does something, before and after it.
    fn content(&self, step: &Step) -> Option<(Stands, Stands)> {
        Some(match step {
            Step::MakeDirectory { .. } => (Stands::Nothing, Stands::Directory),
            Step::PlaceFile(place) => (replaced(place), Stands::File(Some(place.digest))),
            Step::MakeHardLink { to, .. } => (Stands::Nothing, self.file_at(to)),
            Step::MakeSymbolicLink { target, .. } => (Stands::Nothing, Stands::Link(target.clone())),
            Step::RemoveFile { digest, .. } => (Stands::File(Some(*digest)), Stands::Nothing),
            Step::RemoveSymbolicLink { target, .. } => (Stands::Link(target.clone()), Stands::Nothing),
            _ => return None,
        })
    }
}

impl Change {
    fn new(what: What, content: Option<(Stands, Stands)>) -> Self {
        Self { what, content, recovery: false, path: None, became: Became::NotDone }
    }

    /// The steps of an installation.
    pub(super) fn planned(plan: &Arc<Plan>, index: &Index, host: &Host) -> Vec<Self> {
        let placed = plan.placed().map(|place| (&place.path, place.digest)).collect();
        let known = Known { placed, shipped: Lookup::of(index), host };
        let root: Arc<Path> = host.root.as_path().into();
        let steps = plan.steps.iter().chain(&plan.afterwards).enumerate();
        let change = |(at, step)| Self::new(What::Step(plan.clone(), root.clone(), at), known.content(step));
        steps.map(change).collect()
    }

    /// A removal. What it takes away is what the receipt says, or with `purge` what stands there.
    pub(super) fn removal(removal: &Removal, receipt: &Receipt, root: &Root, purge: bool) -> Self {
        let seen = |path: &RelPath, seen: &Found| match seen {
            Found::File(_) if purge || receipt.content(path).is_none() => stands(root, path),
            Found::File(_) => Stands::File(receipt.content(path).map(|file| file.digest)),
            other => shown(other),
        };
        let (path, content) = match removal {
            Removal::File { path, seen: found } => (Some(path), Some((seen(path, found), Stands::Nothing))),
            Removal::Restore { path, backup, seen: found, .. } => {
                (Some(path), Some((seen(path, found), stands(root, backup))))
            }
            Removal::Directory { path } => (Some(path), Some((Stands::Directory, Stands::Nothing))),
            _ => (None, None),
        };
        let mut facts = json!({"action": removal.action()});
        if let Some(path) = path {
            facts["path"] = json!(path.to_string());
        }
        Self::new(What::told(&facts, removal.describe()), content)
    }

    /// A step of an interrupted installation, as it stands before it is undone.
    pub(super) fn recovery(step: &Step, root: &Root) -> Self {
        let content = path_of(step).map(|path| (stands(root, path), Stands::Nothing));
        let mut facts = json::step(step, root.path());
        if let Some(facts) = facts.as_object_mut() {
            facts.remove("text");
        }
        let change = Self::new(What::told(&facts, step.describe()), content);
        Self { recovery: true, path: path_of(step).cloned(), ..change }
    }

    /// What it is called, as [`Step::describe`] calls a step.
    pub(super) fn text(&self) -> String {
        self.what.text()
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

    fn to_json(&self) -> Value {
        let mut value = self.what.to_json();
        let (outcome, why) = self.outcome();
        value["recovery"] = json!(self.recovery);
        value["outcome"] = json!(outcome);
        value["why"] = json!(why);
        if let Some((before, after)) = &self.content {
            let changed = self.recovery || self.became == Became::Done;
            value["before"] = before.to_json();
            value["after"] = if changed { after } else { before }.to_json();
        }
        value
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl Stands {
    fn to_json(&self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Directory => json!({"kind": "directory"}),
            Self::File(digest) => json!({"kind": "file", "digest": digest.map(|digest| digest.to_string())}),
            Self::Link(target) => json!({"kind": "link", "target": target}),
            Self::Special => json!({"kind": "special"}),
            Self::Unknown => json!({"kind": "unknown"}),
        }
    }
}

fn replaced(place: &PlaceFile) -> Stands {
    match &place.replaces {
        Replaces::Nothing => Stands::Nothing,
        Replaces::Ours { digest, .. } | Replaces::Foreign { digest, .. } => Stands::File(Some(*digest)),
    }
}

/// What stands at `path` now, as far as it can be read.
fn stands(root: &Root, path: &RelPath) -> Stands {
    match root.look(path) {
        Ok(Found::File(_)) => Stands::File(root.digest(path).ok()),
        Ok(found) => shown(&found),
        Err(_) => Stands::Unknown,
    }
}

fn shown(found: &Found) -> Stands {
    match found {
        Found::Absent => Stands::Nothing,
        Found::Hidden => Stands::Unknown,
        Found::Directory(_) => Stands::Directory,
        Found::File(_) => Stands::File(None),
        Found::Link { target } => Stands::Link(target.clone()),
        Found::Special => Stands::Special,
    }
}
