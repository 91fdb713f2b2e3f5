//! An index to look things up in: what it has at a path, and how large that is, without going through all of it.
//! What an index holds is in `index.rs`.

use std::collections::{HashMap, HashSet};

use super::{Blob, File, Index};
use crate::{Digest, RelPath};

/// Built once from an index, for as many questions as it has entries.
#[derive(Debug)]
pub struct Lookup<'a> {
    blobs: HashMap<Digest, &'a Blob>,
    files: HashMap<&'a RelPath, &'a File>,
    links_and_directories: HashSet<&'a RelPath>,
}

impl<'a> Lookup<'a> {
    /// Of all that is in `index`.
    pub fn of(index: &'a Index) -> Self {
        let links = index.links.iter().map(|link| &link.path);
        Self {
            blobs: index.blobs.iter().map(|blob| (blob.digest, blob)).collect(),
            files: index.files.iter().map(|file| (&file.path, file)).collect(),
            links_and_directories: links.chain(index.directories.iter().map(|directory| &directory.path)).collect(),
        }
    }

    /// The blob with this digest.
    pub fn blob(&self, digest: Digest) -> Option<&'a Blob> {
        self.blobs.get(&digest).copied()
    }

    /// Bytes of content; of what is in no index, none.
    pub fn size(&self, digest: Digest) -> u64 {
        self.blob(digest).map_or(0, |blob| blob.size)
    }

    /// The file at `path`.
    pub fn file(&self, path: &RelPath) -> Option<&'a File> {
        self.files.get(path).copied()
    }

    /// Whether anything is at `path`.
    pub fn has(&self, path: &RelPath) -> bool {
        self.files.contains_key(path) || self.links_and_directories.contains(path)
    }
}
