//! The journal of an interrupted installation: a cut never makes it unreadable, and never adds a step.
//! What is undone because of it is tested by the crash series.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(whole) = stub::apply::journal::parse(bytes) else { return };
    let header = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0) + 1;
    for cut in [header, (header + bytes.len()) / 2, bytes.len().saturating_sub(1).max(header)] {
        if let Ok(part) = stub::apply::journal::parse(&bytes[..cut]) {
            assert!(whole.steps.starts_with(&part.steps));
        }
    }
});
