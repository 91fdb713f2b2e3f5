//! The machine: its files, accounts, programs and services, and this process on it.
//! What a plan needs to know of it all at once is read in `plan/facts.rs`; what is changed is decided in `plan.rs`.

pub(crate) mod about;
pub(crate) mod account;
#[expect(clippy::disallowed_methods, reason = "bytes of a file that root/ opened, and its length")]
pub(crate) mod change;
pub(crate) mod contents;
pub(crate) mod diagnosis;
pub(crate) mod failpoint;
pub(crate) mod gpu;
pub(crate) mod http;
pub(crate) mod interrupt;
pub(crate) mod journald;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod machine;
pub mod memory;
pub(crate) mod models;
pub(crate) mod names;
pub mod offline;
pub(crate) mod ollama;
pub(crate) mod ollama_client;
pub(crate) mod platform;
pub(crate) mod program;
pub(crate) mod proxy;
#[expect(clippy::disallowed_methods, reason = "this is where files are changed")]
pub(crate) mod root;
pub(crate) mod sockets;
pub(crate) mod tool;
pub(crate) mod unit;
