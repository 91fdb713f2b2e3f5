//! Bytes go to the disk while further ones are made, so that the last synchronisation finds little to do.
//! Whether a file is complete is not decided here: whoever wrote it synchronises it at the end.

use std::fs::File;

use payload::disk;

/// Bytes that are sent to the disk at a time.
const STEP: u64 = 4 << 20;

/// How far a file was written from its start, and sent to the disk.
#[derive(Default)]
pub(super) struct Early {
    written: u64,
    sent: u64,
}

impl Early {
    /// So many bytes more were written to `file`.
    pub(super) fn wrote(&mut self, file: &File, count: usize) {
        self.written += count as u64;
        if self.written - self.sent >= STEP {
            disk::start_writing(file, self.sent, self.written - self.sent);
            self.sent = self.written;
        }
    }
}
