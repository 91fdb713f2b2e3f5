//! The `.run` format that builder and stub share: index, paths, digests, layout, reader and writer.
//! What is fetched (builder) and what is done to a machine (stub) does not live here; nothing here opens a socket,
//! prints, or reads the clock, the environment or the arguments.

mod elf;
mod error;
mod format;
pub mod names;
mod read;
mod value;
mod write;

pub use elf::{ElfFacts, elf_facts, elf_length, glibc_provided};
pub use error::PayloadError;
pub use format::index::{self, Index};
pub use format::layout::{ALIGNMENT, CHUNK_SIZE, Layout, Region};
pub use read::{Package, Progress, read_at};
pub use value::account::{AccountName, AccountNameError, Owner};
pub use value::digest::{Digest, DigestError, Hasher};
pub use value::mode::{Mode, ModeError};
pub use value::path::{PathError, RelPath};
pub use value::size::size;
pub use value::text::printable;
pub use write::{Contents, seal, write_package};
