//! What exists only while a build runs: it goes when the build ends or fails, and when the program is told to stop.
//! Who tells the program, and what it then says, is the program's business (`command/interrupt.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static PATHS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Threads that still write may put something into a directory while it is removed.
const TRIES: usize = 100;

/// A file or directory that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    /// Makes it. From the moment it exists it is known to [`remove_all`].
    pub(crate) fn make<T>(create: impl FnOnce() -> io::Result<(PathBuf, T)>) -> io::Result<(Self, T)> {
        let mut paths = paths();
        let (path, made) = create()?;
        paths.insert(path.clone());
        Ok((Self { path }, made))
    }

    /// A private directory in `above`, with a name that begins with `prefix`.
    pub(crate) fn directory(above: &Path, prefix: &str) -> io::Result<Self> {
        let made = Self::make(|| {
            let directory = tempfile::Builder::new().prefix(prefix).tempdir_in(above)?;
            Ok((directory.keep(), ()))
        });
        made.map(|(unfinished, ())| unfinished)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut paths = paths();
        if paths.remove(&self.path) {
            remove(&self.path);
        }
    }
}

/// Removes everything that is unfinished; nothing new is made from then on, because the caller ends the program.
pub fn remove_all() -> impl Drop {
    let mut paths = paths();
    for path in std::mem::take(&mut *paths) {
        remove(&path);
    }
    paths
}

fn paths() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    PATHS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What cannot be removed is left: `builder cache prune` tries again.
fn remove(path: &Path) {
    for _ in 0..TRIES {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            _ => return,
        }
    }
}
