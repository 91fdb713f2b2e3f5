//! What stands where an installed package has files and links, and whether it is what the receipt says.
//! What goes because of that is decided in `plan/removal.rs`.

use std::collections::HashMap;

use payload::RelPath;

use crate::host::contents::{Contents, Known};
use crate::host::machine::Machine;
use crate::host::root::{Attributes, Found, FsError};
use crate::record::receipt::{FileEntry, LinkEntry, LinkTarget, Origin, Receipt};

/// What stands at the paths of the files and links that the package made. Read is only what the receipt does not vouch for.
pub(super) struct Standing {
    found: HashMap<RelPath, Result<Found, FsError>>,
    contents: Contents,
}

impl Standing {
    pub(super) fn look(receipt: &Receipt, machine: &Machine) -> Result<Self, FsError> {
        let mut known = Known::default();
        receipt.tell(&mut known);
        let files = receipt.files.iter().map(|file| (&file.path, Some(file)));
        let links = receipt.links.iter().map(|link| (&link.path, receipt.content(&link.path)));
        let (mut found, mut asked) = (HashMap::new(), Vec::new());
        for (path, recorded) in files.chain(links) {
            let there = machine.root.look(path);
            if let (Ok(Found::File(facts)), Some(file)) = (&there, recorded)
                && facts.size == file.size
                && receipt.origin(path) != Origin::AlreadyPresent
            {
                asked.push((path, *facts));
            }
            found.insert(path.clone(), there);
        }
        let contents = Contents::find_out(&machine.root, asked, &known)?;
        Ok(Self { found, contents })
    }

    /// What stands at `path`.
    pub(super) fn found(&self, path: &RelPath) -> Result<&Found, FsError> {
        self.found.get(path).map_or(Ok(&Found::Absent), |found| found.as_ref().map_err(Clone::clone))
    }

    pub(super) fn link_is_unchanged(&self, link: &LinkEntry, receipt: &Receipt) -> Result<bool, FsError> {
        Ok(match (&link.target, self.found(&link.path)?) {
            (_, Found::Absent) => true,
            (LinkTarget::Symbolic(target), Found::Link { target: found }) => found == target,
            (LinkTarget::Hard(to), Found::File(facts)) => match (self.found(to)?, receipt.file(to)) {
                (Found::File(other), _) if (other.device, other.inode) == (facts.device, facts.inode) => true,
                (_, Some(recorded)) => self.holds(facts, recorded)?,
                _ => false,
            },
            _ => false,
        })
    }

    pub(super) fn file_is_unchanged(&self, file: &FileEntry) -> Result<bool, FsError> {
        Ok(match self.found(&file.path)? {
            Found::Absent => true,
            Found::File(facts) => self.holds(facts, file)?,
            _ => false,
        })
    }

    fn holds(&self, facts: &Attributes, file: &FileEntry) -> Result<bool, FsError> {
        match self.contents.of(facts).map(|content| &content.digest) {
            Some(Ok(digest)) => Ok(facts.size == file.size && *digest == file.digest),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(false),
        }
    }
}
