//! The receipt of an installed package: what was read can be written, and reads as the same again.
//! What is done because of it is tested with the real programs.

#![no_main]

use stub::record::receipt::Receipt;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(receipt) = Receipt::from_json(bytes) {
        let mut written = Vec::new();
        receipt.write_json(&mut written).expect("memory can be written to");
        assert_eq!(Receipt::from_json(&written).expect("what was written can be read"), receipt);
    }
});
