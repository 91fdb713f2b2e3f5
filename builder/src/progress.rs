//! What fetching and packing report while they work, and the sinks that show it: bars, lines, JSON, nothing.
//! Which sink is used, and whether there is a terminal, is decided in `command/output.rs`.

mod bars;
mod json;
mod lines;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use payload::Digest;

pub use bars::Bars;
pub use json::JsonLines;
pub use lines::Lines;

/// Identifies one file among those in progress at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(pub usize);

impl ItemId {
    /// The package itself, which no transfer is numbered like.
    pub const PACKAGE: Self = Self(u32::MAX as usize);
}

/// Where the verified bytes of a file were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Fetched from the network.
    Downloaded,
    /// Fetched from the network, continuing what an earlier attempt left.
    Resumed,
    /// Already in the cache; no request was made.
    Cached,
    /// A file of this machine, used where it is.
    Local,
}

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Its bytes come over the network.
    Downloading,
    /// Its bytes are here, and their digest is computed.
    Hashing,
    /// It is compressed and divided into chunks.
    Packing,
    /// It is written to the output.
    Writing,
}

/// One thing that happened. Sizes and positions are in bytes.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// Work on a file begins. `size` is `None` until a server has told it.
    Started { item: ItemId, name: &'a str, location: &'a str, size: Option<u64> },
    /// Work of one kind begins at `position`, which is not 0 when an interrupted download goes on. `size` is `None` when
    /// a server has not told it.
    Working { item: ItemId, activity: Activity, position: u64, size: Option<u64> },
    /// So much of the file is here. A position before the last one means that it starts over.
    Advanced { item: ItemId, position: u64 },
    /// An attempt failed; the next one starts after `wait`.
    Retrying { item: ItemId, name: &'a str, reason: &'a str, wait: Duration },
    /// The file is complete and its digest is the expected one.
    Finished { item: ItemId, name: &'a str, size: u64, digest: Digest, origin: Origin },
    /// Work on the file ended without success; the error says why.
    Stopped { item: ItemId },
    /// Something the user should know that is not an error.
    Note { text: &'a str },
}

/// Receives events, from several threads at once.
pub trait ProgressSink: Sync {
    /// Called once for each event, in the order of one file's life.
    fn event(&self, event: &Event<'_>);
}

/// One piece of work over known bytes, told in steps.
pub(crate) struct Work<'a> {
    sink: &'a dyn ProgressSink,
    item: ItemId,
    position: AtomicU64,
}

impl<'a> Work<'a> {
    /// Bytes between two events.
    const STEP: u64 = 4 << 20;

    /// Begins with `size` bytes ahead.
    pub(crate) fn begin(sink: &'a dyn ProgressSink, item: ItemId, activity: Activity, size: u64) -> Self {
        sink.event(&Event::Working { item, activity, position: 0, size: Some(size) });
        Self { sink, item, position: AtomicU64::new(0) }
    }

    /// So many more bytes are done.
    pub(crate) fn add(&self, bytes: u64) {
        let before = self.position.fetch_add(bytes, Ordering::Relaxed);
        let position = before.saturating_add(bytes);
        if before / Self::STEP != position / Self::STEP {
            self.sink.event(&Event::Advanced { item: self.item, position });
        }
    }
}

/// Shows nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl ProgressSink for Silent {
    fn event(&self, _event: &Event<'_>) {}
}

impl Activity {
    /// The word used in bars and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Downloading => "downloading",
            Self::Hashing => "hashing",
            Self::Packing => "packing",
            Self::Writing => "writing",
        }
    }
}

impl Origin {
    /// The word used in lines and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Downloaded => "downloaded",
            Self::Resumed => "resumed",
            Self::Cached => "cached",
            Self::Local => "local",
        }
    }
}
