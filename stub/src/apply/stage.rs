//! Staging: every byte is verified while it goes into a directory that only root can use, on the file system where it
//! will be needed. Nothing is visible at its final path before that; placing it is a step (`plan/step.rs`).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use payload::disk::Early;
use payload::index::{Blob, Encoding};
use payload::{CHUNK_SIZE, Digest, Hasher, InOrder, Package, PayloadError, RelPath, Watch, disk};

use crate::host::change::{self, Change};
use crate::host::root::{Cause, FsError};

/// Why a blob could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// Copies the content of a blob into `file`, which may hold a part of it from an earlier attempt.
pub fn stage(
    package: &Package,
    position: usize,
    file: &File,
    path: &RelPath,
    workers: usize,
    watch: Watch<'_>,
) -> Result<(), StageError> {
    let Some(blob) = package.index().blobs.get(position) else {
        return Err(PayloadError::Format(format!("there is no blob {position}")).into());
    };
    match blob.encoding {
        Encoding::Raw => copy(package, position, file, path, workers, watch)?,
        Encoding::Xz => decode(package, position, file, path, workers, watch)?,
    }
    Ok(change::truncate(path, file, blob.size)?)
}

/// Copies chunk by chunk on all workers, and makes the digest of the whole from the same bytes. A chunk that is already
/// there, and right, is not written again.
fn copy(
    package: &Package,
    position: usize,
    file: &File,
    path: &RelPath,
    workers: usize,
    watch: Watch<'_>,
) -> Result<(), StageError> {
    let chunks = package.chunk_count(position);
    prepare(package, position, file, path)?;
    let present = file.metadata().map_err(|error| failed(path, &error))?.len();
    let numbers = Mutex::new(0);
    let turn = || numbers.lock().unwrap_or_else(PoisonError::into_inner);
    let failure = Mutex::new(None);
    let content = InOrder::default();
    let work = || -> Result<(), StageError> {
        let mut buffer = Vec::new();
        loop {
            let mut next = turn();
            let chunk = *next;
            if chunk >= chunks {
                return Ok(());
            }
            *next += 1;
            if (watch.stop)() {
                return Err(PayloadError::Interrupted.into());
            }
            let offset = chunk as u64 * CHUNK_SIZE;
            // What is to be compared here needs no turn there.
            let next = (offset >= present).then_some(next);
            if next.is_some() || !holds_chunk(&package.index().blobs[position], chunk, file, &mut buffer) {
                package.read_chunk_in_turn(position, chunk, &mut buffer, next)?;
                change::write(path, file, offset, &buffer)?;
                disk::start_writing(file, offset, buffer.len() as u64);
            }
            content.add(chunk, &buffer);
            (watch.progress)(buffer.len() as u64);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers.max(1).min(chunks.max(1)) {
            scope.spawn(|| {
                if let Err(error) = work() {
                    content.abandon();
                    *turn() = chunks;
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(package.index().blobs[position].check_content(content.finish(chunks))?),
    }
}

/// An empty file gets all bytes of the package that its file system can share with it; they are compared as those of an
/// earlier attempt are. Any other gets room for all that is to come.
fn prepare(package: &Package, position: usize, file: &File, path: &RelPath) -> Result<(), FsError> {
    let blob = &package.index().blobs[position];
    if blob.size <= CHUNK_SIZE {
        return Ok(());
    }
    let empty = file.metadata().map_err(|error| failed(path, &error))?.len() == 0;
    Change::Reserve { path, length: blob.size }.make(|| {
        if blob.encoding == Encoding::Raw && empty && package.share_blob(position, file) {
            return Ok(());
        }
        disk::reserve(file, blob.size).map_err(|error| change::errno(&error))
    })
}

fn holds_chunk(blob: &Blob, chunk: usize, file: &File, buffer: &mut Vec<u8>) -> bool {
    let offset = chunk as u64 * CHUNK_SIZE;
    let length = CHUNK_SIZE.min(blob.stored_size - offset);
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
    watch: Watch<'_>,
) -> Result<(), StageError> {
    let blob = &package.index().blobs[position];
    if holds_content(blob, file, path)? {
        (watch.progress)(blob.stored_size);
        return Ok(());
    }
    prepare(package, position, file, path)?;
    let (mut offset, mut early) = (0, Early::default());
    package.decode(position, workers, watch, |piece| {
        change::write(path, file, offset, piece)?;
        offset += piece.len() as u64;
        early.wrote(file, piece.len());
        Ok(())
    })
}

fn failed(path: &RelPath, error: &std::io::Error) -> FsError {
    FsError { action: "write", path: path.to_string(), cause: Cause::System(change::errno(error)) }
}
