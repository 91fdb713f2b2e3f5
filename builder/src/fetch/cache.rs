//! The content-addressed cache: `sha256/<hex>` objects, locks, and room for unfinished downloads.
//! Unfinished downloads themselves are `transfer/partial.rs`; `builder cache` is `housekeeping.rs`.

pub(crate) mod housekeeping;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;
use payload::{CHUNK_SIZE, Digest};
use serde::{Deserialize, Serialize};

use crate::digesting::{Facts, read_once};
use crate::fetch::error::SourceError;
use crate::fetch::net::retry::Cancel;
use crate::small_file;

/// How often another builder's lock is tried again.
const LOCK_POLL: Duration = Duration::from_millis(200);
/// What the directories of builds begin with; they go with their build, or with the next `prune`.
pub(crate) const WORK_PREFIX: &str = "work.";

/// A cache directory that no `prune` touches while this value lives.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    _in_use: File,
    /// Whose chunks were read by this very process.
    read: Mutex<BTreeSet<Digest>>,
    unproven: AtomicBool,
}

/// What is known of an object beside its bytes; for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Info {
    pub name: String,
    pub url: String,
}

impl Cache {
    /// Opens the cache in `dir`, which is made if it is missing.
    pub fn open(dir: &Path) -> Result<Self, SourceError> {
        for sub in ["sha256", "info", "chunks", "partial", "locks"] {
            let path = dir.join(sub);
            fs::create_dir_all(&path).map_err(SourceError::disk("create the cache directory", path))?;
        }
        let in_use = lock_file(&dir.join("in-use.lock"))?;
        in_use.lock_shared().map_err(SourceError::disk("lock the cache", dir))?;
        let (read, unproven) = (Mutex::default(), AtomicBool::default());
        Ok(Self { dir: dir.to_owned(), _in_use: in_use, read, unproven })
    }

    /// Where the object with this digest is, or would be.
    pub(crate) fn object(&self, digest: Digest) -> PathBuf {
        self.dir.join("sha256").join(digest.hex())
    }

    /// Where an unfinished download's files are, without extension.
    pub(crate) fn partial(&self, key: Digest) -> PathBuf {
        self.dir.join("partial").join(key.hex())
    }

