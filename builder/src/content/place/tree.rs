//! The placements as a tree of paths: no path twice, nothing below a file, a directory for everything.
//! Whether symbolic links lead anywhere is checked in `links.rs`.

use std::collections::{BTreeMap, BTreeSet};

use payload::{Mode, Owner, RelPath};

use super::{Entry, Placement};
use crate::content::error::ContentError;

/// The components that need an entry, by their positions; never none.
pub(crate) type Needed = BTreeSet<usize>;

/// Placements in the making.
pub(super) struct Tree {
    /// Names of the components, for messages.
    names: Vec<String>,
    placements: Vec<(Needed, Placement)>,
    /// Positions in `placements`.
    paths: BTreeMap<RelPath, usize>,
    /// Every directory above something placed, and those that are wanted for their own sake.
    directories: BTreeMap<RelPath, Needed>,
    /// Paths that a pattern of `exclude` took away, with that pattern.
    excluded: BTreeMap<RelPath, String>,
}

/// Whose the directories are.
pub(super) struct Rules {
    pub(super) prefix: RelPath,
    /// The service's account, which owns the model store and its own home of an Ollama deployment.
    pub(super) service: Option<Owner>,
}

impl Rules {
    fn directory(&self, path: RelPath) -> Placement {
        let (owner, mode) = match (&self.service, self.below_prefix(&path)) {
            (Some(service), Some(".ollama")) => (service.clone(), Mode::PRIVATE_DIRECTORY),
            (Some(service), Some(inner)) if inner == "models" || inner.starts_with("models/") => {
                (service.clone(), Mode::EXECUTABLE)
            }
            _ => (Owner::root(), Mode::EXECUTABLE),
        };
        Placement { path, owner, entry: Entry::Directory { mode } }
    }

    fn below_prefix<'a>(&self, path: &'a RelPath) -> Option<&'a str> {
        path.as_str().strip_prefix(self.prefix.as_str())?.strip_prefix('/')
    }
}

impl Tree {
    pub(super) fn new(names: Vec<String>) -> Self {
        let (placements, paths) = (Vec::new(), BTreeMap::new());
        Self { names, placements, paths, directories: BTreeMap::new(), excluded: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, component: usize, placement: Placement) -> Result<(), ContentError> {
        if self.paths.contains_key(&placement.path) {
            return Err(self.conflict(&placement.path, component));
        }
        self.need_above(component, &placement.path);
        self.paths.insert(placement.path.clone(), self.placements.len());
        self.placements.push((Needed::from([component]), placement));
        Ok(())
    }

    /// For what has its content in its name: a second one is the same one.
    pub(super) fn add_once(&mut self, component: usize, placement: Placement) -> Result<(), ContentError> {
        if self.paths.contains_key(&placement.path) {
            self.share(component, &placement.path);
            return Ok(());
        }
        self.add(component, placement)
    }

    /// Another component needs what is placed at `path`.
    pub(super) fn share(&mut self, component: usize, path: &RelPath) {
        self.need_above(component, path);
        if let Some((needed, _)) = self.paths.get(path).and_then(|at| self.placements.get_mut(*at)) {
            needed.insert(component);
        }
    }

    pub(super) fn need_directory(&mut self, component: usize, path: RelPath) {
        self.need_above(component, &path);
        self.directories.entry(path).or_default().insert(component);
    }

    fn need_above(&mut self, component: usize, path: &RelPath) {
        for above in path.ancestors() {
            self.directories.entry(above).or_default().insert(component);
        }
    }

    pub(super) fn note_excluded(&mut self, path: RelPath, pattern: String) {
        self.excluded.insert(path, pattern);
    }

    pub(super) fn excluded_by(&self, path: &RelPath) -> Option<&str> {
        let direct = self.excluded.get(path);
        let inside =
            || self.excluded.iter().find(|(excluded, _)| excluded.starts_with(path)).map(|(_, pattern)| pattern);
        direct.or_else(inside).map(String::as_str)
    }

    pub(super) fn get(&self, path: &RelPath) -> Option<&Placement> {
        self.paths.get(path).and_then(|at| self.placements.get(*at)).map(|(_, placement)| placement)
    }

    pub(super) fn placements(&self) -> impl Iterator<Item = &Placement> {
        self.placements.iter().map(|(_, placement)| placement)
    }

    /// Whether `path` is placed, or is a directory above something placed.
    pub(super) fn exists(&self, path: &RelPath) -> bool {
        self.paths.contains_key(path) || self.directories.contains_key(path)
    }

    /// Between what is placed at `path` and what another component wants there.
    fn conflict(&self, path: &RelPath, second: usize) -> ContentError {
        let name = |at: usize| self.names.get(at).cloned().unwrap_or_default();
        let placed = self.paths.get(path).and_then(|at| self.placements.get(*at));
        let first = placed.and_then(|(needed, _)| needed.first()).copied();
        ContentError::Conflict { path: path.clone(), first: first.map(name).unwrap_or_default(), second: name(second) }
    }

    /// All placements, with a directory for every path above them.
    pub(super) fn finish(self, rules: &Rules) -> Result<Vec<(Needed, Placement)>, ContentError> {
        for (path, needed) in &self.directories {
            if self.paths.contains_key(path) {
                return Err(self.conflict(path, needed.first().copied().unwrap_or_default()));
            }
        }
        let directories = self.directories.into_iter().map(|(path, needed)| (needed, rules.directory(path)));
        Ok(directories.chain(self.placements).collect())
    }
}
