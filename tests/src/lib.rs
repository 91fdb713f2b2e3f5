//! Harness of the end-to-end tests: real inputs, real servers, real machines, and what they were seen to do.
//! The tests themselves are in `tests/`.

pub mod arm;
pub mod base;
pub mod book;
pub mod cache;
pub mod command;
pub mod controller;
pub mod counters;
pub mod crash;
pub mod docs;
pub mod exporter;
pub mod fleet;
pub mod forge;
pub mod httpd;
pub mod imports;
pub mod machine;
pub mod model;
pub mod ollama;
pub mod package;
pub mod packages;
pub mod scenario;
pub mod server;
pub mod skip;
pub mod sockets;
pub mod state;
pub mod strace;
pub mod terminal;
pub mod tour;
pub mod tracer;
pub mod transcript;
pub mod tree;
pub mod typed;
pub mod updates;
pub mod wheels;