    /// The directory itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The object's path and size if it is here and its bytes, read now, have its digest. Anything else of that name
    /// is removed. `seen` is told how many bytes have been read.
    pub(crate) fn verified(&self, digest: Digest, seen: &dyn Fn(u64)) -> Result<Option<(PathBuf, u64)>, SourceError> {
        let path = self.object(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SourceError::disk("open", path)(error)),
        };
        let Facts { digest: found, chunks, length: size } =
            hash(&file, seen).map_err(SourceError::disk("read", &path))?;
        if found == digest {
            self.remember_chunks(digest, &chunks);
            // Tells `prune` when the object was last useful; nothing else depends on it.
            let _ = futimens(&file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW);
            return Ok(Some((path, size)));
        }
        fs::remove_file(&path).map_err(SourceError::disk("remove the damaged", path))?;
        Ok(None)
    }

    /// Whether an object of this digest is here; its bytes are not looked at.
    pub(crate) fn has(&self, digest: Digest) -> bool {
        self.object(digest).is_file()
    }

    /// The object's path and size if it is here and may have the digest: its bytes are compared when they are packed.
    pub(crate) fn unread(&self, digest: Digest) -> Option<(PathBuf, u64)> {
        let path = self.object(digest);
        let file = File::open(&path).ok()?;
        let size = file.metadata().ok()?.len();
        let _ = futimens(&file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW);
        Some((path, size))
    }

    /// The digests of the chunks of content that was read before. Nothing proves them but reading it again.
    pub(crate) fn chunks(&self, digest: Digest, size: u64) -> Option<Vec<Digest>> {
        if size <= CHUNK_SIZE {
            return Some((size > 0).then_some(digest).into_iter().collect());
        }
        let text = small_file::read_text(&self.chunk_list(digest), small_file::BY_PROGRAMS).ok()?;
        let chunks: Vec<Digest> = text.lines().map(str::parse).collect::<Result<_, _>>().ok()?;
        if chunks.len() as u64 != size.div_ceil(CHUNK_SIZE) {
            return None;
        }
        if !self.read.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest) {
            self.note_unproven();
        }
        Some(chunks)
    }

    /// Remembers them; nothing but time depends on that.
    pub(crate) fn remember_chunks(&self, digest: Digest, chunks: &[Digest]) {
        if chunks.len() > 1 {
            let lines: Vec<String> = chunks.iter().map(|chunk| format!("{}\n", chunk.hex())).collect();
            let _ = fs::write(self.chunk_list(digest), lines.concat());
            self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
        }
    }

    /// Forgets all of them, because one was wrong.
    pub(crate) fn forget_chunks(&self) {
        for list in fs::read_dir(self.dir.join("chunks")).into_iter().flatten().flatten() {
            let _ = fs::remove_file(list.path());
        }
    }

    /// Something is taken for what it is said to be, until it is packed.
    pub(crate) fn note_unproven(&self) {
        self.unproven.store(true, Ordering::Relaxed);
    }

    /// Whether something was.
    pub(crate) fn unproven(&self) -> bool {
        self.unproven.load(Ordering::Relaxed)
    }

    fn chunk_list(&self, digest: Digest) -> PathBuf {
        self.dir.join("chunks").join(digest.hex())
    }

    /// Waits until no other builder works on `key`; `None` when cancelled. `waiting` is called once if it must wait.
    pub(crate) fn lock(&self, key: Digest, cancel: &Cancel, waiting: &dyn Fn()) -> Result<Option<File>, SourceError> {
        let path = self.dir.join("locks").join(key.hex());
        let file = lock_file(&path)?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(error)) => return Err(SourceError::disk("lock", path)(error)),
                Err(TryLockError::WouldBlock) if cancel.wait(LOCK_POLL) => return Ok(None),
                Err(TryLockError::WouldBlock) if told => {}
                Err(TryLockError::WouldBlock) => {
                    told = true;
                    waiting();
                }
            }
        }
    }

    /// Makes the complete and verified file `from`, which is in this cache, the object `digest`.
    pub(crate) fn adopt(&self, from: &Path, digest: Digest, info: &Info) -> Result<PathBuf, SourceError> {
        let to = self.object(digest);
        File::open(from).and_then(|file| file.sync_all()).map_err(SourceError::disk("write", from))?;
        if let Ok(text) = serde_json::to_vec(info) {
            // Only `cache list` reads it.
            let _ = fs::write(self.dir.join("info").join(digest.hex()), text);
        }
        fs::rename(from, &to).map_err(SourceError::disk("move the download to", &to))?;
        Ok(to)
    }

    /// Stores small content that is already in memory.
    pub(crate) fn store(&self, bytes: &[u8], info: &Info) -> Result<PathBuf, SourceError> {
        let partial = self.dir.join("partial");
        let fail = || SourceError::disk("write to", &partial);
        let mut file = tempfile::NamedTempFile::new_in(&partial).map_err(fail())?;
        std::io::Write::write_all(&mut file, bytes).map_err(fail())?;
        let (_, path) = file.keep().map_err(|error| fail()(error.error))?;
        self.adopt(&path, Digest::of(bytes), info)
    }
}

fn lock_file(path: &Path) -> Result<File, SourceError> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    options.open(path).map_err(SourceError::disk("open the lock", path))
}

/// Reads to the end.
pub(crate) fn hash(from: impl Read, seen: &dyn Fn(u64)) -> std::io::Result<Facts> {
    read_once(from, &mut |length| seen(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> Info {
        Info { name: "n".to_owned(), url: "https://example.org/n".to_owned() }
    }

    #[test]
    fn an_object_is_checked_when_read_and_a_bad_one_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let path = cache.store(b"content", &info()).unwrap();
        let digest = Digest::of(b"content");
        assert_eq!(cache.verified(digest, &|_| ()).unwrap(), Some((path.clone(), 7)));
        fs::write(&path, b"c0ntent").unwrap();
        assert_eq!(cache.verified(digest, &|_| ()).unwrap(), None);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_builder_waits_for_the_first_ones_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (Cache::open(dir.path()).unwrap(), Cache::open(dir.path()).unwrap());
        let key = Digest::of(b"k");
        let cancel = Cancel::default();
        let held = first.lock(key, &cancel, &|| ()).unwrap();
        let waited = std::cell::Cell::new(false);
        std::thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::channel();
            scope.spawn(move || {
                receiver.recv().unwrap();
                drop(held);
            });
            let lock = second.lock(key, &cancel, &|| {
                waited.set(true);
                sender.send(()).unwrap();
            });
            assert!(lock.unwrap().is_some());
        });
        assert!(waited.get());
    }
}
