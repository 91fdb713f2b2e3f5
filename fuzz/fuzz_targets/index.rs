//! The index: what was read can be written, and reads as the same again.
//! Whole packages are `package.rs`.

#![no_main]

use payload::Index;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(index) = Index::from_json(bytes) {
        let json = index.to_json().expect("what was read can be written");
        assert_eq!(Index::from_json(&json).expect("what was written can be read"), index);
        let _ = payload::seal(index, None);
    }
});
