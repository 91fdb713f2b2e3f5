//! The content of a compressed blob: decoded from verified chunks, in bounded memory, and compared with the index.
//! Where it goes is the caller's business; compressing is the builder's.

use std::io::{self, BufRead, Read};

use liblzma::bufread::XzDecoder;
use liblzma::stream::MtStreamBuilder;

use crate::format::index::Blob;
use crate::{Hasher, Package, PayloadError, Watch};

/// Memory that decoding may use at most, in bytes.
const MEMORY: u64 = 48 << 20;
const MAX_THREADS: usize = 4;
const PIECE: usize = 1 << 18;

impl Package {
    /// Decodes the content of a compressed blob, and gives it to `take` piece by piece, from the first byte on. The content
    /// is one xz stream and nothing else; it is compared with the index when all of it has been given.
    ///
    /// # Errors
    /// [`PayloadError::Damaged`] when a chunk, or the content, is not what the index says; and whatever `take` refuses.
    pub fn decode<E: From<PayloadError>>(
        &self,
        position: usize,
        workers: usize,
        watch: Watch<'_>,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let missing = || PayloadError::Format(format!("there is no blob {position}"));
        let blob = self.index().blobs.get(position).ok_or_else(missing)?;
        let mut chunks = Chunks { package: self, position, next: 0, buffer: Vec::new(), used: 0, failure: None, watch };
        let outcome = decoded(&mut chunks, blob, workers, &mut take);
        match chunks.failure {
            Some(error) => Err(error.into()),
            None if outcome.is_ok() && !chunks.is_empty() => Err(damaged(blob, "bytes follow after its end").into()),
            None => outcome,
        }
    }
}

fn decoded<E: From<PayloadError>>(
    chunks: &mut Chunks<'_>,
    blob: &Blob,
    workers: usize,
    take: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let threads = u32::try_from(workers.clamp(1, MAX_THREADS)).unwrap_or(1);
    let stream = MtStreamBuilder::new()
        .threads(threads)
        .memlimit_threading(MEMORY)
        .memlimit_stop(MEMORY)
        .decoder()
        .map_err(|error| PayloadError::Format(format!("cannot start the xz decoder: {error}")))?;
    let mut decoder = XzDecoder::new_stream(chunks, stream);
    let (mut hasher, mut length, mut piece) = (Hasher::default(), 0, vec![0; PIECE]);
    loop {
        let count = decoder.read(&mut piece).map_err(|error| damaged(blob, &error.to_string()))?;
        if count == 0 {
            break;
        }
        length += count as u64;
        if length > blob.size {
            return Err(damaged(blob, "it decodes to more than the index says").into());
        }
        hasher.update(&piece[..count]);
        take(&piece[..count])?;
    }
    if length == blob.size && hasher.finish() == blob.digest {
        Ok(())
    } else {
        Err(damaged(blob, "it does not decode to what the index says").into())
    }
}

fn damaged(blob: &Blob, problem: &str) -> PayloadError {
    PayloadError::damaged(format!("blob {}", blob.digest), problem)
}

/// The stored bytes of a blob, chunk by verified chunk.
struct Chunks<'a> {
    package: &'a Package,
    position: usize,
    next: usize,
    buffer: Vec<u8>,
    used: usize,
    /// Why reading stopped, in this crate's terms.
    failure: Option<PayloadError>,
    watch: Watch<'a>,
}

impl Chunks<'_> {
    fn is_empty(&self) -> bool {
        self.used == self.buffer.len() && self.next == self.package.chunk_count(self.position)
    }

    fn fetch(&mut self) -> Result<(), PayloadError> {
        self.watch.go_on()?;
        self.used = 0;
        self.package.read_chunk(self.position, self.next, &mut self.buffer)?;
        self.next += 1;
        (self.watch.progress)(self.buffer.len() as u64);
        Ok(())
    }
}

impl BufRead for Chunks<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.buffer.len()
            && !self.is_empty()
            && let Err(error) = self.fetch()
        {
            self.failure = Some(error);
            return Err(io::Error::other("reading stopped"));
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, count: usize) {
        self.used += count;
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}
