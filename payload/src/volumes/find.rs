//! Finds a volume by its name in one of several directories, and reads bytes of it.
//! Whether it is the right one is in `proof.rs`; all volumes together are in `parts.rs`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::volumes::transfer;
use crate::{Digest, Hasher, disk};

/// A file, or the part of one, that holds a volume.
#[derive(Debug)]
pub struct Piece {
    file: File,
    /// Where the volume starts in the file, in bytes.
    skip: u64,
    pub(crate) length: u64,
    /// The archive that it is in.
    pub(crate) archive: Option<String>,
}

impl Piece {
    /// All of a file.
    ///
    /// # Errors
    /// The system does not tell its length.
    pub fn whole(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, skip: 0, length, archive: None })
    }

    /// The same, of which people know the archive.
    pub(crate) fn of(self, archive: String) -> Self {
        Self { archive: Some(archive), ..self }
    }

    /// A part of a file.
    pub(crate) fn inside(file: File, skip: u64, length: u64) -> Self {
        Self { file, skip, length, archive: None }
    }

    /// Fills `buffer` from `offset` of the volume.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset + buffer.len() as u64 > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buffer, self.skip + offset)
    }

    /// Gives `to`, which is empty, bytes of the volume without copying them; `false` where that cannot be done.
    pub(crate) fn share(&self, offset: u64, length: u64, to: &File) -> bool {
        offset + length <= self.length
            && disk::can_share(&self.file, to)
            && disk::share(&self.file, self.skip + offset, to, 0, length).is_ok()
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
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    if !std::fs::metadata(path)?.is_file() {
        return Err(refused());
    }
    let file = File::open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(refused()) }
}

/// A volume in a directory: a file of that name, or one in an archive of a chunk directory.
pub(crate) fn in_directory(directory: &Path, name: &str) -> io::Result<(PathBuf, Piece)> {
    let path = directory.join(name);
    match open_regular(&path).and_then(Piece::whole) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let member = transfer::find_member(directory, |found| found == name)?;
            member.map(|member| (member.archive, member.piece)).ok_or(error)
        }
        other => Ok((path, other?)),
    }
}

/// Whether a file is called as packages and first volumes are.
pub(crate) fn is_package_name(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|kind| kind == "run")
}

/// The package in a chunk directory, and its name: all of it, or its first volume. `None` when there is none.
///
/// # Errors
/// What the system says, or what is wrong with the manifest or an archive.
pub fn package_in_chunks(directory: &Path) -> io::Result<Option<(String, Piece)>> {
    let member = transfer::find_member(directory, is_package_name)?;
    Ok(member.map(|member| (member.name, member.piece)))
}
