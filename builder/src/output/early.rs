//! Bytes go to the disk while further ones are made, so that the last synchronisation finds little to do.
//! Whether a file is complete is not decided here: whoever wrote it synchronises it at the end.

use std::fs::File;
use std::sync::mpsc::{Sender, channel};
use std::thread::Builder;

/// Bytes between two synchronisations.
const STEP: usize = 64 << 20;

/// Synchronises a file from time to time, in a thread of its own.
#[derive(Default)]
pub(super) struct EarlyWriter {
    waiting: usize,
    thread: Option<Sender<()>>,
}

impl EarlyWriter {
    /// So many bytes more were written to `file`. What goes wrong here, goes wrong at the end again.
    pub(super) fn wrote(&mut self, file: &File, count: usize) {
        self.waiting += count;
        if self.waiting < STEP {
            return;
        }
        self.waiting = 0;
        if self.thread.is_none() {
            self.thread = file.try_clone().ok().and_then(begin);
        }
        if let Some(thread) = &self.thread {
            let _ = thread.send(());
        }
    }
}

fn begin(file: File) -> Option<Sender<()>> {
    let (sender, receiver) = channel();
    let work = move || {
        while receiver.recv().is_ok() {
            // What was asked for meanwhile is done with this one.
            while receiver.try_recv().is_ok() {}
            let _ = file.sync_data();
        }
    };
    Builder::new().spawn(work).ok().map(|_| sender)
}
