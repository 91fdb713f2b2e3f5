//! Readers and writers that look at what passes through them while it is compressed.
//! What is packed, and how it is compared, is in `pack.rs`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use payload::{Hasher, Progress};

use crate::digesting::Chunks;

/// Reads a file from its start, whatever others do with its position.
pub(super) struct ReadAt<'a> {
    pub(super) file: &'a File,
    pub(super) offset: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Hashes what passes through, and tells of it.
pub(super) struct Hashing<'a, R> {
    pub(super) input: R,
    pub(super) hasher: Hasher,
    pub(super) progress: Progress<'a>,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        (self.progress)(count as u64);
        Ok(count)
    }
}

/// Digests the chunks of what passes through.
pub(super) struct Chunked<W> {
    pub(super) output: W,
    pub(super) chunks: Chunks,
    pub(super) length: u64,
}

impl<W: Write> Write for Chunked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.chunks.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
