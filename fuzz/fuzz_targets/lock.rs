//! Lock files: what was read can be written, and reads as the same again.
//! When the lock file is followed is tested in the builder.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(printed) = builder::fuzzing::lock(text) {
        assert_eq!(builder::fuzzing::lock(&printed).as_deref(), Some(printed.as_str()));
    }
});
