//! The builder's command line: parse, call one function, print one error, map one exit code.
//! What the stages do lives in the files named after them.

fn main() {}
