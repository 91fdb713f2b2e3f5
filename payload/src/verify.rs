//! Compares a `.run` file with its index: every byte of it, and the content that the bytes stand for.
//! Opening a file, and reading one part of it, is in `read.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::format::index::Encoding;
use crate::format::layout::Region;
use crate::{Digest, Hasher, InOrder, Package, PayloadError, Watch};

/// What one thread compares at a time.
enum Task<'a> {
    Region(u64, &'a Region),
    /// A blob, counted among those that are compared, and one of its chunks.
    Chunk(usize, usize),
}

/// A blob that is stored as it is: its chunks come from several threads, its digest is one.
struct RawBlob {
    position: usize,
    content: InOrder,
}

impl Package {
    /// Compares every byte of the file with the index, and every blob with the digest of its content, on `workers` threads.
    ///
    /// # Errors
    /// [`PayloadError::Damaged`] names the first damaged region that was found.
    pub fn verify(&self, workers: usize, watch: Watch<'_>) -> Result<(), PayloadError> {
        if workers <= 1 {
            return self.verify_in_order(watch);
        }
        self.verify_blobs(|_| true, workers, watch)
    }

    /// The same from the first byte to the last, each medium once.
    fn verify_in_order(&self, watch: Watch<'_>) -> Result<(), PayloadError> {
        let mut buffer = Vec::new();
        for (offset, region) in self.regions() {
            watch.go_on()?;
            let Region::Blob(position) = region else {
                self.check(offset, region)?;
                continue;
            };
            let Some(blob) = self.index().blobs.get(*position) else { continue };
            if blob.encoding == Encoding::Xz {
                self.decode(*position, 1, watch, |_| Ok::<(), PayloadError>(()))?;
                continue;
            }
            let mut hasher = Hasher::default();
            for chunk in 0..self.chunk_count(*position) {
                watch.go_on()?;
                self.read_chunk(*position, chunk, &mut buffer)?;
                hasher.update(&buffer);
                (watch.progress)(buffer.len() as u64);
            }
            blob.check_content(Some(hasher.finish()))?;
        }
        Ok(())
    }

    /// Compares everything that is no blob, as far as it lies in volumes that are here, and the blobs that are `wanted`: what
    /// is left is compared when it is read.
    ///
    /// # Errors
    /// [`PayloadError::Damaged`] names the first damaged region that was found.
    pub fn verify_blobs(
        &self,
        wanted: impl Fn(Digest) -> bool,
        workers: usize,
        watch: Watch<'_>,
    ) -> Result<(), PayloadError> {
        let (mut tasks, mut raw, mut compressed) = (Vec::new(), Vec::new(), Vec::new());
        for (offset, region) in self.regions() {
            match region {
                Region::Blob(position) => match self.index().blobs.get(*position) {
                    Some(blob) if !wanted(blob.digest) => {}
                    Some(blob) if blob.encoding == Encoding::Xz => compressed.push(*position),
                    _ => {
                        tasks.extend((0..self.chunk_count(*position)).map(|chunk| Task::Chunk(raw.len(), chunk)));
                        raw.push(RawBlob { position: *position, content: InOrder::default() });
                    }
                },
                other if self.parts().is_here(offset) => tasks.push(Task::Region(offset, other)),
                _ => {}
            }
        }
        self.compare(&tasks, &raw, workers, watch)?;
        for blob in raw {
            self.compare_content(blob)?;
        }
        // One after another: each is decoded on all workers.
        compressed.into_iter().try_for_each(|position| self.decode(position, workers, watch, |_| Ok(())))
    }

    fn compare(
        &self,
        tasks: &[Task<'_>],
        raw: &[RawBlob],
        workers: usize,
        watch: Watch<'_>,
    ) -> Result<(), PayloadError> {
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let work = || -> Result<(), PayloadError> {
            let mut buffer = Vec::new();
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                watch.go_on()?;
                match task {
                    Task::Region(offset, region) => self.check(*offset, region)?,
                    Task::Chunk(blob, chunk) => {
                        self.read_chunk(raw[*blob].position, *chunk, &mut buffer)?;
                        raw[*blob].content.add(*chunk, &buffer);
                        (watch.progress)(buffer.len() as u64);
                    }
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            for _ in 0..workers.max(1) {
                scope.spawn(|| {
                    if let Err(error) = work() {
                        next.store(tasks.len(), Ordering::Relaxed);
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        for blob in raw {
                            blob.content.abandon();
                        }
                    }
                });
            }
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn compare_content(&self, blob: RawBlob) -> Result<(), PayloadError> {
        let Some(facts) = self.index().blobs.get(blob.position) else { return Ok(()) };
        facts.check_content(blob.content.finish(facts.chunks.len()))
    }
}
