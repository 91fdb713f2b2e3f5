//! Headers of GGUF files, as they come from anywhere.
//! What the header means is tested in the builder.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = builder::fuzzing::gguf(bytes);
});
