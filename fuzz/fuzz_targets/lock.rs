//! Lock files: what was read can be written, and reads as the same again.

#![no_main]

use builder::lock::LockFile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(lock) = LockFile::parse(text) {
        let text = lock.text().expect("what was read can be written");
        assert_eq!(LockFile::parse(&text).expect("what was written can be read").text().ok(), Some(text));
    }
});
