//! Manifests: parsed, or every mistake in them rendered for a terminal.
//! What is said about which mistake is tested in the builder.

#![no_main]

use std::path::Path;

use payload::index::Arch;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match builder::manifest::parse(Path::new("fuzz.toml"), bytes, Arch::Aarch64) {
        Ok(parsed) => drop(parsed.render_warnings(true)),
        Err(errors) => assert!(!errors.render(true).is_empty()),
    }
});
