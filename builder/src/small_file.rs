//! Small files that are read whole: manifests, lock files, configuration. Each has a limit, and none makes anybody wait.
//! Content of packages is read piece by piece, by those who know what it is.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What people write by hand: a manifest of a thousand components is a tenth of this. In bytes.
pub(crate) const BY_HAND: u64 = 1 << 20;
/// What programs write for the builder to read whole, in bytes: lock files, the documents of a model's store.
pub(crate) const BY_PROGRAMS: u64 = 16 << 20;

/// Reads a regular file of at most `limit` bytes. A FIFO or a device, which may never end, is not read at all.
///
/// # Errors
/// What the system says; or that it is not a regular file, or too large.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_stream(open_regular(path)?, limit)
}

/// Reads a stream to its end, which must come within `limit` bytes.
///
/// # Errors
/// What the system says; or that it is too large.
pub(crate) fn read_stream(stream: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {}", payload::size(limit))));
    }
    Ok(bytes)
}

/// Reads a text that somebody wrote by hand, for the program.
///
/// # Errors
/// As [`read_text`].
pub fn read_by_hand(path: &Path) -> io::Result<String> {
    read_text(path, BY_HAND)
}

/// Opens a regular file of any size.
///
/// # Errors
/// What the system says; or that it is not a regular file.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a FIFO would wait for its writer.
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Reads a text as [`read`] does.
///
/// # Errors
/// As [`read`]; or that it is not UTF-8.
pub(crate) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_or_no_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(read(&path, 4).unwrap_err().to_string().contains("larger than 4 B"));
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for odd in [fifo.as_path(), directory.path(), Path::new("/dev/zero")] {
            assert!(read(odd, 5).unwrap_err().to_string().contains("not a regular file"), "{}", odd.display());
        }
    }
}
