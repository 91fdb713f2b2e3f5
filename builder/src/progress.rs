//! What fetching and packing report while they work, and the sinks that show it: bars, lines, JSON, nothing.
//! Which sink is used, and whether there is a terminal, is decided in `command/output.rs`.

mod bars;
mod json;
mod lines;

use std::time::Duration;

use payload::Digest;

pub use bars::Bars;
pub use json::JsonLines;
pub use lines::Lines;

/// Identifies one file among those in progress at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(pub usize);

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

/// One thing that happened. Sizes and positions are in bytes.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// Work on a file begins. `size` is `None` until a server has told it.
    Started { item: ItemId, name: &'a str, location: &'a str, size: Option<u64> },
    /// The file's size became known.
    Sized { item: ItemId, size: u64 },
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

/// Shows nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl ProgressSink for Silent {
    fn event(&self, _event: &Event<'_>) {}
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
