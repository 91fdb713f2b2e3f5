//! Names beside another file: of what it was before, and of what it is about to become.
//! Names of the installer's own files are in `record/state.rs`.

use payload::RelPath;
use payload::names::BACKUP_SUFFIX;

use super::root::{Found, FsError, Root};

/// What a small file is called, behind its own name, until all of it is written.
pub const UNWRITTEN: &str = ".new";

/// Where something is for the moment in which it is looked at once more before it is removed. `None` for a name that is too
/// long for that.
pub fn aside(path: &RelPath) -> Option<RelPath> {
    format!("{}{BACKUP_SUFFIX}.going", path.as_str()).parse().ok()
}

/// Names for a file that is kept while another has its place: `….airgap-deploy-backup`, then with `.2` to `.99`.
pub fn backups(path: &RelPath) -> impl Iterator<Item = RelPath> {
    let first = format!("{}{BACKUP_SUFFIX}", path.as_str());
    let more = (2..100).map({
        let first = first.clone();
        move |number| format!("{first}.{number}")
    });
    std::iter::once(first).chain(more).map_while(|name| name.parse().ok())
}

/// The first name for a backup that is free.
///
/// # Errors
/// The directory cannot be read.
pub fn free_backup(root: &Root, path: &RelPath) -> Result<Option<RelPath>, FsError> {
    for backup in backups(path) {
        if root.look(&backup)? == Found::Absent {
            return Ok(Some(backup));
        }
    }
    Ok(None)
}
