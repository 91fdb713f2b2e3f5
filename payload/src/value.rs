//! Values that cannot hold something bad: paths, digests, modes, names of accounts, printable text, lines as wide as a terminal; digests in words.
//! What a package states with them lives in `format/`.

pub(crate) mod account;
pub(crate) mod bar;
pub(crate) mod digest;
pub(crate) mod mode;
pub(crate) mod path;
pub(crate) mod prose;
pub(crate) mod size;
pub(crate) mod text;
pub(crate) mod unit;
pub(crate) mod words;
