//! Files and links of the package: how each stands on the machine, and the steps that put it in place.
//! What an earlier version left behind goes in `earlier.rs`.

use std::collections::{HashMap, HashSet};

use payload::index::{File, Link, LinkKind, Role};
use payload::{Digest, Owner, RelPath};

use super::planner::Planner;
use super::step::{LinkSource, PlaceFile, Replaces, Step};
use crate::host::root::{Attributes, Found};
use crate::plan::facts::Existing;
use crate::record::receipt::Origin;
use crate::record::state::{self, Staged};

/// How an existing file relates to the one of the package.
enum Standing {
    Absent,
    Same,
    OursUnchanged,
    /// A symbolic link that an earlier version of the package made, with this target.
    OurLink(String),
    InTheWay(String, bool),
}

impl Planner<'_> {
    pub(super) fn files(&mut self, wanted: impl Fn(Role) -> bool) {
        for (position, file) in self.index.files.iter().enumerate().filter(|(_, file)| wanted(file.role)) {
            let path = &file.path;
            match self.standing(path, &file.owner, file) {
                Standing::Same => self.keep(path),
                Standing::Absent => self.place(position, file, Replaces::Nothing, Origin::Created),
                Standing::OursUnchanged => {
                    let backup = self.backup(position, file);
                    let origin = self.recorded_origin(path);
                    let seen = self.seen(path);
                    let digest = self.host.entries.get(path).and_then(|existing| existing.digest).unwrap_or(file.blob);
                    self.place(position, file, Replaces::Ours { backup, digest, seen }, origin);
                }
                Standing::OurLink(target) => {
                    self.plan.steps.push(Step::RemoveSymbolicLink { path: path.clone(), target });
                    self.place(position, file, Replaces::Nothing, Origin::Created);
                }
                Standing::InTheWay(problem, true) if self.options.replace => {
                    if let Some((backup, digest)) = self.set_aside(path, problem) {
                        self.replace(position, file, backup, digest);
                    }
                }
                Standing::InTheWay(problem, replaceable) => self.conflict(path, problem, replaceable),
            }
        }
    }

    /// The installer's own command. What may give way to it was decided in `command.rs`.
    pub(super) fn command(&mut self) {
        let found = self.index.files.iter().enumerate().find(|(_, file)| file.role == Role::Installer);
        let Some((position, file)) = found else { return };
        let path = &file.path;
        let existing = self.host.entries.get(path);
        match existing.map(|existing| (&existing.found, existing.digest)) {
            Some((Found::File(facts), digest)) => {
                if digest == Some(file.blob) && facts.mode == file.mode.bits() && self.belongs_to(*facts, &file.owner) {
                    return self.keep(path);
                }
                let (backup, seen) = (self.backup(position, file), Some(*facts));
                let digest = digest.unwrap_or(file.blob);
                self.place(position, file, Replaces::Ours { backup, digest, seen }, self.recorded_origin(path));
            }
            _ => self.place(position, file, Replaces::Nothing, Origin::Created),
        }
    }

    fn keep(&mut self, path: &RelPath) {
        self.plan.unchanged.push(path.clone());
        self.keep_origin(path);
        if let Some(stat) = self.host.entries.get(path).and_then(|existing| existing.stat) {
            self.plan.made.stats.insert(path.clone(), stat);
        }
    }

    /// Takes the place of a file that somebody else made or changed. What stood there before the package ever came is
    /// what uninstallation puts back.
    fn replace(&mut self, position: usize, file: &File, backup: RelPath, digest: Digest) {
        let origin = self.origin_of_replaced(&file.path, &backup, digest);
        let seen = self.seen(&file.path);
        self.place(position, file, Replaces::Foreign { backup, digest, seen }, origin);
    }

    /// The name under which the file in the way is kept, and what it holds: by that uninstallation recognises it.
    fn set_aside(&mut self, path: &RelPath, problem: String) -> Option<(RelPath, Digest)> {
        let existing = self.host.entries.get(path)?;
        match (&existing.backup, existing.digest) {
            (Some(backup), Some(digest)) => return Some((backup.clone(), digest)),
            (Some(_), None) if self.host.live && !self.host.privileged => {
                self.plan.notes.push(format!("{path} cannot be read by this user: run it as root to see all"));
            }
            _ => self.conflict(path, problem, false),
        }
        None
    }

    fn origin_of_replaced(&mut self, path: &RelPath, backup: &RelPath, digest: Digest) -> Origin {
        match self.recorded_origin(path) {
            first @ Origin::Replaced { .. } => {
                if let Origin::Replaced { backup: first, .. } = &first {
                    self.plan.notes.push(format!("{path} is kept as {backup}; --uninstall puts {first} back"));
                }
                first
            }
            Origin::Created | Origin::AlreadyPresent => Origin::Replaced { backup: backup.clone(), digest },
        }
    }

    /// What the plan saw at `path`, when that is a file.
    fn seen(&self, path: &RelPath) -> Option<Attributes> {
        match self.host.existing(path) {
            Found::File(facts) => Some(*facts),
            _ => None,
        }
    }

    fn standing(&self, path: &RelPath, owner: &Owner, file: &File) -> Standing {
        let Some(Existing { found, digest, .. }) = self.host.entries.get(path) else { return Standing::Absent };
        let facts = match found {
            Found::Absent | Found::Hidden => return Standing::Absent,
            Found::File(facts) => facts,
            Found::Directory(_) => return Standing::InTheWay("is a directory".to_owned(), false),
            Found::Link { target } if self.is_our_link(path, target) => return Standing::OurLink(target.clone()),
            Found::Link { .. } => return Standing::InTheWay("is a symbolic link".to_owned(), false),
            Found::Special => return Standing::InTheWay("is a device, socket or FIFO".to_owned(), false),
        };
        // What was there before the package is not the package's, even if it is the same.
        let receipt = self.host.receipt.as_ref().filter(|receipt| receipt.origin(path) != Origin::AlreadyPresent);
        let recorded = receipt.and_then(|receipt| receipt.content(path));
        let attributes_fit = facts.mode == file.mode.bits() && self.belongs_to(*facts, owner);
        // Ollama only reads a blob, and its name says what is in it.
        let serves = file.role == Role::ModelBlob && recorded.is_none() && facts.mode & 0o004 != 0;
        if *digest == Some(file.blob) && (attributes_fit || serves) {
            return Standing::Same;
        }
        match recorded {
            Some(recorded) if *digest == Some(recorded.digest) && facts.mode == recorded.mode.bits() => {
                match self.host.others.that_have(path).first() {
                    Some(other) => Standing::InTheWay(format!("is needed by {other} as it is"), true),
                    None => Standing::OursUnchanged,
                }
            }
            Some(_) => Standing::InTheWay("was changed since it was installed".to_owned(), true),
            None if *digest == Some(file.blob) => {
                Standing::InTheWay("has the same content but another mode or owner".to_owned(), true)
            }
            None => Standing::InTheWay("exists and does not belong to this package".to_owned(), true),
        }
    }

    pub(super) fn belongs_to(&self, facts: Attributes, owner: &Owner) -> bool {
        if !self.host.sets_owners() {
            return true;
        }
        let accounts = &self.host.accounts;
        accounts.users.get(&owner.user).is_some_and(|user| user.uid == facts.uid)
            && accounts.groups.get(&owner.group) == Some(&facts.gid)
    }

    fn place(&mut self, position: usize, file: &File, replaces: Replaces, origin: Origin) {
        let size = self.shipped.size(file.blob);
        let Some(staged) = self.staged(&file.path, Staged::Fresh(position)) else {
            return self.conflict(&file.path, "has a path that is too long to stage".to_owned(), false);
        };
        let already = self.host.staged.get(&staged).copied().unwrap_or(0);
        self.need(&file.path, size.saturating_sub(already));
        self.plan.made.origins.insert(file.path.clone(), origin);
        self.plan.steps.push(Step::PlaceFile(PlaceFile {
            path: file.path.clone(),
            staged,
            file: position,
            digest: file.blob,
            size,
            mode: file.mode,
            owner: self.host.sets_owners().then(|| file.owner.clone()),
            role: file.role,
            replaces,
        }));
    }

    /// Where the old version of a file is kept until the installation is complete.
    fn backup(&mut self, position: usize, file: &File) -> RelPath {
        self.staged(&file.path, Staged::Old(position)).unwrap_or_else(|| file.path.clone())
    }

    /// A name in the staging directory on the file system of `path`.
    fn staged(&mut self, path: &RelPath, what: Staged) -> Option<RelPath> {
        let anchor = self.host.anchors.get(&path.parent())?;
        let area = state::area(anchor.directory.as_ref(), &self.index.package.name)?;
        if !self.plan.areas.contains(&area) {
            self.plan.areas.push(area.clone());
        }
        state::staged(&area, what)
    }

    pub(super) fn symbolic_links(&mut self) {
        for link in &self.index.links {
            let LinkKind::Symbolic { target } = &link.kind else { continue };
            match self.host.existing(&link.path) {
                Found::Absent | Found::Hidden => {
                    self.need(&link.path, 0);
                    self.plan.made.origins.insert(link.path.clone(), Origin::Created);
                    self.plan.steps.push(Step::MakeSymbolicLink { path: link.path.clone(), target: target.clone() });
                }
                Found::Link { target: found } if found == target => {
                    self.plan.unchanged.push(link.path.clone());
                    self.keep_origin(&link.path);
                }
                Found::Link { target: old } if self.is_our_link(&link.path, old) => {
                    let path = link.path.clone();
                    self.plan.steps.push(Step::RemoveSymbolicLink { path: path.clone(), target: old.clone() });
                    self.plan.made.origins.insert(path.clone(), Origin::Created);
                    self.plan.steps.push(Step::MakeSymbolicLink { path, target: target.clone() });
                }
                Found::File(_) if self.our_file(&link.path).is_some() => {
                    let path = link.path.clone();
                    if let Some(digest) = self.our_file(&path) {
                        self.remove_ours(&path, digest);
                    }
                    self.plan.made.origins.insert(path.clone(), Origin::Created);
                    self.plan.steps.push(Step::MakeSymbolicLink { path, target: target.clone() });
                }
                _ => self.conflict(&link.path, "is in the way of a symbolic link".to_owned(), false),
            }
        }
    }

    pub(super) fn hard_links(&mut self) {
        let hard = self.index.links.iter().filter_map(|link| match &link.kind {
            LinkKind::Hard { to } => Some((link, to)),
            LinkKind::Symbolic { .. } => None,
        });
        let hard: Vec<(&Link, &RelPath)> = hard.collect();
        let wanted: HashSet<&RelPath> = hard.iter().map(|(_, to)| *to).collect();
        let placed = self.plan.placed().filter(|place| wanted.contains(&place.path));
        let staged: HashMap<RelPath, RelPath> =
            placed.map(|place| (place.path.clone(), place.staged.clone())).collect();
        for (link, to) in hard {
            self.hard_link(link, to, staged.get(to));
        }
    }

    /// A file and its hard link are one file with two names: replacing one replaces both. `fresh` is the copy of the file
    /// that is placed anew.
    fn hard_link(&mut self, link: &Link, to: &RelPath, fresh: Option<&RelPath>) {
        let Some(file) = self.shipped.file(to) else { return };
        let path = &link.path;
        match self.standing(path, &file.owner, file) {
            Standing::Same if fresh.is_none() || self.our_file(path).is_none() => self.keep(path),
            Standing::Absent => self.make_hard_link(path, to, file, fresh),
            Standing::OurLink(target) => {
                self.plan.steps.push(Step::RemoveSymbolicLink { path: path.clone(), target });
                self.make_hard_link(path, to, file, fresh);
            }
            Standing::Same | Standing::OursUnchanged => self.relink(path, to, file, fresh, None),
            Standing::InTheWay(..) if self.our_file(path).is_some() => self.relink(path, to, file, fresh, None),
            // What stands there is kept already, under the backup's name of the file itself.
            Standing::InTheWay(..) if fresh.is_some() && self.is_one_file(path, to) => {
                self.relink(path, to, file, fresh, None);
            }
            Standing::InTheWay(problem, true) if self.options.replace => {
                if let Some((backup, digest)) = self.set_aside(path, problem) {
                    let origin = self.origin_of_replaced(path, &backup, digest);
                    self.relink(path, to, file, fresh, Some(backup));
                    self.plan.made.origins.insert(path.clone(), origin);
                }
            }
            Standing::InTheWay(problem, replaceable) => self.conflict(path, problem, replaceable),
        }
    }

    /// Makes a hard link anew in the place of a file, which is kept as `backup`, or until the installation is complete.
    fn relink(&mut self, path: &RelPath, to: &RelPath, file: &File, fresh: Option<&RelPath>, backup: Option<RelPath>) {
        let Some(digest) = self.host.entries.get(path).and_then(|existing| existing.digest) else {
            return self.conflict(path, "exists and is not the file of this package".to_owned(), false);
        };
        match backup {
            Some(backup) => self.plan.steps.push(Step::RemoveFile { path: path.clone(), digest, backup }),
            None => self.remove_ours(path, digest),
        }
        self.make_hard_link(path, to, file, fresh);
        // What stood there before any version of the package is what uninstallation puts back.
        if let first @ Origin::Replaced { .. } = self.recorded_origin(path) {
            self.plan.made.origins.insert(path.clone(), first);
        }
    }

    fn is_one_file(&self, one: &RelPath, other: &RelPath) -> bool {
        match (self.host.existing(one), self.host.existing(other)) {
            (Found::File(one), Found::File(other)) => (one.device, one.inode) == (other.device, other.inode),
            _ => false,
        }
    }

    fn make_hard_link(&mut self, path: &RelPath, to: &RelPath, file: &File, fresh: Option<&RelPath>) {
        let size = self.shipped.size(file.blob);
        self.plan.made.origins.insert(path.clone(), Origin::Created);
        let source = fresh.cloned().map_or_else(|| LinkSource::Present { seen: self.seen(to) }, LinkSource::Staged);
        self.plan.steps.push(Step::MakeHardLink { path: path.clone(), to: to.clone(), source, size });
    }
}
