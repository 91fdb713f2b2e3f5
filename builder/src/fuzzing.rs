//! Ways for the fuzz targets to parsers that are nobody else's business. Compiled for them only (`cfg(fuzzing)`).
//! The targets are in `fuzz/fuzz_targets`.

use std::io::Cursor;

/// Reads the text of a lock file and prints it again; `None` when it cannot be read.
pub fn lock(text: &str) -> Option<String> {
    crate::lock::reprint(text).ok()
}

/// Reads the header of a GGUF file and says whether it may be shipped.
pub fn gguf(bytes: &[u8]) -> bool {
    let size = bytes.len() as u64;
    crate::gguf::read(Cursor::new(bytes), size).is_ok_and(|header| header.data_end <= size)
}
