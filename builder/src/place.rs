//! Placements: which content goes where on the target, before it is turned into an index.
//! Compression, digests of what is stored and the file format live in `pack.rs` and in the crate `payload`.

use std::path::PathBuf;

use payload::index::Role;
use payload::{Digest, Mode, Owner, RelPath};

/// One entry of the target's file system.
#[derive(Debug, Clone)]
pub struct Placement {
    pub path: RelPath,
    pub owner: Owner,
    pub entry: Entry,
}

/// What the entry is.
#[derive(Debug, Clone)]
pub enum Entry {
    Directory { mode: Mode },
    File { content: Content, mode: Mode, role: Role },
    /// A second name of another placement's file.
    HardLink { to: RelPath },
    /// A relative link that stays inside the prefix.
    SymbolicLink { target: String },
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub enum Content {
    Bytes(Vec<u8>),
    /// Verified content on this machine's disk; read again, and compared again, while packing.
    Disk { path: PathBuf, size: u64, digest: Digest },
}
