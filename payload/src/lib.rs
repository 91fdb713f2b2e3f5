//! The `.run` format that builder and stub share: index, paths, digests, layout, reader and writer.
//! What is fetched (builder) and what is done to a machine (stub) does not live here; nothing here opens a socket,
//! prints, or reads the clock, the environment or the arguments.

mod account;
mod digest;
mod elf;
mod error;
pub mod index;
mod layout;
mod member;
mod path;
mod reader;
mod text;
mod writer;

pub use account::{AccountName, AccountNameError, Mode, ModeError, Owner};
pub use digest::{Digest, DigestError, Hasher};
pub use elf::{ElfFacts, elf_facts, elf_length, glibc_provided};
pub use error::PayloadError;
pub use index::Index;
pub use layout::{ALIGNMENT, CHUNK_SIZE, Layout, Region};
pub use path::{PathError, RelPath};
pub use reader::{Package, Progress, read_at};
pub use text::printable;
pub use writer::{Contents, seal, write_package};
