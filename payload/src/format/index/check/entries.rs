//! Paths of the index: each once, each below directories that are listed before it.
//! Where a package may put something at all is in `places.rs`; where links lead, in `links.rs`.

use std::collections::HashMap;

use super::refuse;
use crate::format::index::Index;
use crate::{PayloadError, RelPath, is_printable};

/// Directories, files and links together. A service has hundreds; every one costs a change that is brought to the disk
/// before the next, a few milliseconds each.
const MAX_ENTRIES: usize = 10_000;

/// What stands at a path of the index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Directory,
    File,
    /// A second name of a file.
    HardLink,
    SymbolicLink,
}

/// Every path of an index.
pub(super) type Entries<'a> = HashMap<&'a RelPath, Kind>;

pub(super) fn check(index: &Index) -> Result<Entries<'_>, PayloadError> {
    let count = index.directories.len() + index.files.len() + index.links.len();
    if count > MAX_ENTRIES {
        return refuse(format!(
            "it has {count} directories, files and links; more than {MAX_ENTRIES} are not installed"
        ));
    }
    let mut entries = HashMap::with_capacity(count);
    for directory in &index.directories {
        add(&mut entries, &directory.path, Kind::Directory)?;
    }
    for file in &index.files {
        add(&mut entries, &file.path, Kind::File)?;
    }
    for link in &index.links {
        let kind = if link.is_hard() { Kind::HardLink } else { Kind::SymbolicLink };
        add(&mut entries, &link.path, kind)?;
    }
    Ok(entries)
}

fn add<'a>(entries: &mut Entries<'a>, path: &'a RelPath, kind: Kind) -> Result<(), PayloadError> {
    if !is_printable(path.as_str()) {
        return refuse(format!("path {:?} contains what cannot be seen", path.as_str()));
    }
    if let Some(parent) = path.parent() {
        match entries.get(&parent) {
            Some(Kind::Directory) => {}
            Some(_) => return refuse(format!("{path} lies below {parent}, which is no directory")),
            None => return refuse(format!("{path} lies in {parent}, which is not listed before it")),
        }
    }
    match entries.insert(path, kind) {
        Some(_) => refuse(format!("{path} is listed twice")),
        None => Ok(()),
    }
}
