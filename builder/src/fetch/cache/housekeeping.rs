//! `builder cache list` and `builder cache prune`.
//! Storing and reading objects is `cache.rs`.

use std::fs::{self, DirEntry, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use payload::Digest;

use crate::fetch::cache::{Info, WORK_PREFIX};
use crate::fetch::error::SourceError;
use crate::small_file;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is removed from the cache.
#[derive(Debug, Clone, Copy)]
pub enum Prune {
    Everything,
    /// What no build has used for so many days.
    UnusedFor(u32),
}

/// One thing in the cache.
#[derive(Debug, Clone)]
pub struct CacheEntry {
    pub kind: EntryKind,
    /// In bytes.
    pub size: u64,
    pub last_used: SystemTime,
    paths: Vec<PathBuf>,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A complete file; name and URL of the fetch that brought it, where known.
    Object { digest: Digest, name: Option<String>, url: Option<String> },
    /// A download that did not finish; a build would continue it.
    Unfinished,
}

/// What `prune` did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CacheReport {
    pub removed: usize,
    /// In bytes.
    pub freed: u64,
    pub kept: usize,
}

/// Why the cache was left alone.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("another builder is using the cache {}; nothing was removed", .0.display())]
    InUse(PathBuf),
    #[error(transparent)]
    Disk(#[from] SourceError),
}

impl CacheError {
    /// The program's exit code for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InUse(_) => 44,
            Self::Disk(error) => error.exit_code(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::InUse(_) => "run the command again when the build has ended".to_owned(),
            Self::Disk(error) => error.hint(),
        }
    }
}

/// What the cache in `dir` holds, largest first. A directory that is not there holds nothing.
pub fn cache_list(dir: &Path) -> Result<Vec<CacheEntry>, SourceError> {
    let mut entries = Vec::new();
    for file in files(&dir.join("sha256"))? {
        let Ok(digest) = file.file_name().to_string_lossy().parse::<Digest>() else { continue };
        let info_path = dir.join("info").join(digest.hex());
        let info: Option<Info> = small_file::read(&info_path, small_file::BY_PROGRAMS)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let (name, url) = info.map(|info| (info.name, info.url)).unzip();
        let kind = EntryKind::Object { digest, name, url };
        entries.extend(entry(kind, vec![file.path(), info_path]));
    }
    for file in files(&dir.join("partial"))? {
        let path = file.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            let sidecar = path.with_extension("json");
            entries.extend(entry(EntryKind::Unfinished, vec![path, sidecar]));
        }
    }
    entries.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.paths.cmp(&b.paths)));
    Ok(entries)
}

fn entry(kind: EntryKind, paths: Vec<PathBuf>) -> Option<CacheEntry> {
    // What another builder finished or removed in between is not listed.
    let metadata = fs::metadata(paths.first()?).ok()?;
    let last_used = metadata.modified().ok()?;
    Some(CacheEntry { kind, size: metadata.len(), last_used, paths })
}

fn files(dir: &Path) -> Result<Vec<DirEntry>, SourceError> {
    let read = match fs::read_dir(dir) {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SourceError::disk("list", dir)(error)),
    };
    read.collect::<Result<_, _>>().map_err(SourceError::disk("list", dir))
}

