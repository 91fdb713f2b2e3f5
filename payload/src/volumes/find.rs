//! Finds a volume by its name in one of several directories, and reads bytes of it.
//! Whether it is the right one is in `proof.rs`; all volumes together are in `parts.rs`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::{Digest, Hasher};

/// A file, or the part of one, that holds a volume.
#[derive(Debug)]
pub struct Piece {
    file: File,
    /// Where the volume starts in the file, in bytes.
    skip: u64,
    pub(crate) length: u64,
}

impl Piece {
    /// All of a file.
    ///
    /// # Errors
    /// The system does not tell its length.
    pub fn whole(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, skip: 0, length })
    }

    /// A part of a file.
    pub(crate) fn inside(file: File, skip: u64, length: u64) -> Self {
        Self { file, skip, length }
    }

    /// Fills `buffer` from `offset` of the volume.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset + buffer.len() as u64 > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buffer, self.skip + offset)
    }

    /// The digest of all of it.
    pub(crate) fn digest(&self) -> io::Result<Digest> {
        let (mut hasher, mut offset, mut buffer) = (Hasher::default(), 0, vec![0; 1 << 20]);
        while offset < self.length {
            let count = usize::try_from(self.length - offset).unwrap_or(usize::MAX).min(buffer.len());
            self.read(offset, &mut buffer[..count])?;
            hasher.update(&buffer[..count]);
            offset += count as u64;
        }
        Ok(hasher.finish())
    }
}

/// Opens a regular file; anything else is not opened at all.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
    if !std::fs::metadata(path)?.is_file() {
        return Err(refused());
    }
    let file = File::open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(refused()) }
}

/// A volume that was found in a directory.
pub(crate) fn in_directory(directory: &Path, name: &str) -> io::Result<(PathBuf, Piece)> {
    let path = directory.join(name);
    let piece = open_regular(&path).and_then(Piece::whole)?;
    Ok((path, piece))
}
