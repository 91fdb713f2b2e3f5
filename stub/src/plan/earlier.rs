//! What an earlier version of the package put on the machine: how it is recognised, and how it goes.
//! What the new version puts there is planned in `placing.rs`.

use payload::index::Role;
use payload::{Digest, RelPath};

use super::planner::Planner;
use crate::host::models::StoreManifest;
use crate::host::root::Found;
use crate::plan::step::Step;
use crate::record::receipt::Origin;
use crate::record::state::{self, Staged};

impl Planner<'_> {
    pub(super) fn is_our_link(&self, path: &RelPath, target: &str) -> bool {
        self.host
            .receipt
            .as_ref()
            .is_some_and(|receipt| receipt.link_target(path) == Some(target) && receipt.origin(path) == Origin::Created)
    }

    /// Whether a file that an earlier version of the package made stands there, unchanged.
    pub(super) fn our_file(&self, path: &RelPath) -> Option<Digest> {
        let receipt = self.host.receipt.as_ref()?;
        let recorded = receipt.content(path)?;
        let existing = self.host.entries.get(path)?;
        let unchanged = matches!(existing.found, Found::File(_)) && existing.digest == Some(recorded.digest);
        (unchanged && receipt.origin(path) == Origin::Created).then_some(recorded.digest)
    }

    /// Takes a file of an earlier version away.
    pub(super) fn remove_ours(&mut self, path: &RelPath, digest: Digest) {
        match self.backup_of_removed(path) {
            Some(backup) => self.plan.steps.push(Step::RemoveFile { path: path.clone(), digest, backup }),
            None => self.conflict(path, "has a path that is too long to stage".to_owned(), false),
        }
    }

    /// Whether another package needs what this one no longer has: it stays in the receipt too, until the other one goes.
    fn stays_for_others(&mut self, path: &RelPath) -> bool {
        let packages = self.host.others.that_have(path).into_iter().map(ToString::to_string);
        let models = self.host.manifests.iter().filter(|manifest| manifest.needs(path) && self.stays(manifest));
        let by: Vec<String> = packages.chain(models.map(|manifest| format!("the model {}", manifest.model))).collect();
        if by.is_empty() {
            return false;
        }
        let note = format!("{path} is no longer in the package; {} needs it, so it stays", by.join(", "));
        self.plan.notes.push(note);
        self.plan.made.for_others.insert(path.clone());
        true
    }

    /// Whether a manifest is there after the installation too: not one that goes with this package's earlier version.
    fn stays(&self, manifest: &StoreManifest) -> bool {
        self.shipped.has(&manifest.path)
            || self.our_file(&manifest.path).is_none()
            || !self.host.others.that_have(&manifest.path).is_empty()
    }

    pub(super) fn files_no_longer_shipped(&mut self) {
        let host = self.host;
        let Some(receipt) = &host.receipt else { return };
        for old in &receipt.files {
            // Whether it stays was decided in `command.rs`.
            if old.role == Role::Installer && self.index.install.command.as_ref() == Some(&old.path) {
                continue;
            }
            if self.shipped.has(&old.path) || old.origin != Origin::Created || self.stays_for_others(&old.path) {
                continue;
            }
            if let Some(digest) = self.our_file(&old.path) {
                self.remove_ours(&old.path, digest);
            } else if matches!(self.host.existing(&old.path), Found::File(_)) {
                self.plan.notes.push(format!("{} is no longer in the package; it was changed, so it stays", old.path));
            }
        }
    }

    pub(super) fn links_no_longer_shipped(&mut self) {
        let host = self.host;
        let Some(receipt) = &host.receipt else { return };
        for old in &receipt.links {
            if self.shipped.has(&old.path) || self.stays_for_others(&old.path) {
                continue;
            }
            if let Some(digest) = self.our_file(&old.path) {
                self.remove_ours(&old.path, digest);
            } else if let Found::Link { target } = host.existing(&old.path)
                && self.is_our_link(&old.path, target)
            {
                self.plan.steps.push(Step::RemoveSymbolicLink { path: old.path.clone(), target: target.clone() });
            }
        }
    }

    /// Stopped and disabled while systemd still has their unit files.
    pub(super) fn services_no_longer_shipped(&mut self) {
        let host = self.host;
        for unit in host.receipt.iter().flat_map(|receipt| &receipt.units) {
            if self.index.units.iter().any(|shipped| shipped.name == *unit)
                || !host.others.that_have_unit(unit).is_empty()
            {
                continue;
            }
            let state = host.units.get(unit).cloned().unwrap_or_default();
            if state.is_enabled() {
                self.plan.steps.insert(0, Step::DisableUnit { unit: unit.clone() });
            }
            if state.is_up() {
                self.plan.steps.insert(0, Step::StopUnit { unit: unit.clone() });
            }
        }
    }

    fn backup_of_removed(&mut self, path: &RelPath) -> Option<RelPath> {
        let package = &self.index.package.name;
        let anchor = self.host.anchors.get(&path.parent());
        let directory = anchor.map_or_else(|| path.parent(), |anchor| anchor.directory.clone());
        let area = state::area(directory.as_ref(), package)?;
        if !self.plan.areas.contains(&area) {
            self.plan.areas.push(area.clone());
        }
        self.removed += 1;
        state::staged(&area, Staged::Removed(self.removed - 1))
    }
}
