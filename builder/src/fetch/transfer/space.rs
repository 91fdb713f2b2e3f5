//! Free space on the cache's file system, shared among the downloads that are under way.
//! What to do when there is not enough is decided by `transfer.rs`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Tells the bytes that may still be written on the file system of a directory.
pub type SpaceProbe = Arc<dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync>;

/// Asks the kernel.
pub fn free_space(dir: &Path) -> std::io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(dir)?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// Free space, less what downloads under way will still write.
pub(crate) struct Space {
    dir: PathBuf,
    probe: SpaceProbe,
    promised: Mutex<u64>,
}

/// Bytes that one download will still write.
pub(crate) struct Promise<'a> {
    space: &'a Space,
    left: u64,
}

impl Space {
    /// The space of the file system that holds `dir`.
    pub(crate) fn new(dir: &Path, probe: SpaceProbe) -> Self {
        Self { dir: dir.to_owned(), probe, promised: Mutex::new(0) }
    }

    /// Sets `needed` bytes aside, or tells how many there are.
    pub(crate) fn promise(&self, needed: u64) -> Result<Promise<'_>, u64> {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        // A file system that does not tell is no reason to refuse; writing will fail if it is full.
        let free = (self.probe)(&self.dir).unwrap_or(u64::MAX);
        let available = free.saturating_sub(*promised);
        if needed > available {
            return Err(available);
        }
        *promised += needed;
        Ok(Promise { space: self, left: needed })
    }
}

impl Promise<'_> {
    /// Says that `bytes` of it have been written.
    pub(crate) fn written(&mut self, bytes: u64) {
        let now = bytes.min(self.left);
        self.left -= now;
        let mut promised = self.space.promised.lock().unwrap_or_else(PoisonError::into_inner);
        *promised -= now;
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.written(self.left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_downloads_do_not_count_the_same_space() {
        let space = Space::new(Path::new("/"), Arc::new(|_| Ok(100)));
        let mut first = space.promise(60).unwrap();
        assert_eq!(space.promise(60).err(), Some(40));
        first.written(30);
        assert!(space.promise(60).is_ok());
        drop(first);
        assert!(space.promise(100).is_ok());
    }

    #[test]
    fn the_kernel_tells_the_free_space() {
        assert!(free_space(Path::new("/")).is_ok());
        assert!(free_space(Path::new("/does/not/exist")).is_err());
    }
}
