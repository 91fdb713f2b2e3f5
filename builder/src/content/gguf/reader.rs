//! Reading GGUF's numbers, texts and values: every length is compared with what is left of the file before use.
//! Which keys matter is decided in `gguf.rs`.

use std::io::{BufRead, BufReader, Read, Seek};

use super::GgufError;

pub(super) const UINT32: u32 = 4;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Longest key the format allows, in bytes.
const MAX_KEY: u64 = 65_535;

pub(super) struct Reader<R> {
    inner: BufReader<R>,
    position: u64,
    size: u64,
}

impl<R: Read + Seek> Reader<R> {
    pub(super) fn new(inner: R, size: u64) -> Self {
        Self { inner: BufReader::with_capacity(64 << 10, inner), position: 0, size }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes, at most `length`, without moving on.
    pub(super) fn peek(&mut self, length: usize) -> Result<Vec<u8>, GgufError> {
        let bytes = self.inner.fill_buf()?;
        Ok(bytes.iter().take(length).copied().collect())
    }

    /// Checks that `count` things of at least `least` bytes each can still follow.
    pub(super) fn fits(&self, count: u64, least: u64, what: &str) -> Result<(), GgufError> {
        if count.checked_mul(least).is_some_and(|bytes| bytes <= self.left()) {
            return Ok(());
        }
        let left = self.left();
        Err(GgufError::Truncated(format!(
            "{count} {what} cannot follow at byte {}: {left} bytes are left",
            self.position
        )))
    }

    fn left(&self) -> u64 {
        self.size.saturating_sub(self.position)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fits(N as u64, 1, &format!("bytes ({what})"))?;
        self.inner.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(super) fn skip(&mut self, length: u64, what: &str) -> Result<(), GgufError> {
        self.fits(length, 1, &format!("bytes ({what})"))?;
        let wrong = |_| GgufError::Truncated(format!("{what} is {length} bytes long"));
        self.inner.seek_relative(i64::try_from(length).map_err(wrong)?)?;
        self.position += length;
        Ok(())
    }

    pub(super) fn skip_text(&mut self, what: &str) -> Result<(), GgufError> {
        let length = self.u64(what)?;
        self.skip(length, what)
    }

    /// A text of at most `most` bytes; bytes that are no UTF-8 are replaced.
    fn text(&mut self, what: &str, most: u64) -> Result<String, GgufError> {
        let length = self.u64(what)?;
        self.fits(length, 1, &format!("bytes ({what})"))?;
        if length > most {
            return Err(GgufError::Truncated(format!("{what} is {length} bytes long; at most {most} make sense")));
        }
        let mut bytes = Vec::new();
        (&mut self.inner).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(GgufError::Truncated(format!("the file ends inside {what}")));
        }
        self.position += length;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn key(&mut self) -> Result<String, GgufError> {
        self.text("a key", MAX_KEY)
    }

    /// The value if it is a text, else `None` after moving past it.
    pub(super) fn text_of(&mut self, kind: u32, key: &str, most: u64) -> Result<Option<String>, GgufError> {
        if kind == STRING {
            return self.text(key, most).map(Some);
        }
        self.skip_value(kind, key)?;
        Ok(None)
    }

    /// The value if it is a whole number that is not negative, else `None` after moving past it.
    pub(super) fn number_of(&mut self, kind: u32, key: &str) -> Result<Option<u64>, GgufError> {
        Ok(match kind {
            0 | BOOL => Some(self.array::<1>(key).map(u8::from_le_bytes)?.into()),
            1 => u64::try_from(self.array::<1>(key).map(i8::from_le_bytes)?).ok(),
            2 => Some(self.array(key).map(u16::from_le_bytes)?.into()),
            3 => u64::try_from(self.array(key).map(i16::from_le_bytes)?).ok(),
            UINT32 => Some(self.u32(key)?.into()),
            5 => u64::try_from(self.array(key).map(i32::from_le_bytes)?).ok(),
            10 => Some(self.u64(key)?),
            11 => u64::try_from(self.array(key).map(i64::from_le_bytes)?).ok(),
            other => {
                self.skip_value(other, key)?;
                None
            }
        })
    }

    /// The value, or the values of an array, as far as they are whole numbers that are not negative; none of an array that
    /// is longer than `most`.
    pub(super) fn numbers_of(&mut self, kind: u32, key: &str, most: u64) -> Result<Vec<u64>, GgufError> {
        if kind != ARRAY {
            return Ok(self.number_of(kind, key)?.into_iter().collect());
        }
        let (kind, count) = (self.u32(key)?, self.u64(key)?);
        if count > most || matches!(kind, STRING | ARRAY) {
            self.skip_values(kind, count, key)?;
            return Ok(Vec::new());
        }
        (0..count).map(|_| Ok(self.number_of(kind, key)?.unwrap_or(0))).collect()
    }

    /// How many values the array has, after moving past it; `None` of what is no array.
    pub(super) fn count_of(&mut self, kind: u32, key: &str) -> Result<Option<u64>, GgufError> {
        if kind == ARRAY {
            return self.skip_array(key).map(Some);
        }
        self.skip_value(kind, key)?;
        Ok(None)
    }

    pub(super) fn skip_value(&mut self, kind: u32, key: &str) -> Result<(), GgufError> {
        match kind {
            STRING => self.skip_text(key),
            ARRAY => self.skip_array(key).map(drop),
            other => self.skip(width(other, key)?, key),
        }
    }

    fn skip_array(&mut self, key: &str) -> Result<u64, GgufError> {
        let (kind, count) = (self.u32(key)?, self.u64(key)?);
        self.skip_values(kind, count, key)?;
        Ok(count)
    }

    fn skip_values(&mut self, kind: u32, count: u64, key: &str) -> Result<(), GgufError> {
        match kind {
            STRING => {
                self.fits(count, 8, &format!("texts of {key}"))?;
                (0..count).try_for_each(|_| self.skip_text(key))
            }
            ARRAY => Err(GgufError::Truncated(format!("{key} is an array of arrays, which no loader accepts"))),
            other => {
                let width = width(other, key)?;
                self.fits(count, width, &format!("values of {key}"))?;
                self.skip(count * width, key)
            }
        }
    }
}

/// Bytes of a number.
fn width(kind: u32, key: &str) -> Result<u64, GgufError> {
    match kind {
        0 | 1 | BOOL => Ok(1),
        2 | 3 => Ok(2),
        UINT32 | 5 | 6 => Ok(4),
        10..=12 => Ok(8),
        other => Err(GgufError::Truncated(format!("{key} has a value of type {other}, which does not exist"))),
    }
}
