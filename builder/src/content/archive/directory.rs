//! Reading a directory that is already unpacked: its files stay where they are.
//! The checks are those of archives, in `members.rs`.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use payload::{Hasher, RelPath, printable};
use walkdir::{DirEntry, WalkDir};

use crate::content::error::ContentError;

use super::OnDisk;
use super::members::{Member, Members, Sink};

/// Reads everything below `root`; links are not followed.
pub(super) fn walk(root: &Path, mut sink: Sink<'_>) -> Result<Members, ContentError> {
    for entry in WalkDir::new(root).min_depth(1).follow_root_links(true).sort_by_file_name() {
        let entry = entry.map_err(|error| ContentError::io("read the directory", root)(error.into()))?;
        let inner = entry.path().strip_prefix(root).unwrap_or(entry.path());
        if let Some(path) = sink.path(inner.as_os_str().as_bytes())? {
            take(&entry, path, &mut sink)?;
        }
    }
    sink.finish()
}

fn take(entry: &DirEntry, path: RelPath, sink: &mut Sink<'_>) -> Result<(), ContentError> {
    let kind = entry.file_type();
    if kind.is_dir() {
        return sink.directory(path);
    }
    if kind.is_symlink() {
        let target = fs::read_link(entry.path()).map_err(ContentError::io("read the link", entry.path()))?;
        let target = target.to_str().filter(|text| *text == printable(text)).map(str::to_owned);
        let target = target.ok_or_else(|| sink.refused(format!("the target of link {path} is no printable text")))?;
        return sink.add(path, Member::SymbolicLink { target });
    }
    if !kind.is_file() {
        return Err(sink.refused(format!("{:?} is a device, pipe or socket", path.as_str())));
    }
    let (content, facts) = hash(entry.path()).map_err(ContentError::io("read", entry.path()))?;
    sink.count(content.size)?;
    let mode = facts.permissions().mode() & 0o7777;
    sink.check_mode(&path, mode)?;
    sink.add(path, Member::File { content, executable: mode & 0o111 != 0 })
}

fn hash(path: &Path) -> io::Result<(OnDisk, Metadata)> {
    let mut file = File::open(path)?;
    let facts = file.metadata()?;
    let mut hasher = Hasher::default();
    let size = io::copy(&mut file, &mut hasher)?;
    Ok((OnDisk { path: path.to_owned(), size, digest: hasher.finish() }, facts))
}
