//! The `.run` format that builder and stub share: index, paths, digests, signatures, layout, reader and writer.
//! What is fetched (builder) and what is done to a machine (stub) does not live here; nothing here opens a socket,
//! prints, or reads the clock, the environment or the arguments.

mod copy;
mod damage;
mod decode;
pub mod disk;
mod elf;
mod error;
mod explain;
mod format;
mod in_order;
pub mod names;
mod read;
mod signature;
mod value;
mod verify;
mod volumes;
mod watch;
mod write;

pub use elf::{ElfFacts, elf_facts, elf_length, glibc_provided};
pub use error::PayloadError;
pub use explain::{EXPLANATIONS, Explanation, explain};
pub use format::index::{self, Index};
pub use format::layout::{ALIGNMENT, CHUNK_SIZE, IndexFile, Known, Layout, Region};
pub use in_order::InOrder;
pub use read::{FileStub, Package};
pub use signature::check as check_signature;
pub use signature::{
    KeyError, KeyId, PublicKey, Signature, Trust, UNTRUSTED_COMMENT, signature_length, trusted_comment, words_of_key,
};
pub use value::account::{AccountName, AccountNameError, Owner};
pub use value::bar::Bar;
pub use value::digest::{Digest, DigestError, Hasher, sha256_implementation};
pub use value::mode::{Mode, ModeError};
pub use value::path::{PathError, RelPath};
pub use value::prose::Prose;
pub use value::size::{parse_size, size};
pub use value::text::{is_printable, printable, printable_json, write_json};
pub use value::unit::{UNIT_DIRECTORIES, UnitName, UnitNameError};
pub use value::words::words_of_digest;
pub use volumes::cut::{Cut, FAT32_MAX, MAX_VOLUMES, is_volume_size, volume_name};
pub use volumes::find::{Piece, package_in_chunks};
pub use volumes::list::entries as digest_list;
pub use volumes::parts::{Absent, Answer, Ask, Parts, Volume};
pub use volumes::transfer::{
    TRANSFER_MANIFEST, TransferChunk, TransferManifest, parse_transfer_manifest, transfer_header,
};
pub use watch::{Progress, Watch};
pub use write::{ContentDigest, Contents, Output, Shared, seal, write_package};
