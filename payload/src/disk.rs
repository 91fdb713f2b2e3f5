//! What the kernel is asked for while a large file is written: room for it, pieces that find memory at once, an early way to the
//! disk, and sharing bytes that are there already. Whether a file is right and complete is decided by whoever writes it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, copy_file_range, fallocate, ftruncate, ioctl_ficlone};

use crate::format::layout::{ALIGNMENT, CHUNK_SIZE};

/// How many bytes are written at a time. For more than 256 KiB Linux takes memory in large blocks, and in a virtual machine each of
/// these that was free for two seconds has to be asked of the host again: that took four to eight times as long as the copying.
const PIECE: usize = 128 << 10;

/// Writes all of `bytes` where the file is.
///
/// # Errors
/// What the system says; a part of the bytes may be there then.
pub fn write_all(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    bytes.chunks(PIECE).try_for_each(|piece| file.write_all(piece))
}

/// The same at `offset`.
///
/// # Errors
/// As [`write_all`].
pub fn write_all_at(file: &File, bytes: &[u8], mut offset: u64) -> io::Result<()> {
    for piece in bytes.chunks(PIECE) {
        file.write_all_at(piece, offset)?;
        offset += piece.len() as u64;
    }
    Ok(())
}

/// Sets room aside for a file that is going to be `length` bytes long, so that a full disk is noticed before much was copied
/// and the file lies in few pieces (fallocate(2)). The length that it has stays.
///
/// # Errors
/// There is no such room. A file system that cannot set room aside is none.
pub fn reserve(file: &File, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, length) {
        Err(error) if [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT].contains(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Starts bringing bytes of a file to the disk, and does not wait for it: the synchronisation at the end then finds little
/// to do. A synchronisation from time to time would do as well, but it takes the error of a failing disk away from the last
/// one; this looks at no error (`sync_file_range(2)`).
pub fn start_writing(file: &File, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else { return };
    #[expect(
        unsafe_code,
        reason = "no crate offers this system call; it takes numbers alone, and the descriptor is open"
    )]
    let _hint = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}

/// How far a file was written from its start, and sent to the disk.
#[derive(Default)]
pub struct Early {
    written: u64,
    sent: u64,
}

impl Early {
    /// So many bytes more were written to `file`: a chunk is sent when it is full.
    pub fn wrote(&mut self, file: &File, count: usize) {
        self.written += count as u64;
        if self.written - self.sent >= CHUNK_SIZE {
            start_writing(file, self.sent, self.written - self.sent);
            self.sent = self.written;
        }
    }
}

/// Whether files beside `empty` can have bytes of `from` without a copy: whether both are on one file system with reflinks
/// (`ioctl_ficlone(2)`). Tried with the whole file, since the kernel quietly copies a part that it cannot share.
pub fn can_share(from: &File, empty: &File) -> bool {
    ioctl_ficlone(empty, from).is_ok() && ftruncate(empty, 0).is_ok()
}

/// Gives `to` at `at` the `length` bytes of `from` behind `offset`, without copying them where [`can_share`] said so
/// (`copy_file_range(2)`); the blocks of both must begin at the same places.
///
/// # Errors
/// What the system says; a part of the bytes may be there then.
pub fn share(from: &File, offset: u64, to: &File, at: u64, length: u64) -> io::Result<()> {
    if !offset.is_multiple_of(ALIGNMENT) || !at.is_multiple_of(ALIGNMENT) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut done = 0;
    while done < length {
        let (mut source, mut target) = (offset + done, at + done);
        let left = usize::try_from(length - done).unwrap_or(usize::MAX);
        match copy_file_range(from, Some(&mut source), to, Some(&mut target), left)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => done += count as u64,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_pieces_is_what_was_given() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5] {
            let memory = rustix::fs::memfd_create("pieces", rustix::fs::MemfdFlags::empty()).unwrap();
            let mut file = File::from(memory);
            file.write_all(b"before").unwrap();
            write_all(&file, &bytes[..length]).unwrap();
            write_all_at(&file, &bytes[..length], 6 + length as u64).unwrap();
            let mut found = vec![0; 6 + 2 * length];
            file.read_exact_at(&mut found, 0).unwrap();
            assert!(found == [b"before", &bytes[..length], &bytes[..length]].concat(), "{length}");
        }
    }
}
