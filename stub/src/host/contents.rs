//! What files hold, found out with as little reading as is safe: not what is known by its stat data, and everything else
//! once, under however many names, on all cores. Which stat data are known is for `record/` to say.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use payload::{Digest, RelPath};

use super::interrupt;
use super::root::{Attributes, Cause, FsError, Root, Stat};

/// Contents that are known by stat data.
#[derive(Debug, Clone, Default)]
pub struct Known(HashMap<Stat, Digest>);

/// What one file holds.
#[derive(Debug, Clone)]
pub struct Content {
    pub digest: Result<Digest, FsError>,
    /// By these stat data it is known from now on; `None` where they would prove nothing.
    pub stat: Option<Stat>,
}

/// What each of several files holds.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    by_inode: HashMap<(u64, u64), Content>,
    pub tally: Tally,
}

/// How many files were trusted, and how many read; a file with several names is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub trusted: Sum,
    pub read: Sum,
}

/// Files and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub files: usize,
    pub bytes: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Known {
    /// A file with these stat data has this content.
    pub fn add(&mut self, stat: Stat, digest: Digest) {
        self.0.insert(stat, digest);
    }

    /// The content of the file with these attributes.
    pub fn digest(&self, facts: &Attributes) -> Option<Digest> {
        self.0.get(&facts.stat()).copied()
    }
}

impl Contents {
    /// Finds out what these files hold, seen as they are given.
    ///
    /// # Errors
    /// Somebody asked to stop. What cannot be read is said of each file.
    pub fn find_out<'a>(
        root: &Root,
        files: impl IntoIterator<Item = (&'a RelPath, Attributes)>,
        known: &Known,
    ) -> Result<Self, FsError> {
        let mut contents = Self::default();
        let (mut unknown, mut queued) = (Vec::new(), HashSet::new());
        for (path, facts) in files {
            let inode = (facts.device, facts.inode);
            if !queued.insert(inode) {
                continue;
            }
            if let Some(digest) = known.digest(&facts) {
                contents.tally.trusted.add(facts.size);
                contents.by_inode.insert(inode, Content { digest: Ok(digest), stat: Some(facts.stat()) });
            } else {
                contents.tally.read.add(facts.size);
                unknown.push((path, facts));
            }
        }
        // The longest first: what is left in the end is short.
        unknown.sort_by_key(|(_, facts)| std::cmp::Reverse(facts.size));
        contents.by_inode.extend(read_all(root, &unknown)?);
        Ok(contents)
    }

    /// What the file with these attributes holds; `None` when it was not asked for.
    pub fn of(&self, facts: &Attributes) -> Option<&Content> {
        self.by_inode.get(&(facts.device, facts.inode))
    }
}

type Read = HashMap<(u64, u64), Content>;

fn read_all(root: &Root, files: &[(&RelPath, Attributes)]) -> Result<Read, FsError> {
    let next = AtomicUsize::new(0);
    let (read, stopped, turn) = (Mutex::new(Read::new()), Mutex::new(None), Mutex::default());
    let work = || {
        while let Some((path, facts)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let content = read_one(root, path, facts, &turn);
            if let Err(error @ FsError { cause: Cause::Interrupted, .. }) = content.digest {
                next.store(files.len(), Ordering::Relaxed);
                stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
            read.lock().unwrap_or_else(PoisonError::into_inner).insert((facts.device, facts.inode), content);
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8).min(files.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    match stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(read.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Known by its stat data from now on is only what was neither changed nor replaced while it was read.
fn read_one(root: &Root, path: &RelPath, facts: &Attributes, turn: &Mutex<()>) -> Content {
    let before = root.sure_stat(path).ok().flatten();
    let digest = root.digest_in_turn(path, turn, interrupt::requested);
    let after = root.sure_stat(path).ok().flatten();
    let stat = before.filter(|stat| *stat == facts.stat() && after == before);
    Content { digest, stat }
}
