//! Staging: every byte is verified while it goes into a directory that only root can use, on the file system where it
//! will be needed. Nothing is visible at its final path before that; placing it is a step (`plan/step.rs`).

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use liblzma::read::XzDecoder;
use liblzma::stream::MtStreamBuilder;
use payload::index::{Blob, Encoding};
use payload::{CHUNK_SIZE, Digest, Hasher, Package, PayloadError, Progress, RelPath};

use crate::host::change;
use crate::host::interrupt;
use crate::host::root::{Cause, FsError};

/// Memory that decoding may use at most, in bytes.
const DECODER_MEMORY: u64 = 48 << 20;

/// Why a blob could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("interrupted")]
    Interrupted,
}

/// Copies the content of a blob into `file`, which may hold a part of it from an earlier attempt.
pub fn stage(
    package: &Package,
    position: usize,
    file: &File,
    path: &RelPath,
    workers: usize,
    progress: Progress<'_>,
) -> Result<(), StageError> {
    let Some(blob) = package.index().blobs.get(position) else {
        return Err(PayloadError::Format(format!("there is no blob {position}")).into());
    };
    match blob.encoding {
        Encoding::Raw => copy(package, position, file, path, workers, progress)?,
        Encoding::Xz => decode(package, position, file, path, workers, progress)?,
    }
    Ok(change::truncate(path, file, blob.size)?)
}

/// Copies chunk by chunk on all workers. A chunk that is already there, and right, is not written again.
fn copy(
    package: &Package,
    position: usize,
    file: &File,
    path: &RelPath,
    workers: usize,
    progress: Progress<'_>,
) -> Result<(), StageError> {
    let chunks = package.chunk_count(position);
    let present = file.metadata().map_err(|error| failed(path, &error))?.len();
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || -> Result<(), StageError> {
        let mut buffer = Vec::new();
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            if chunk >= chunks {
                return Ok(());
            }
            if interrupt::requested() {
                return Err(StageError::Interrupted);
            }
            let offset = chunk as u64 * CHUNK_SIZE;
            if offset >= present || !holds_chunk(&package.index().blobs[position], chunk, file, &mut buffer) {
                package.read_chunk(position, chunk, &mut buffer)?;
                change::write(path, file, offset, &buffer)?;
            }
            progress(buffer.len() as u64);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers.max(1).min(chunks.max(1)) {
            scope.spawn(|| {
                if let Err(error) = work() {
                    next.store(chunks, Ordering::Relaxed);
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            });
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn holds_chunk(blob: &Blob, chunk: usize, file: &File, buffer: &mut Vec<u8>) -> bool {
    let offset = chunk as u64 * CHUNK_SIZE;
    let length = CHUNK_SIZE.min(blob.stored_size - offset);
    buffer.clear();
    buffer.resize(usize::try_from(length).unwrap_or(0), 0);
    file.read_exact_at(buffer, offset).is_ok() && blob.chunks.get(chunk) == Some(&Digest::of(buffer))
}

/// Whether an earlier attempt decoded all of a blob.
fn holds_content(blob: &Blob, file: &File, path: &RelPath) -> Result<bool, FsError> {
    let present = file.metadata().map_err(|error| failed(path, &error))?.len();
    if present != blob.size || present == 0 {
        return Ok(false);
    }
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 18];
    let mut offset = 0;
    while offset < present {
        let count = file.read_at(&mut buffer, offset).map_err(|error| failed(path, &error))?;
        if count == 0 {
            return Ok(false);
        }
        hasher.update(&buffer[..count]);
        offset += count as u64;
    }
    Ok(hasher.finish() == blob.digest)
}

/// Decodes verified chunks; the content is compared with the digest it has in the index.
fn decode(
    package: &Package,
    position: usize,
    file: &File,
    path: &RelPath,
    workers: usize,
    progress: Progress<'_>,
) -> Result<(), StageError> {
    let blob = &package.index().blobs[position];
    if holds_content(blob, file, path)? {
        progress(blob.stored_size);
        return Ok(());
    }
    let threads = u32::try_from(workers.clamp(1, 4)).unwrap_or(1);
    let stream = MtStreamBuilder::new()
        .threads(threads)
        .memlimit_threading(DECODER_MEMORY)
        .memlimit_stop(DECODER_MEMORY)
        .decoder()
        .map_err(|error| PayloadError::Format(format!("cannot start the xz decoder: {error}")))?;
    let mut input = Chunks { package, position, next: 0, buffer: Vec::new(), used: 0, failure: None, progress };
    let mut decoder = XzDecoder::new_stream(&mut input, stream);
    let outcome = write_decoded(&mut decoder, blob, file, path);
    drop(decoder);
    match input.failure {
        Some(error) => Err(error),
        None if outcome.is_ok() && input.next != blob.chunks.len() => Err(damaged(blob, "bytes follow after its end")),
        None => outcome,
    }
}

fn write_decoded(decoder: &mut impl Read, blob: &Blob, file: &File, path: &RelPath) -> Result<(), StageError> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 18];
    let mut offset = 0;
    loop {
        let count = decoder.read(&mut buffer).map_err(|error| damaged(blob, &error.to_string()))?;
        if count == 0 {
            break;
        }
        if offset + count as u64 > blob.size {
            return Err(damaged(blob, "it decodes to more than the index says"));
        }
        hasher.update(&buffer[..count]);
        change::write(path, file, offset, &buffer[..count])?;
        offset += count as u64;
    }
    if offset == blob.size && hasher.finish() == blob.digest {
        Ok(())
    } else {
        Err(damaged(blob, "it does not decode to what the index says"))
    }
}

fn damaged(blob: &Blob, problem: &str) -> StageError {
    PayloadError::Damaged { region: format!("blob {}", blob.digest), problem: problem.to_owned() }.into()
}

fn failed(path: &RelPath, error: &std::io::Error) -> FsError {
    FsError { action: "write", path: path.to_string(), cause: Cause::System(change::errno(error)) }
}

/// The stored bytes of a blob, chunk by verified chunk.
struct Chunks<'a> {
    package: &'a Package,
    position: usize,
    next: usize,
    buffer: Vec<u8>,
    used: usize,
    /// Why reading stopped, in this program's terms.
    failure: Option<StageError>,
    progress: Progress<'a>,
}

impl Read for Chunks<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.used == self.buffer.len() && self.next < self.package.chunk_count(self.position) {
            if interrupt::requested() {
                self.failure = Some(StageError::Interrupted);
            } else if let Err(error) = self.package.read_chunk(self.position, self.next, &mut self.buffer) {
                self.failure = Some(error.into());
            }
            if self.failure.is_some() {
                return Err(std::io::Error::other("reading stopped"));
            }
            self.next += 1;
            self.used = 0;
            (self.progress)(self.buffer.len() as u64);
        }
        let count = out.len().min(self.buffer.len() - self.used);
        out[..count].copy_from_slice(&self.buffer[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}
