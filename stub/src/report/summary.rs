//! Many steps in few lines: how many files, and how large, by directory and by owner.
//! Every step on a line of its own is in `report/text.rs`.

use std::collections::BTreeMap;

use payload::{RelPath, printable};

use crate::plan::step::{PlaceFile, Replaces, Step};

/// More directories than this are told together with the one that they are in.
const DIRECTORIES: usize = 8;

/// What happens to the entries of one directory.
#[derive(Debug, Clone, Default)]
struct Tally {
    placed: usize,
    updated: usize,
    links: usize,
    removed: usize,
    bytes: u64,
    /// Whether directories below are counted here too.
    below: bool,
    /// The only entry, while there is one alone.
    only: Option<String>,
}

impl Tally {
    fn entries(&self) -> usize {
        self.placed + self.updated + self.links + self.removed
    }

    fn add(&mut self, other: Self, from_below: bool) {
        self.below |= from_below || other.below;
        self.only = if self.entries() == 0 { other.only } else { None };
        self.placed += other.placed;
        self.updated += other.updated;
        self.links += other.links;
        self.removed += other.removed;
        self.bytes += other.bytes;
    }

    fn describe(&self, directory: &str) -> String {
        if let Some(only) = &self.only {
            return only.clone();
        }
        let below = if self.below { " and below" } else { "" };
        let counts = [(self.placed, "new file"), (self.updated, "updated file"), (self.links, "link")];
        let mut parts: Vec<String> =
            counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, noun)| plural(count, noun)).collect();
        if self.removed > 0 {
            parts.push(format!("{} removed", self.removed));
        }
        if self.bytes > 0 {
            parts.push(payload::size(self.bytes));
        }
        format!("{directory}{below}: {}", parts.join(", "))
    }
}

/// `1 file`, `2 files`
pub fn plural(count: usize, noun: &str) -> String {
    let (stem, ending) = match noun.strip_suffix('y') {
        Some(stem) if count != 1 => (stem, "ies"),
        _ if count != 1 => (noun, "s"),
        _ => (noun, ""),
    };
    format!("{count} {stem}{ending}")
}

/// Files and links by directory. What takes the place of somebody else's file is always named.
pub fn by_directory(steps: &[&Step]) -> Vec<String> {
    let mut tallies: BTreeMap<Option<RelPath>, Tally> = BTreeMap::new();
    let mut named = Vec::new();
    for step in steps {
        let line = printable(&step.describe());
        if let Step::PlaceFile(PlaceFile { replaces: Replaces::Foreign { .. }, .. }) = step {
            named.push(line);
            continue;
        }
        let Some((path, mut tally)) = tally(step) else {
            named.push(line);
            continue;
        };
        tally.only = Some(line);
        tallies.entry(path.parent()).or_default().add(tally, false);
    }
    while tallies.len() > DIRECTORIES && fold_the_deepest(&mut tallies) {}
    let directory = |path: &Option<RelPath>| path.as_ref().map_or_else(|| "/".to_owned(), |path| format!("{path}/"));
    let sums = tallies.iter().map(|(path, tally)| tally.describe(&printable(&directory(path))));
    sums.chain(named).collect()
}

fn tally(step: &Step) -> Option<(&RelPath, Tally)> {
    match step {
        Step::PlaceFile(place) => {
            let updated = usize::from(matches!(place.replaces, Replaces::Ours { .. }));
            Some((&place.path, Tally { placed: 1 - updated, updated, bytes: place.size, ..Tally::default() }))
        }
        Step::MakeHardLink { path, .. } | Step::MakeSymbolicLink { path, .. } => {
            Some((path, Tally { links: 1, ..Tally::default() }))
        }
        Step::RemoveFile { path, .. } | Step::RemoveSymbolicLink { path, .. } => {
            Some((path, Tally { removed: 1, ..Tally::default() }))
        }
        _ => None,
    }
}

/// Counts the deepest directories with those that they are in; `false` when these are as high as still says something.
fn fold_the_deepest(tallies: &mut BTreeMap<Option<RelPath>, Tally>) -> bool {
    const HIGHEST: usize = 2;
    let depth = |path: &Option<RelPath>| path.as_ref().map_or(0, |path| path.as_str().split('/').count());
    let deepest = tallies.keys().map(depth).max().unwrap_or(0);
    if deepest <= HIGHEST {
        return false;
    }
    let folded: Vec<Option<RelPath>> = tallies.keys().filter(|path| depth(path) == deepest).cloned().collect();
    for path in folded {
        if let Some(tally) = tallies.remove(&path) {
            tallies.entry(path.and_then(|path| path.parent())).or_default().add(tally, true);
        }
    }
    true
}

/// Directories that are made: those that are in no other one of them, with how many there are below.
pub fn directories(steps: &[&Step]) -> Vec<String> {
    let mut paths: Vec<&RelPath> = Vec::new();
    for step in steps {
        if let Step::MakeDirectory { path, .. } = step {
            paths.push(path);
        }
    }
    paths.sort();
    let tops: Vec<&RelPath> =
        paths.iter().filter(|path| !paths.iter().any(|top| top != *path && path.starts_with(top))).copied().collect();
    let line = |top: &RelPath| match paths.iter().filter(|path| **path != top && path.starts_with(top)).count() {
        0 => format!("make {top}/"),
        below => format!("make {top}/ and {} below", plural(below, "directory")),
    };
    tops.iter().map(|top| printable(&line(top))).collect()
}

/// Directories that get an owner, by owner.
pub fn owners(steps: &[&Step]) -> Vec<String> {
    let mut by_owner: BTreeMap<String, Vec<&RelPath>> = BTreeMap::new();
    for step in steps {
        if let Step::SetOwner { path, owner, .. } = step {
            by_owner.entry(owner.to_string()).or_default().push(path);
        }
    }
    by_owner
        .iter()
        .map(|(owner, paths)| match paths.as_slice() {
            [only] => format!("{only}/ belongs to {owner}"),
            many => format!("{} belong to {owner}", plural(many.len(), "directory")),
        })
        .collect()
}

/// One line for each.
pub fn each(steps: &[&Step]) -> Vec<String> {
    steps.iter().map(|step| printable(&step.describe())).collect()
}
