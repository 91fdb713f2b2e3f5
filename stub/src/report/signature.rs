//! What is said of a package's signature, and of the program at its start, for people and for programs.
//! Whether a signature is accepted was decided when the package was opened.

use payload::{FileStub, Package, PublicKey, Signature, words_of_digest, words_of_key};
use serde_json::{Value, json};

/// Who vouches for the package. Loud when nobody does.
pub fn lines(package: &Package) -> Vec<String> {
    match package.signature() {
        Signature::Unsigned => vec![
            "WARNING: the package is not signed, and this machine trusts no key: it can come from anybody.".to_owned(),
        ],
        Signature::NotChecked { key_id } => {
            vec![format!("WARNING: the signature, by key {key_id}, was NOT CHECKED: this machine trusts no key.")]
        }
        Signature::Trusted { key, .. } => {
            vec![format!("Signed by the trusted key {} ({})", key.id(), words_of_key(key))]
        }
    }
}

/// The digest that names the package, in words too.
pub fn digest_lines(package: &Package) -> Vec<String> {
    vec![format!("index {}", package.digest()), format!("in words {}", words_of_digest(package.digest()))]
}

/// What somebody has to know who might start the file itself.
pub fn stub_lines(package: &Package) -> Vec<String> {
    let FileStub::Other { size, digest } = package.file_stub() else { return Vec::new() };
    let packed = package.index().build.stub;
    vec![
        "WARNING: the program at the start of this file is not the one that was signed with the package: do not run it."
            .to_owned(),
        format!("  expected {} ({} bytes)", packed.digest, packed.size),
        format!("  found    {digest} ({size} bytes)"),
        "  The package behind it is as it was signed: the program that runs now reads it, and runs nothing of the file."
            .to_owned(),
    ]
}

/// The signature as JSON.
pub fn json(package: &Package) -> Value {
    let signature = package.signature();
    let key = match signature {
        Signature::Trusted { key, .. } => Some(key),
        Signature::Unsigned | Signature::NotChecked { .. } => None,
    };
    json!({
        "state": signature.name(),
        "key_id": signature.key_id().map(|id| id.to_string()),
        "fingerprint": key.map(|key| key.fingerprint().to_string()),
        "words": key.map(words_of_key),
    })
}

/// The program at the start of the file as JSON.
pub fn stub_json(package: &Package) -> Value {
    match package.file_stub() {
        FileStub::AsPacked => json!({"as_packed": true, "digest": package.index().build.stub.digest.to_string()}),
        FileStub::Other { digest, .. } => json!({"as_packed": false, "digest": digest.to_string()}),
    }
}

/// The key that vouches for the package, for the receipt.
pub fn trusted_key(package: &Package) -> Option<&PublicKey> {
    match package.signature() {
        Signature::Trusted { key, .. } => Some(key),
        Signature::Unsigned | Signature::NotChecked { .. } => None,
    }
}
