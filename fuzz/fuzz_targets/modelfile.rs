//! Modelfiles: read, or every mistake in them named with a line that exists.
//! That the real Ollama reads the same from them is tested in `tests/tests/modelfile.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(lines) = builder::fuzzing::modelfile(text) {
        let last = text.matches('\n').count() + 1;
        assert!(!lines.is_empty() && lines.iter().all(|line| (1..=last).contains(line)));
    }
});
