//! Signatures and public keys: a trusted one is always one that anybody else can read too, by the same key.
//! The seeds are signatures of these two bytes; whole packages are read in `package.rs`.

#![no_main]

use payload::{PublicKey, Signature, Trust, check_signature};

const INDEX: &[u8] = b"{}";
const KEY: &[u8] = include_bytes!("../seeds/signature/key.pub");

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = PublicKey::from_text(bytes) {
        let again = format!("untrusted comment: a key\n{}\n", key.base64());
        assert_eq!(PublicKey::from_text(again.as_bytes()).expect("what was read can be read"), key);
    }
    let known = PublicKey::from_text(KEY).expect("the seed is a key");
    let trust = Trust { trusted: vec![known.clone()], revoked: Vec::new() };
    if let Ok(signature) = check_signature(&trust, INDEX, Some(bytes)) {
        assert!(signature.is_trusted());
        let unchecked = check_signature(&Trust::nobody(), INDEX, Some(bytes)).expect("it has the right form");
        assert_eq!(unchecked, Signature::NotChecked { key_id: known.id() });
        assert!(check_signature(&trust, b"[]", Some(bytes)).is_err());
    }
});
