//! The `.run` format itself: what the index states, how tar headers look, where everything lies.
//! Reading and writing the bytes lives in `read.rs` and `write.rs`.

pub mod index;
pub(crate) mod layout;
pub(crate) mod member;
