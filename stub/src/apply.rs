//! A plan carried out: staged, journalled, committed; undone, recovered, uninstalled.
//! Which steps there are is decided in `plan.rs`; how a file is changed, in `host.rs`.

pub(crate) mod commit;
pub mod journal;
pub(crate) mod proof;
pub(crate) mod recover;
pub(crate) mod stage;
pub(crate) mod uninstall;
