//! Other packages that are installed below the same root: what they need of one that goes, and how it becomes theirs.
//! What goes and what stays is decided in `plan/removal.rs` and `plan/earlier.rs`.

use std::collections::BTreeMap;

use payload::index::{PackageName, Role};
use payload::names::STATE_DIRECTORY;
use payload::{AccountName, Owner, RelPath};

use crate::host::account::MadeAccount;
use crate::host::contents::Known;
use crate::host::models;
use crate::host::root::{Found, FsError, Root};
use crate::record::receipt::{Origin, Receipt};
use crate::record::state::{self, StateError};

/// The receipts of all other packages.
#[derive(Debug, Clone, Default)]
pub struct Others {
    receipts: Vec<Receipt>,
    /// What was left of packages that are not installed any more.
    leftovers: Vec<Receipt>,
    /// Whose installation was interrupted.
    pub unfinished: Vec<PackageName>,
}

impl Others {
    /// Reads what is known about every package but `package`.
    ///
    /// # Errors
    /// [`StateError`] when a receipt cannot be read: then nobody can say what that package needs.
    pub fn read(root: &Root, package: &PackageName) -> Result<Self, StateError> {
        let mut others = Self::default();
        for name in package_names(root)?.into_iter().filter(|name| name != package) {
            if root.look(&state::journal(&name))? != Found::Absent {
                others.unfinished.push(name.clone());
            }
            match state::read_receipt(root, &name)? {
                Some(receipt) => others.receipts.push(receipt),
                None => others.leftovers.extend(state::read_leftovers(root, &name)?),
            }
        }
        Ok(others)
    }

    /// The packages of these receipts.
    #[cfg(test)]
    pub fn of(receipts: Vec<Receipt>) -> Self {
        Self { receipts, ..Self::default() }
    }

    /// Adds the contents that their receipts vouch for.
    pub fn tell(&self, known: &mut Known) {
        self.receipts.iter().for_each(|receipt| receipt.tell(known));
    }

    /// The packages that have something at `path`, or of which something is left there.
    pub fn that_have(&self, path: &RelPath) -> Vec<&PackageName> {
        self.that(|receipt| receipt.has(path))
    }

    /// Their receipts, of those that have the installer's command at `path`.
    pub fn that_share_command(&self, path: &RelPath) -> impl Iterator<Item = &Receipt> {
        self.receipts.iter().filter(move |receipt| receipt.has_command(path))
    }

    /// `receipt` as it has to be read: a command that another package brought up to date since is still the one of this package.
    pub fn with_shared_command(&self, mut receipt: Receipt) -> Receipt {
        self.receipts.iter().for_each(|other| receipt.adopt_command(other));
        receipt
    }

    /// The packages whose services run as this user, or that have files of it.
    pub fn that_use_user(&self, user: &AccountName) -> Vec<&PackageName> {
        self.that(|receipt| {
            receipt.account.as_ref().is_some_and(|account| account.user == *user)
                || receipt.files.iter().any(|file| file.owner.user == *user)
        })
    }

    /// The packages whose services run with this group, or that have files of it.
    pub fn that_use_group(&self, group: &AccountName) -> Vec<&PackageName> {
        self.that(|receipt| {
            receipt.account.as_ref().is_some_and(|account| account.group == *group)
                || receipt.files.iter().any(|file| file.owner.group == *group)
        })
    }

    /// The packages that have this unit.
    pub fn that_have_unit(&self, unit: &str) -> Vec<&PackageName> {
        self.that(|receipt| receipt.units.iter().any(|name| name == unit))
    }

    /// The packages that brought a program and models, with the store of these and its owner.
    pub fn with_ollama(&self) -> Vec<(&PackageName, RelPath, Owner)> {
        let stores = self.receipts.iter().filter_map(|receipt| {
            let has_programs = receipt.files.iter().any(|file| file.role == Role::Program);
            let manifest = receipt.files.iter().find(|file| file.role == Role::ModelManifest)?;
            let store = models::store_of(&manifest.path).filter(|_| has_programs)?;
            Some((&receipt.package, store, receipt.account.clone().unwrap_or_else(Owner::root)))
        });
        stores.collect()
    }

    fn that(&self, needs: impl Fn(&Receipt) -> bool) -> Vec<&PackageName> {
        let known = self.receipts.iter().chain(&self.leftovers);
        known.filter(|receipt| needs(receipt)).map(|receipt| &receipt.package).collect()
    }

    /// The receipts of the others that change when `leaving` goes: what it made and they need becomes theirs, so that the
    /// last one to go takes it along. Empty when that was done already.
    pub fn heirs(&self, leaving: &Receipt) -> Vec<Receipt> {
        let heirs = self.receipts.iter().map(|receipt| (receipt, self.inherited(receipt, leaving)));
        heirs.filter(|(before, after)| *before != after).map(|(_, after)| after).collect()
    }

    fn inherited(&self, heir: &Receipt, leaving: &Receipt) -> Receipt {
        let mut after = heir.clone();
        after.adopt_command(leaving);
        let origins: BTreeMap<&RelPath, &Origin> = leaving.made_by_it().collect();
        let directories = after.directories.iter_mut().map(|entry| (&entry.path, &mut entry.origin));
        let files = after.files.iter_mut().map(|entry| (&entry.path, &mut entry.origin));
        let links = after.links.iter_mut().map(|entry| (&entry.path, &mut entry.origin));
        for (path, origin) in directories.chain(files).chain(links) {
            if let (Origin::AlreadyPresent, Some(made)) = (&*origin, origins.get(path)) {
                *origin = (*made).clone();
            }
        }
        let is_used = |made: &&MadeAccount| self.that_use_user(&made.name).contains(&&heir.package);
        after.user = after.user.or_else(|| leaving.user.as_ref().filter(is_used).cloned());
        let is_used = |made: &&MadeAccount| self.that_use_group(&made.name).contains(&&heir.package);
        after.group = after.group.or_else(|| leaving.group.as_ref().filter(is_used).cloned());
        let directory = state::directory(&heir.package);
        let above = leaving.made.iter().filter(|path| directory.starts_with(path) && !heir.made.contains(path));
        after.made = above.cloned().chain(heir.made.iter().cloned()).collect();
        after
    }
}

/// The packages that have a directory of the installer's own.
///
/// # Errors
/// It cannot be read.
pub fn package_names(root: &Root) -> Result<Vec<PackageName>, FsError> {
    let Ok(above) = STATE_DIRECTORY.parse::<RelPath>() else { return Ok(Vec::new()) };
    Ok(root.names(&above)?.iter().filter_map(|name| name.parse().ok()).collect())
}
