//! SHA-256 digests: the only algorithm of the format, compiled in.
//! Which digest is expected of what is the business of the index, not of this file.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// What the algorithm takes in at a time, in bytes.
const BLOCK: usize = 64;

/// A SHA-256 digest. Its text form is `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Text that is not a SHA-256 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256 digest (64 hexadecimal digits, with or without \"sha256:\" in front)")]
pub struct DigestError(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digests of two pieces, in less time than one after the other: see [`Hasher::update_with`].
    pub fn of_two(one: &[u8], other: &[u8]) -> [Self; 2] {
        let common = one.len().min(other.len());
        let (mut first, mut second) = (Sha256::new(), Sha256::new());
        for (of_one, of_other) in one[..common].chunks(BLOCK).zip(other[..common].chunks(BLOCK)) {
            first.update(of_one);
            second.update(of_other);
        }
        first.update(&one[common..]);
        second.update(&other[common..]);
        [Self(first.finalize().into()), Self(second.finalize().into())]
    }

    /// Its 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
    }

    /// The name of a blob in the payload and in an Ollama store: `sha256-<hex>`.
    pub fn blob_name(&self) -> String {
        format!("sha256-{}", self.hex())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let wrong = || DigestError(text.to_owned());
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

/// Computes the digest of bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds the next bytes to this and to another. Block by block in turn, since a processor with SHA extensions works on both
    /// at once then: three quarters of the time that one after the other takes.
    pub fn update_with(&mut self, other: &mut Self, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK) {
            self.0.update(block);
            other.0.update(block);
        }
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What computes digests on this processor: the same instructions that `sha2` looks for.
pub fn sha256_implementation() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("sha") && std::arch::is_x86_feature_detected!("sse4.1") {
        return "the SHA extensions of the processor";
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("sha2") {
        return "the SHA2 instructions of ARMv8";
    }
    "portable code: this processor has no instructions for it"
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_empty_digest_is_the_published_one() {
        assert_eq!(Digest::of(b"").hex(), EMPTY);
        assert_eq!(Hasher::default().finish(), Digest::of(b""));
    }

    #[test]
    fn what_is_digested_in_turn_is_digested_right() {
        let bytes: Vec<u8> = (0..1000_u32).flat_map(u32::to_le_bytes).collect();
        for cut in [0, 1, 63, 64, 65, 1000, 2000, 4000] {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(Digest::of_two(one, other), [Digest::of(one), Digest::of(other)], "{cut}");
            let (mut all, mut end) = (Hasher::default(), Hasher::default());
            all.update(one);
            all.update_with(&mut end, other);
            assert_eq!([all.finish(), end.finish()], [Digest::of(&bytes), Digest::of(other)], "{cut}");
        }
    }

    #[test]
    fn text_forms_round_trip_and_upper_case_is_accepted() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.hex().to_uppercase().parse(), Ok(digest));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "sha256:", "sha256:abc123...", &EMPTY[1..], &format!("{EMPTY}0"), &format!("md5:{EMPTY}")] {
            assert!(text.parse::<Digest>().is_err(), "{text:?} was accepted");
        }
    }
}
