//! Bytes that are read once, and digested in several ways while they pass, in threads of their own and bounded memory.
//! Which digests are expected is decided where the bytes are needed.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use payload::{CHUNK_SIZE, Digest, Hasher, Shared};

/// Chunks that are in memory at once.
const IN_FLIGHT: usize = 5;
/// What is handed from a writer to its digest at a time.
const PIECE: usize = 1 << 20;

/// What is known of content that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) digest: Digest,
    /// Of its chunks, as a package has them.
    pub(crate) chunks: Vec<Digest>,
    /// In bytes.
    pub(crate) length: u64,
}

/// Reads to the end. `each` gets every chunk, in order, while it is digested.
pub(crate) fn read_once(mut from: impl Read, each: &mut dyn FnMut(&Shared) -> io::Result<()>) -> io::Result<Facts> {
    let mut first = Vec::new();
    from.by_ref().take(CHUNK_SIZE).read_to_end(&mut first)?;
    let length = first.len() as u64;
    if length < CHUNK_SIZE {
        let digest = Digest::of(&first);
        each(&(Arc::new(first) as Shared))?;
        return Ok(Facts { digest, chunks: (length > 0).then_some(digest).into_iter().collect(), length });
    }
    read_long(first, from, each)
}

fn read_long(
    first: Vec<u8>,
    mut from: impl Read,
    each: &mut dyn FnMut(&Shared) -> io::Result<()>,
) -> io::Result<Facts> {
    let pool = Pool::new(IN_FLIGHT);
    let take = |(whole, chunks): &mut (Hasher, Vec<_>), bytes: &[u8]| chunks.push(whole.update_and_digest(bytes));
    let digests = Background::new((Hasher::default(), Vec::new()), take)?;
    let mut length = 0;
    let mut next = pool.own(first);
    while !next.bytes.is_empty() {
        length += next.bytes.len() as u64;
        let shared: Shared = Arc::new(next);
        digests.add(&shared);
        each(&shared)?;
        drop(shared);
        next = pool.take();
        from.by_ref().take(CHUNK_SIZE).read_to_end(&mut next.bytes)?;
    }
    let (whole, chunks) = digests.finish();
    Ok(Facts { digest: whole.finish(), chunks, length })
}

/// Digests of chunks of bytes that arrive in pieces.
#[derive(Clone, Default)]
pub(crate) struct Chunks {
    done: Vec<Digest>,
    current: Hasher,
    filled: u64,
}

impl Chunks {
    /// Adds the next bytes.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(CHUNK_SIZE - self.filled).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.current.update(now);
            self.filled += now.len() as u64;
            if self.filled == CHUNK_SIZE {
                self.done.push(std::mem::take(&mut self.current).finish());
                self.filled = 0;
            }
            bytes = rest;
        }
    }

    /// The digests of all chunks.
    pub(crate) fn finish(mut self) -> Vec<Digest> {
        if self.filled > 0 {
            self.done.push(self.current.finish());
        }
        self.done
    }
}

/// The digest of what is written, computed beside the writing.
pub(crate) struct Written {
    pool: Pool,
    digest: Background<Hasher>,
}

impl Written {
    /// Of nothing so far.
    pub(crate) fn new() -> io::Result<Self> {
        let digest = Background::new(Hasher::default(), Hasher::update)?;
        Ok(Self { pool: Pool::new(IN_FLIGHT), digest })
    }

    /// Adds the next bytes.
    pub(crate) fn update(&self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            let mut buffer = self.pool.take();
            buffer.bytes.extend_from_slice(piece);
            self.digest.add(&(Arc::new(buffer) as Shared));
        }
    }

    /// The same without a copy.
    pub(crate) fn update_shared(&self, bytes: &Shared) {
        self.digest.add(bytes);
    }

    /// The digest of everything added.
    pub(crate) fn finish(self) -> Digest {
        self.digest.finish().finish()
    }
}

/// A thread that takes in bytes, in their order.
struct Background<T> {
    bytes: Sender<Shared>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Background<T> {
    fn new(mut state: T, take: fn(&mut T, &[u8])) -> io::Result<Self> {
        let (bytes, arriving) = channel::<Shared>();
        let thread = Builder::new().spawn(move || {
            for bytes in arriving {
                take(&mut state, (*bytes).as_ref());
            }
            state
        })?;
        Ok(Self { bytes, thread })
    }

    /// The thread lives as long as this, so that there is always somebody to take it.
    fn add(&self, bytes: &Shared) {
        let _ = self.bytes.send(Arc::clone(bytes));
    }

    fn finish(self) -> T {
        drop(self.bytes);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// So many buffers and no more: who wants one waits until the slowest thread is done with one.
struct Pool {
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
}

impl Pool {
    fn new(count: usize) -> Self {
        let (home, free) = channel();
        for _ in 0..count {
            let _ = home.send(Vec::new());
        }
        Self { free, home }
    }

    /// An empty one.
    fn take(&self) -> Buffer {
        // The other end is in this very struct.
        self.own(self.free.recv().unwrap_or_default())
    }

    fn own(&self, bytes: Vec<u8>) -> Buffer {
        Buffer { bytes, home: self.home.clone() }
    }
}

/// Bytes, whose memory is used again.
struct Buffer {
    bytes: Vec<u8>,
    home: Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.bytes.clear();
        // The pool may be gone before the last of its buffers.
        let _ = self.home.send(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_is_the_one_of_the_same_bytes_whatever_their_length() {
        let chunk = usize::try_from(CHUNK_SIZE).unwrap();
        for length in [0, 1, chunk - 1, chunk, chunk + 1, 7 * chunk, 9 * chunk + 5] {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at / 4096 % 251).unwrap()).collect();
            let mut passed = Vec::new();
            let facts = read_once(bytes.as_slice(), &mut |chunk| {
                passed.extend_from_slice((**chunk).as_ref());
                Ok(())
            });
            let chunks: Vec<Digest> = bytes.chunks(chunk).map(Digest::of).collect();
            let expected = Facts { digest: Digest::of(&bytes), chunks: chunks.clone(), length: length as u64 };
            assert_eq!(facts.unwrap(), expected, "{length}");
            assert!(passed == bytes, "{length}");
            let mut pieces = Chunks::default();
            bytes.chunks(1000).for_each(|piece| pieces.update(piece));
            assert_eq!(pieces.finish(), chunks, "{length}");
            let written = Written::new().unwrap();
            for (number, piece) in bytes.chunks(3_000_000).enumerate() {
                match number % 2 {
                    0 => written.update(piece),
                    _ => written.update_shared(&(Arc::new(piece.to_vec()) as Shared)),
                }
            }
            assert_eq!(written.finish(), Digest::of(&bytes), "{length}");
        }
    }

    #[test]
    fn what_cannot_be_taken_ends_the_reading() {
        let bytes = vec![0; 20 << 20];
        let failed = read_once(bytes.as_slice(), &mut |_| Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
