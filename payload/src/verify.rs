//! Compares a `.run` file with its index: every byte of it, and the content that the bytes stand for.
//! Opening a file, and reading one part of it, is in `read.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::damage::Damage;
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
    /// Not all of it was read, or not all of it is right.
    given_up: AtomicBool,
}

impl RawBlob {
    fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.content.abandon();
    }
}

impl Package {
    /// Compares every byte of the file with the index, and every blob with the digest of its content, on `workers` threads.
    ///
    /// # Errors
    /// [`PayloadError::Damaged`] names the first damaged region that was found; [`PayloadError::Missing`] and
    /// [`PayloadError::Volume`], or [`PayloadError::Volumes`] of several, every volume that is not there or damaged.
    pub fn verify(&self, workers: usize, watch: Watch<'_>) -> Result<(), PayloadError> {
        let damage = Damage::of(self.parts());
        // Whoever is asked brings one after the other.
        if !self.parts().asks() {
            self.parts().require_all().or_else(|error| damage.note(error))?;
        }
        if workers <= 1 {
            self.verify_in_order(&damage, watch)?;
        } else {
            self.compare_blobs(|_| true, workers, &damage, watch)?;
        }
        damage.end()
    }

    /// The same from the first byte to the last, each medium once.
    fn verify_in_order(&self, damage: &Damage<'_>, watch: Watch<'_>) -> Result<(), PayloadError> {
        for (offset, region) in self.regions() {
            watch.go_on()?;
            let outcome = match region {
                Region::Blob(position) => self.verify_blob_in_order(*position, damage, watch),
                region => self.check(offset, region),
            };
            outcome.or_else(|error| damage.note(error))?;
        }
        Ok(())
    }

    fn verify_blob_in_order(&self, position: usize, damage: &Damage<'_>, watch: Watch<'_>) -> Result<(), PayloadError> {
        let Some(blob) = self.index().blobs.get(position) else { return Ok(()) };
        if blob.encoding == Encoding::Xz {
            return self.verify_compressed(position, 1, damage, watch);
        }
        let (mut hasher, mut buffer, mut whole) = (Hasher::default(), Vec::new(), true);
        for chunk in 0..self.chunk_count(position) {
            watch.go_on()?;
            if self.compare_chunk(position, chunk, &mut buffer, damage, ())? {
                hasher.update(&buffer);
            } else {
                whole = false;
            }
            (watch.progress)(buffer.len() as u64);
        }
        if whole { blob.check_content(Some(hasher.finish())) } else { Ok(()) }
    }

    /// Reads a chunk, unless it lies in a volume that is bad anyway; whether it is right.
    fn compare_chunk(
        &self,
        blob: usize,
        chunk: usize,
        buffer: &mut Vec<u8>,
        damage: &Damage<'_>,
        turn: impl Sized,
    ) -> Result<bool, PayloadError> {
        if self.chunk_volumes(blob, chunk).is_some_and(|volumes| damage.is_in(volumes)) {
            buffer.clear();
            return Ok(false);
        }
        match self.read_chunk_in_turn(blob, chunk, buffer, turn) {
            Ok(()) => Ok(true),
            Err(error) => damage.note(error).map(|()| false),
        }
    }

    /// Decoding ends with the first chunk that is damaged; those behind it may lie in other volumes.
    fn verify_compressed(
        &self,
        position: usize,
        workers: usize,
        damage: &Damage<'_>,
        watch: Watch<'_>,
    ) -> Result<(), PayloadError> {
        let Err(error) = self.decode(position, workers, watch, |_| Ok::<(), PayloadError>(())) else { return Ok(()) };
        damage.note(error)?;
        let mut buffer = Vec::new();
        (0..self.chunk_count(position)).try_for_each(|chunk| {
            watch.go_on()?;
            self.compare_chunk(position, chunk, &mut buffer, damage, ()).map(drop)
        })
    }

    /// Compares everything that is no blob, as far as it lies in volumes that are here, and the blobs that are `wanted`: what
    /// is left is compared when it is read.
    ///
    /// # Errors
    /// As [`Package::verify`].
    pub fn verify_blobs(
        &self,
        wanted: impl Fn(Digest) -> bool,
        workers: usize,
        watch: Watch<'_>,
    ) -> Result<(), PayloadError> {
        let damage = Damage::of(self.parts());
        self.compare_blobs(wanted, workers, &damage, watch)?;
        damage.end()
    }

    fn compare_blobs(
        &self,
        wanted: impl Fn(Digest) -> bool,
        workers: usize,
        damage: &Damage<'_>,
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
                        raw.push(RawBlob {
                            position: *position,
                            content: InOrder::default(),
                            given_up: AtomicBool::new(false),
                        });
                    }
                },
                other if self.parts().is_here(offset) => tasks.push(Task::Region(offset, other)),
                _ => {}
            }
        }
        self.compare(&tasks, &raw, workers, damage, watch)?;
        for blob in raw.into_iter().filter(|blob| !blob.given_up.load(Ordering::Relaxed)) {
            self.compare_content(blob)?;
        }
        // One after another: each is decoded on all workers.
        for position in compressed {
            self.verify_compressed(position, workers, damage, watch)?;
        }
        Ok(())
    }

    fn compare(
        &self,
        tasks: &[Task<'_>],
        raw: &[RawBlob],
        workers: usize,
        damage: &Damage<'_>,
        watch: Watch<'_>,
    ) -> Result<(), PayloadError> {
        let all = Mutex::new(tasks.iter());
        let turn = || all.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = Mutex::new(None);
        let work = || -> Result<(), PayloadError> {
            let mut buffer = Vec::new();
            loop {
                let mut next = turn();
                let Some(task) = next.next() else { return Ok(()) };
                watch.go_on()?;
                match task {
                    Task::Region(offset, region) => {
                        self.check(*offset, region).or_else(|error| damage.note(error))?;
                    }
                    Task::Chunk(blob, chunk) => {
                        if self.compare_chunk(raw[*blob].position, *chunk, &mut buffer, damage, next)? {
                            raw[*blob].content.add(*chunk, &buffer);
                        } else {
                            raw[*blob].give_up();
                        }
                        (watch.progress)(buffer.len() as u64);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..workers.max(1) {
                scope.spawn(|| {
                    if let Err(error) = work() {
                        raw.iter().for_each(RawBlob::give_up);
                        *turn() = [].iter();
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
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
