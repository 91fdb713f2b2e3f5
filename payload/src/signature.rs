//! Signatures of an index, in minisign's format: read, and checked against the keys that a machine trusts.
//! Where a machine keeps its keys is the stub's business, making signatures the builder's.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::format::index::PackageFacts;
use crate::value::words::words_of_digest;
use crate::{Digest, PayloadError};

/// The first line of every signature. No key vouches for it, and so it is always the same.
pub const UNTRUSTED_COMMENT: &str = "signature of index.json by the builder of airgap-deploy";
/// Longer than any signature or public key, in bytes.
pub const MAX_SIGNATURE: u64 = 2048;

const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";
/// Algorithm, id of the key, and an Ed25519 signature; and the signature of both with the comment.
const SIGNATURE_BYTES: usize = 2 + 8 + 64;
const GLOBAL_BYTES: usize = 64;
/// Algorithm, id, and an Ed25519 public key.
const KEY_BYTES: usize = 2 + 8 + 32;
const PREHASHED: &[u8] = b"ED";

/// Names a key, but proves nothing: anybody can make a key with the same id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.get(2..10)?.try_into().ok()?))
    }
}

impl fmt::Display for KeyId {
    /// As minisign prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no public key of minisign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no public key of minisign: {0}")]
pub struct KeyError(&'static str);

/// A public key of minisign.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    bytes: Vec<u8>,
    key: minisign_verify::PublicKey,
}

impl PublicKey {
    /// Reads a `.pub` file: a comment, and the key.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with it.
    pub fn from_text(text: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(text).map_err(|_| KeyError("it is no text"))?;
        let mut lines = text.lines().map(str::trim_end);
        if !lines.next().is_some_and(|line| line.starts_with(UNTRUSTED)) {
            return Err(KeyError("its first line is no comment"));
        }
        let encoded = lines.next().unwrap_or_default();
        if lines.any(|line| !line.is_empty()) {
            return Err(KeyError("it has more than two lines"));
        }
        let bytes = STANDARD.decode(encoded).ok().filter(|bytes| bytes.len() == KEY_BYTES);
        let bytes = bytes.ok_or(KeyError("its second line is not a key"))?;
        let id = KeyId::of(&bytes).ok_or(KeyError("it is too short"))?;
        let key = minisign_verify::PublicKey::from_base64(encoded);
        Ok(Self { id, key: key.map_err(|_| KeyError("it uses another algorithm"))?, bytes })
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// SHA-256 of its 42 bytes: what two persons compare.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The second line of its file.
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.fingerprint())
    }
}

/// The fingerprint of a key in words.
pub fn words_of_key(key: &PublicKey) -> String {
    words_of_digest(key.fingerprint())
}

/// Whose signatures a machine accepts.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub trusted: Vec<PublicKey>,
    pub revoked: Vec<PublicKey>,
}

impl Trust {
    /// A machine that trusts no key takes every package, signed or not.
    pub fn nobody() -> Self {
        Self::default()
    }
}

/// What is known about a package's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    Unsigned,
    /// It is signed, and this machine trusts no key that could tell by whom.
    NotChecked {
        key_id: KeyId,
    },
    /// It is signed by a key that this machine trusts.
    Trusted {
        key: PublicKey,
        trusted_comment: String,
    },
}

impl Signature {
    /// The id of the key that signed, or is said to have.
    pub fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::Unsigned => None,
            Self::NotChecked { key_id } => Some(*key_id),
            Self::Trusted { key, .. } => Some(key.id()),
        }
    }

    /// Whether a trusted key vouches for the index.
    pub fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted { .. })
    }

    /// The word for it in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::NotChecked { .. } => "not-checked",
            Self::Trusted { .. } => "trusted",
        }
    }

    /// A sentence for people.
    pub fn sentence(&self) -> String {
        match self {
            Self::Unsigned => "The package is not signed: it can come from anybody.".to_owned(),
            Self::NotChecked { key_id } => {
                format!("The signature, by key {key_id}, was NOT CHECKED: no trusted key was given.")
            }
            Self::Trusted { key, .. } => format!("The package is signed by the trusted key {}.", key.id()),
        }
    }
}

/// What the trusted comment of a package's signature says, word for word.
pub fn trusted_comment(package: &PackageFacts, index: Digest) -> String {
    format!("airgap-deploy {} {} index {index}", package.name, package.version)
}

