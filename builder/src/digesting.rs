//! Bytes that are read once, and digested in several ways while they pass, in threads of their own and bounded memory.
//! Which digests are expected is decided where the bytes are needed.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use payload::{ALIGNMENT, CHUNK_SIZE, ContentDigest, Digest, Hasher, Shared};

use crate::background::Background;

/// Chunks that are in memory at once, beside the first, which tells whether there are several.
const IN_FLIGHT: usize = 6;
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

/// Reads to the end. `seen` is told how many bytes have been read.
pub(crate) fn read_once(mut from: impl Read, seen: &mut dyn FnMut(u64)) -> io::Result<Facts> {
    let mut first = Vec::new();
    from.by_ref().take(CHUNK_SIZE).read_to_end(&mut first)?;
    let mut length = first.len() as u64;
    if length < CHUNK_SIZE {
        seen(length);
        let digest = Digest::of(&first);
        return Ok(Facts { digest, chunks: (length > 0).then_some(digest).into_iter().collect(), length });
    }
    let whole = Written::new()?;
    length = 0;
    let chunks = read_long(first.as_slice().chain(from), &mut |bytes| {
        length += (**bytes).as_ref().len() as u64;
        whole.update_shared(bytes, None);
        seen(length);
        Ok(())
    })?;
    Ok(Facts { digest: whole.finish(), chunks, length })
}

/// Reads to the end, and gives the digests of the chunks. `each` gets every chunk, in order, while it is digested.
pub(crate) fn read_chunks(
    mut from: impl Read,
    each: &mut dyn FnMut(&Shared) -> io::Result<()>,
) -> io::Result<Vec<Digest>> {
    let mut first = Vec::new();
    from.by_ref().take(CHUNK_SIZE).read_to_end(&mut first)?;
    if (first.len() as u64) < CHUNK_SIZE {
        let digest = (!first.is_empty()).then(|| Digest::of(&first));
        each(&(Arc::new(first) as Shared))?;
        return Ok(digest.into_iter().collect());
    }
    read_long(first.as_slice().chain(from), each)
}

fn read_long(mut from: impl Read, each: &mut dyn FnMut(&Shared) -> io::Result<()>) -> io::Result<Vec<Digest>> {
    let pool = Pool::new(IN_FLIGHT);
    let digests = Background::new(Pairs::default(), Pairs::take)?;
    loop {
        let mut buffer = pool.take();
        buffer.align();
        from.by_ref().take(CHUNK_SIZE).read_to_end(&mut buffer.bytes)?;
        if buffer.as_ref().is_empty() {
            return Ok(digests.finish().finish());
        }
        let chunk: Shared = Arc::new(buffer);
        let _ = digests.add(Arc::clone(&chunk));
        each(&chunk)?;
    }
}

/// Chunks are digested two at a time, because that is faster.
#[derive(Default)]
struct Pairs {
    waiting: Option<Shared>,
    done: Vec<Digest>,
}

impl Pairs {
    fn take(&mut self, chunk: Shared) -> ControlFlow<()> {
        match self.waiting.take() {
            Some(before) => self.done.extend(Digest::of_two((*before).as_ref(), (*chunk).as_ref())),
            None => self.waiting = Some(chunk),
        }
        ControlFlow::Continue(())
    }

    fn finish(mut self) -> Vec<Digest> {
        self.done.extend(self.waiting.map(|chunk| Digest::of((*chunk).as_ref())));
        self.done
    }
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

/// Bytes, and the content that they are part of.
type Passed = (Shared, Option<ContentDigest>);

/// The digest of what is written, computed beside the writing.
pub(crate) struct Written {
    pool: Pool,
    digest: Background<Passed, Hasher>,
}

impl Written {
    /// Of nothing so far.
    pub(crate) fn new() -> io::Result<Self> {
        let take = |whole: &mut Hasher, (bytes, content): Passed| {
            match content {
                Some(content) => content.update_with(whole, (*bytes).as_ref()),
                None => whole.update((*bytes).as_ref()),
            }
            ControlFlow::Continue(())
        };
        Ok(Self { pool: Pool::new(IN_FLIGHT), digest: Background::new(Hasher::default(), take)? })
    }

    /// Adds the next bytes.
    pub(crate) fn update(&self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            let mut buffer = self.pool.take();
            buffer.bytes.extend_from_slice(piece);
            self.update_shared(&(Arc::new(buffer) as Shared), None);
        }
    }

    /// The same without a copy, and for the digest of their content.
    pub(crate) fn update_shared(&self, bytes: &Shared, content: Option<&ContentDigest>) {
        // It never gives up.
        let _ = self.digest.add((Arc::clone(bytes), content.cloned()));
    }

    /// Waits until everything that was added is digested.
    pub(crate) fn settle(&self) {
        let _ = self.digest.settle();
    }

    /// The digest of everything added.
    pub(crate) fn finish(self) -> Digest {
        self.digest.finish().finish()
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
        Buffer { bytes: self.free.recv().unwrap_or_default(), begin: 0, home: self.home.clone() }
    }
}

/// Bytes, whose memory is used again.
struct Buffer {
    bytes: Vec<u8>,
    begin: usize,
    home: Sender<Vec<u8>>,
}

impl Buffer {
    /// A chunk begins where memory has a page, so that it may go past the page cache.
    fn align(&mut self) {
        let page = usize::try_from(ALIGNMENT).unwrap_or_default();
        self.bytes.reserve(usize::try_from(CHUNK_SIZE).unwrap_or_default() + page);
        self.begin = self.bytes.as_ptr().align_offset(page);
        self.bytes.resize(self.begin, 0);
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.begin..]
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
        for length in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 7 * chunk, 9 * chunk + 5] {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at / 4096 % 251).unwrap()).collect();
            let chunks: Vec<Digest> = bytes.chunks(chunk).map(Digest::of).collect();
            let expected = Facts { digest: Digest::of(&bytes), chunks: chunks.clone(), length: length as u64 };
            assert_eq!(read_once(bytes.as_slice(), &mut |_| ()).unwrap(), expected, "{length}");
            let (written, content, mut passed) = (Written::new().unwrap(), ContentDigest::default(), Vec::new());
            written.update(b"what stands before it");
            let found = read_chunks(bytes.as_slice(), &mut |chunk| {
                written.update_shared(chunk, Some(&content));
                passed.extend_from_slice((**chunk).as_ref());
                Ok(())
            });
            written.settle();
            assert_eq!((found.unwrap(), content.digest()), (chunks.clone(), expected.digest), "{length}");
            assert!(passed == bytes, "{length}");
            let all = [b"what stands before it".as_slice(), &bytes].concat();
            assert_eq!(written.finish(), Digest::of(&all), "{length}");
            let mut pieces = Chunks::default();
            bytes.chunks(1000).for_each(|piece| pieces.update(piece));
            assert_eq!(pieces.finish(), chunks, "{length}");
        }
    }

    #[test]
    fn what_cannot_be_taken_ends_the_reading() {
        let bytes = vec![0; 20 << 20];
        let failed = read_chunks(bytes.as_slice(), &mut |_| Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
