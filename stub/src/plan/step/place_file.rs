//! The step that puts a file in place: what it says, does and undoes.
//! How the verified copy got where it waits is in `apply/stage.rs`.

use payload::index::Role;
use payload::{Digest, Mode, Owner, RelPath};

use super::{changed_meanwhile, kept_if_there};
use crate::host::machine::{Machine, StepError, Undone};
use crate::host::root::{Attributes, Found};

/// A file that is put in place from its verified, staged copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceFile {
    pub path: RelPath,
    /// Where the verified copy waits, on the same file system.
    pub staged: RelPath,
    /// Position in the index's files.
    pub file: usize,
    pub digest: Digest,
    pub size: u64,
    pub mode: Mode,
    /// `None` where owners cannot be set: it then belongs to who runs this.
    pub owner: Option<Owner>,
    pub role: Role,
    pub replaces: Replaces,
}

/// What a file takes the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaces {
    Nothing,
    /// A file that an earlier version of the package put there: kept until the installation is complete. `seen` is what
    /// the plan saw there; a journal does not have it.
    Ours {
        backup: RelPath,
        digest: Digest,
        seen: Option<Attributes>,
    },
    /// Somebody else's file, with `--replace`: kept until uninstallation puts it back, if it is still what was set aside.
    Foreign {
        backup: RelPath,
        digest: Digest,
        seen: Option<Attributes>,
    },
}

impl PlaceFile {
    pub(super) fn describe(&self) -> String {
        let Self { path, size, mode, owner, .. } = self;
        let size = payload::size(*size);
        let owner = owner.as_ref().map_or_else(String::new, |owner| format!("{owner}, "));
        let what = if self.role == Role::Installer { "this installer, for later: " } else { "" };
        match &self.replaces {
            Replaces::Nothing => format!("place {path} ({what}{size}, {owner}mode {mode})"),
            Replaces::Ours { .. } => format!("update {path} ({what}{size}, {owner}mode {mode})"),
            Replaces::Foreign { backup, .. } => {
                format!("replace {path} ({size}, {owner}mode {mode}), keeping {backup}")
            }
        }
    }

    /// Whether one synchronisation of a directory brings the names of both to the disk.
    fn is_beside(&self, other: &Self) -> bool {
        let new = |place: &Self| place.replaces == Replaces::Nothing;
        new(self) && new(other) && self.path.parent() == other.path.parent()
    }

    /// `next` is placed right after it.
    pub(super) fn apply(&self, next: Option<&Self>, machine: &Machine) -> Result<(), StepError> {
        let owner = self.owner.as_ref().map(|owner| machine.ids(owner)).transpose()?.flatten();
        machine.root.set_attributes(&self.staged, self.mode, owner)?;
        match &self.replaces {
            Replaces::Nothing if next.is_some_and(|next| self.is_beside(next)) => {
                Ok(machine.root.link_unsynchronised(&self.staged, &self.path)?)
            }
            Replaces::Nothing => Ok(machine.root.link(&self.staged, &self.path)?),
            Replaces::Ours { backup, seen, .. } | Replaces::Foreign { backup, seen, .. } => {
                self.require_seen(seen.as_ref(), machine)?;
                machine.root.link(&self.path, backup)?;
                // rename(2) does nothing when both names are one file, so the staged name is given up for a second one.
                let fresh = machine.second_name(&self.staged)?;
                machine.root.link(&self.staged, &fresh)?;
                self.put_in_place(&fresh, backup, machine)
            }
        }
    }

    /// Only what `backup` is the second name of gives way: whatever else has the place by now gets it back.
    fn put_in_place(&self, fresh: &RelPath, backup: &RelPath, machine: &Machine) -> Result<(), StepError> {
        let root = &machine.root;
        if !root.exchange(fresh, &self.path)? {
            return Ok(root.rename(fresh, &self.path)?);
        }
        if machine.same_file(fresh, backup)? {
            return Ok(root.remove(fresh)?);
        }
        root.exchange(fresh, &self.path)?;
        root.remove(fresh)?;
        Err(changed_meanwhile(&self.path))
    }

    /// The old version of a file is thrown away in the end, and somebody else's is known by its digest later: only what
    /// the plan saw may give way.
    fn require_seen(&self, seen: Option<&Attributes>, machine: &Machine) -> Result<(), StepError> {
        let Some(seen) = seen else { return Ok(()) };
        match machine.root.look(&self.path)? {
            Found::File(facts) if facts.is_same(seen) => Ok(()),
            _ => Err(changed_meanwhile(&self.path)),
        }
    }

    pub(super) fn undo(&self, machine: &Machine) -> Result<Undone, StepError> {
        let root = &machine.root;
        match &self.replaces {
            Replaces::Nothing => {
                if self.is_ours(machine)? {
                    root.remove(&self.path)?;
                    return Ok(Undone::Clean);
                }
                Ok(kept_if_there(&self.path, root)?)
            }
            Replaces::Ours { backup, .. } => self.bring_old_version_back(backup, None, machine),
            Replaces::Foreign { backup, digest, .. } => self.bring_old_version_back(backup, Some(*digest), machine),
        }
    }

    fn bring_old_version_back(
        &self,
        backup: &RelPath,
        holds: Option<Digest>,
        machine: &Machine,
    ) -> Result<Undone, StepError> {
        let displaced = self.save_displaced(backup, machine)?;
        let undone = machine.put_back(backup, &self.path, holds, |machine| self.is_ours(machine))?;
        Ok(displaced.map_or(undone, Undone::Kept))
    }

    /// What somebody else had put there when a crash came is where the fresh copy was.
    fn save_displaced(&self, backup: &RelPath, machine: &Machine) -> Result<Option<String>, StepError> {
        let Ok(fresh) = Machine::name_of_second(&self.staged) else { return Ok(None) };
        let there = machine.root.look(&fresh)? != Found::Absent;
        if there && !machine.same_file(&fresh, &self.staged)? && !machine.same_file(&fresh, backup)? {
            let kept = machine.keep_beside(&fresh, &self.path, false)?;
            return Ok(Some(format!("what somebody else put at {} is kept as {kept}", self.path)));
        }
        machine.second_name(&self.staged)?;
        Ok(None)
    }

    /// Whether what stands at the path is the file that was placed there, with the content that it had.
    fn is_ours(&self, machine: &Machine) -> Result<bool, StepError> {
        Ok(machine.same_file(&self.path, &self.staged)? && machine.root.digest(&self.path)? == self.digest)
    }
}