/// How long the signature of a package will be, before there is one.
pub fn signature_length(package: &PackageFacts) -> u64 {
    let encoded = |bytes: usize| bytes.div_ceil(3) * 4;
    let comment = trusted_comment(package, Digest::of(b""));
    let lines = [UNTRUSTED.len() + UNTRUSTED_COMMENT.len(), encoded(SIGNATURE_BYTES)];
    let trusted = [TRUSTED.len() + comment.len(), encoded(GLOBAL_BYTES)];
    lines.into_iter().chain(trusted).map(|length| length as u64 + 1).sum()
}

/// A signature file, taken apart.
#[derive(Debug, Clone)]
struct SignatureFile<'a> {
    text: &'a str,
    key_id: KeyId,
    prehashed: bool,
    trusted_comment: &'a str,
}

impl<'a> SignatureFile<'a> {
    /// Exactly four lines, in the one way to write them.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let lines: Vec<&str> = text.strip_suffix('\n')?.split('\n').collect();
        let [untrusted, signature, trusted, global] = lines.as_slice() else { return None };
        if untrusted.strip_prefix(UNTRUSTED) != Some(UNTRUSTED_COMMENT) {
            return None;
        }
        let trusted_comment = trusted.strip_prefix(TRUSTED)?;
        let signature = STANDARD.decode(signature).ok().filter(|bytes| bytes.len() == SIGNATURE_BYTES)?;
        STANDARD.decode(global).ok().filter(|bytes| bytes.len() == GLOBAL_BYTES)?;
        let key_id = KeyId::of(&signature)?;
        Some(Self { text, key_id, prehashed: signature.starts_with(PREHASHED), trusted_comment })
    }

    fn is_by(&self, key: &PublicKey, json: &[u8]) -> bool {
        let signature = minisign_verify::Signature::decode(self.text);
        key.id == self.key_id && signature.is_ok_and(|signature| key.key.verify(json, &signature, false).is_ok())
    }
}

/// Checks a signature against the bytes of an index, of which nothing was read yet.
///
/// # Errors
/// [`PayloadError::NotTrusted`] on a machine that trusts keys, unless one of them signed exactly these bytes.
pub fn check(trust: &Trust, json: &[u8], signature: Option<&[u8]>) -> Result<Signature, PayloadError> {
    let refused = |why: String| Err(PayloadError::NotTrusted(why));
    let Some(bytes) = signature else {
        if trust.trusted.is_empty() {
            return Ok(Signature::Unsigned);
        }
        return refused("it is not signed, and only packages that a trusted key signed are accepted".to_owned());
    };
    let Some(file) = SignatureFile::parse(bytes) else {
        if trust.trusted.is_empty() {
            return Err(PayloadError::damaged("index.json.minisig", "it is no signature of minisign"));
        }
        return refused("its signature cannot be read".to_owned());
    };
    let key_id = file.key_id;
    if trust.revoked.iter().any(|key| key.id == key_id) {
        return refused(format!("it is signed by key {key_id}, which was revoked"));
    }
    if trust.trusted.is_empty() {
        return Ok(Signature::NotChecked { key_id });
    }
    let mut known = trust.trusted.iter().filter(|key| key.id == key_id).peekable();
    if known.peek().is_none() {
        return refused(format!("it is signed by key {key_id}, which is not trusted here"));
    }
    if !file.prehashed {
        return refused(format!("its signature by key {key_id} is of minisign's old kind, without prehashing"));
    }
    match known.find(|key| file.is_by(key, json)) {
        Some(key) => Ok(Signature::Trusted { key: key.clone(), trusted_comment: file.trusted_comment.to_owned() }),
        None => refused(format!("its signature by key {key_id} is not right: it is of another index, or was altered")),
    }
}

/// Compares the signed comment with the index, which is known now.
///
/// # Errors
/// [`PayloadError::NotTrusted`] when a trusted key signed other words, [`PayloadError::Damaged`] when nobody checked who did.
pub(crate) fn check_comment(
    signature: &Signature,
    bytes: Option<&[u8]>,
    package: &PackageFacts,
    index: Digest,
) -> Result<(), PayloadError> {
    let Some(file) = bytes.and_then(SignatureFile::parse) else { return Ok(()) };
    if file.trusted_comment == trusted_comment(package, index) {
        return Ok(());
    }
    let problem = "the comment of its signature is about another package";
    match signature {
        Signature::Trusted { .. } => Err(PayloadError::NotTrusted(problem.to_owned())),
        _ => Err(PayloadError::damaged("index.json.minisig", problem)),
    }
}
