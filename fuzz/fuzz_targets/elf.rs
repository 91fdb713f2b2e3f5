//! ELF files: where one ends, and what it asks of a machine. The end never lies behind the file.
//! Read before anything was verified.

#![no_main]

use std::io::Cursor;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(length) = payload::elf_length(Cursor::new(bytes)) {
        assert!(length <= bytes.len() as u64);
    }
    let _ = payload::elf_facts(Cursor::new(bytes));
    let _ = payload::glibc_provided(Cursor::new(bytes));
});
