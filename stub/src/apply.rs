//! A plan carried out: staged, journalled, committed; undone, recovered, uninstalled.
//! Which steps there are is decided in `plan.rs`; how a file is changed, in `host.rs`.

pub mod commit;
pub mod journal;
pub mod recover;
pub mod stage;
pub mod uninstall;
