//! The machine: its files, accounts, programs and services, and this process on it.
//! What a plan needs to know of it all at once is read in `facts.rs`; what is changed is decided in `plan.rs`.

pub mod account;
pub mod change;
pub mod failpoint;
pub mod interrupt;
pub mod limits;
pub mod machine;
pub mod offline;
pub mod root;
pub mod sockets;
pub mod tool;
pub mod unit;