/// Removes from the cache, as of `now`. Refuses while a builder uses the cache.
pub fn cache_prune(dir: &Path, what: Prune, now: SystemTime) -> Result<CacheReport, CacheError> {
    if !dir.is_dir() {
        return Ok(CacheReport::default());
    }
    let path = dir.join("in-use.lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let lock = open.map_err(SourceError::disk("open the lock", &path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(CacheError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => return Err(SourceError::disk("lock", path)(error).into()),
    }
    let goes = |last_used| match what {
        Prune::Everything => true,
        Prune::UnusedFor(days) => {
            last_used < now.checked_sub(DAY.saturating_mul(days)).unwrap_or(SystemTime::UNIX_EPOCH)
        }
    };
    let mut report = CacheReport::default();
    // No build runs: whatever they left was left by a crash.
    for left in files(dir)?.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with(WORK_PREFIX)) {
        report.freed += size_below(&left.path())?;
        report.removed += 1;
        fs::remove_dir_all(left.path()).map_err(SourceError::disk("remove", left.path()))?;
    }
    for entry in cache_list(dir)? {
        if goes(entry.last_used) {
            remove(&entry.paths)?;
            report.removed += 1;
            report.freed += entry.size;
        } else {
            report.kept += 1;
        }
    }
    // They cost nothing but another reading.
    let lists = files(&dir.join("chunks"))?;
    let old = |list: &&DirEntry| list.metadata().and_then(|facts| facts.modified()).is_ok_and(goes);
    remove(&lists.iter().filter(old).map(DirEntry::path).collect::<Vec<_>>())?;
    let locks: Vec<_> = files(&dir.join("locks"))?.iter().map(DirEntry::path).collect();
    remove(&locks)?;
    Ok(report)
}

/// In bytes.
fn size_below(directory: &Path) -> Result<u64, SourceError> {
    let mut size = 0;
    for entry in files(directory)? {
        let facts = entry.metadata().map_err(SourceError::disk("look at", entry.path()))?;
        size += if facts.is_dir() { size_below(&entry.path())? } else { facts.len() };
    }
    Ok(size)
}

fn remove(paths: &[PathBuf]) -> Result<(), SourceError> {
    for path in paths {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SourceError::disk("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::cache::Cache;

    fn filled(dir: &Path) -> Cache {
        let cache = Cache::open(dir).unwrap();
        let info = Info { name: "tool".to_owned(), url: "https://example.org/tool".to_owned() };
        cache.store(b"content", &info).unwrap();
        fs::write(dir.join("partial/ab.part"), b"par").unwrap();
        fs::write(dir.join("partial/ab.json"), b"{}").unwrap();
        cache
    }

    #[test]
    fn list_names_objects_and_unfinished_downloads() {
        let dir = tempfile::tempdir().unwrap();
        let _cache = filled(dir.path());
        let entries = cache_list(dir.path()).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.size).collect::<Vec<_>>(), [7, 3]);
        let EntryKind::Object { digest, name, .. } = &entries[0].kind else { panic!("{entries:?}") };
        assert_eq!((digest, name.as_deref()), (&Digest::of(b"content"), Some("tool")));
        assert_eq!(entries[1].kind, EntryKind::Unfinished);
    }

    #[test]
    fn prune_removes_what_a_killed_build_left() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("work.abc/0")).unwrap();
        fs::write(dir.path().join("work.abc/0/blob"), b"12345").unwrap();
        let report = cache_prune(dir.path(), Prune::UnusedFor(30), SystemTime::now()).unwrap();
        assert_eq!(report, CacheReport { removed: 1, freed: 5, kept: 0 });
        assert!(!dir.path().join("work.abc").exists());
    }

    #[test]
    fn prune_keeps_what_was_used_lately_and_waits_for_builders() {
        let dir = tempfile::tempdir().unwrap();
        let cache = filled(dir.path());
        let month = Prune::UnusedFor(30);
        let now = SystemTime::now();
        assert!(matches!(cache_prune(dir.path(), month, now), Err(CacheError::InUse(_))));
        drop(cache);
        let report = cache_prune(dir.path(), month, now + DAY).unwrap();
        assert_eq!(report, CacheReport { removed: 0, freed: 0, kept: 2 });
        let report = cache_prune(dir.path(), month, now + DAY * 31).unwrap();
        assert_eq!(report, CacheReport { removed: 2, freed: 10, kept: 0 });
        assert!(cache_list(dir.path()).unwrap().is_empty());
        assert!(!dir.path().join("partial/ab.json").exists());
    }
}
