//! The receipt of an installation in the making: what its plan makes, then what the receipt says.
//! Its fields are explained in `receipt.rs`; it is written when everything stands, in `apply/commit.rs`.

use std::collections::{BTreeMap, BTreeSet};

use payload::index::{Index, Link, LinkKind, Lookup};
use payload::{Digest, PublicKey, RelPath};

use crate::host::account::MadeAccount;
use crate::host::root::Stat;
use crate::record::choice::Choice;
use crate::record::listed::Listed;
use crate::record::receipt::{DirectoryEntry, FileEntry, LinkEntry, LinkTarget, Origin, Receipt, SignedBy};

/// What an installation makes, gathered while it is planned.
#[derive(Debug, Clone, Default)]
pub struct Made {
    pub user: Option<MadeAccount>,
    pub group: Option<MadeAccount>,
    /// Where each path of the package comes from.
    pub origins: BTreeMap<RelPath, Origin>,
    /// Of files that stay as they are: by these they are known again.
    pub stats: BTreeMap<RelPath, Stat>,
    /// Files and links of an earlier version that stay because other packages need them.
    pub for_others: BTreeSet<RelPath>,
    /// Version of the installer that is the command.
    pub command_version: Option<String>,
    /// Which optional components the machine gets.
    pub choice: Choice,
}

impl Made {
    /// What the receipt will say once everything is made. `digest` names the package, `key` vouches for it; `old` is the receipt of the version
    /// that is installed now.
    pub fn receipt(&self, index: &Index, digest: Digest, key: Option<&PublicKey>, old: Option<&Receipt>) -> Receipt {
        let shipped = &Lookup::of(index);
        Receipt {
            generation: old.map_or(0, |receipt| receipt.generation) + 1,
            package: index.package.name.clone(),
            version: index.package.version.clone(),
            index: digest,
            signed_by: key.map(|key| SignedBy { key_id: key.id().to_string(), fingerprint: key.fingerprint() }),
            stub_version: env!("CARGO_PKG_VERSION").to_owned(),
            prefix: index.install.prefix.clone(),
            account: index.install.account.clone(),
            user: self.user.clone().or_else(|| old.and_then(|receipt| receipt.user.clone())),
            group: self.group.clone().or_else(|| old.and_then(|receipt| receipt.group.clone())),
            directories: self.directories(index, shipped, old),
            files: self.files(index, shipped, old),
            command_version: self.command_version.clone(),
            links: self.links(index, old),
            units: index.units.iter().map(|unit| unit.name.clone()).collect(),
            models: index.models.iter().map(|model| model.name.clone()).collect(),
            choice: self.choice.clone(),
            made: old.map_or_else(Vec::new, |receipt| receipt.made.clone()),
        }
    }

    fn origin(&self, path: &RelPath) -> Origin {
        self.origins.get(path).cloned().unwrap_or(Origin::AlreadyPresent)
    }

    /// What an earlier version made and this one does not have is still ours: uninstallation has to find it.
    fn directories(&self, index: &Index, shipped: &Lookup<'_>, old: Option<&Receipt>) -> Listed<DirectoryEntry> {
        let entry = |path: &RelPath| DirectoryEntry { path: path.clone(), origin: self.origin(path) };
        let earlier = old.iter().flat_map(|receipt| &receipt.directories);
        let earlier = earlier.filter(|entry| entry.origin == Origin::Created && !shipped.has(&entry.path));
        index.directories.iter().map(|directory| entry(&directory.path)).chain(earlier.cloned()).collect()
    }

    fn files(&self, index: &Index, shipped: &Lookup<'_>, old: Option<&Receipt>) -> Listed<FileEntry> {
        let entry = |file: &payload::index::File| FileEntry {
            path: file.path.clone(),
            digest: file.blob,
            size: shipped.size(file.blob),
            mode: file.mode,
            owner: file.owner.clone(),
            role: file.role,
            origin: self.origin(&file.path),
            stat: self.stats.get(&file.path).copied(),
        };
        let waits = |origin: &Origin, path: &RelPath| {
            let stays = matches!(origin, Origin::Replaced { .. }) || self.for_others.contains(path);
            stays && !shipped.has(path)
        };
        let earlier = old.iter().flat_map(|receipt| &receipt.files).filter(|entry| waits(&entry.origin, &entry.path));
        // The file that a hard link was a second name of may be gone: what is left is a file of its own.
        let second_names = old.iter().flat_map(|receipt| receipt.links.iter().map(move |link| (receipt, link)));
        let second_names =
            second_names.filter(|(_, link)| waits(&link.origin, &link.path)).filter_map(|(receipt, link)| {
                let file = receipt.content(&link.path)?.clone();
                Some(FileEntry { path: link.path.clone(), origin: link.origin.clone(), stat: link.stat, ..file })
            });
        index.files.iter().map(entry).chain(earlier.cloned()).chain(second_names).collect()
    }

    fn links(&self, index: &Index, old: Option<&Receipt>) -> Listed<LinkEntry> {
        let earlier = old.iter().flat_map(|receipt| &receipt.links);
        // A second name is recorded as a file.
        let earlier = earlier
            .filter(|link| self.for_others.contains(&link.path) && matches!(link.target, LinkTarget::Symbolic(_)));
        index.links.iter().map(|link| self.link(link)).chain(earlier.cloned()).collect()
    }

    fn link(&self, link: &Link) -> LinkEntry {
        let target = match &link.kind {
            LinkKind::Hard { to } => LinkTarget::Hard(to.clone()),
            LinkKind::Symbolic { target } => LinkTarget::Symbolic(target.clone()),
        };
        let stat = self.stats.get(&link.path).copied();
        LinkEntry { path: link.path.clone(), target, origin: self.origin(&link.path), stat }
    }
}
