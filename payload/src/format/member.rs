//! Headers of the payload's tar archive (POSIX pax interchange format, IEEE Std 1003.1 "pax").
//! They are canonical: the reader makes them again from the index and compares, so it never parses an untrusted header
//! beyond the size of the first.

use crate::PayloadError;
use crate::format::layout::ALIGNMENT;

/// The unit in which tar archives are written.
pub(crate) const BLOCK: u64 = 512;
/// The largest size that the octal field of a ustar header holds.
const MAX_USTAR_SIZE: u64 = 0o777_7777_7777;

/// The bytes that stand before the content of a member: a ustar header, after a pax header where one is needed.
///
/// `offset` is where they start in the `.run` file. With `aligned`, a pax `comment` of spaces makes the content start at
/// a multiple of [`ALIGNMENT`].
pub(crate) fn header(name: &str, size: u64, offset: u64, aligned: bool) -> Result<Vec<u8>, PayloadError> {
    let ustar = ustar(name, size.min(MAX_USTAR_SIZE), tar::EntryType::Regular)?;
    let size_record = if size > MAX_USTAR_SIZE { pax_record("size", &size.to_string()) } else { String::new() };
    if size_record.is_empty() && !aligned {
        return Ok(ustar);
    }
    let blocks = if aligned { pax_blocks(offset) } else { 1 };
    let room = usize::try_from(blocks * BLOCK).unwrap_or(usize::MAX);
    let records = fill(&size_record, room, aligned);
    let mut bytes = self::ustar("pax", records.len() as u64, tar::EntryType::XHeader)?;
    bytes.extend_from_slice(records.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend_from_slice(&ustar);
    Ok(bytes)
}

/// How many blocks of pax records bring the content to an aligned offset: 1 to 8.
fn pax_blocks(offset: u64) -> u64 {
    let before = offset + 2 * BLOCK;
    let missing = before.next_multiple_of(ALIGNMENT) - before;
    if missing == 0 { ALIGNMENT / BLOCK } else { missing / BLOCK }
}

/// The records, filled up with a `comment` to `room` bytes when `aligned`.
fn fill(records: &str, room: usize, aligned: bool) -> String {
    if !aligned {
        return records.to_owned();
    }
    let left = room - records.len();
    let digits = left.to_string().len();
    let frame = digits + " comment=\n".len();
    format!("{records}{left} comment={}\n", " ".repeat(left - frame))
}

/// `<length> <key>=<value>\n`, where the length counts itself.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

fn ustar(name: &str, size: u64, kind: tar::EntryType) -> Result<Vec<u8>, PayloadError> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).map_err(|error| PayloadError::Format(format!("member name {name:?}: {error}")))?;
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

/// The size that the first header of a payload states, if it is that of a regular file called `name`.
pub(crate) fn size_of_first(block: &[u8; 512], name: &str) -> Option<u64> {
    let header = tar::Header::from_byte_slice(block);
    if header.path_bytes().as_ref() != name.as_bytes() || header.entry_type() != tar::EntryType::Regular {
        return None;
    }
    header.entry_size().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_aligned_wherever_the_header_starts() {
        for start in (0..16).map(|block| block * BLOCK) {
            for size in [0, 1, 1 << 40] {
                let header = header("blobs/x", size, start, true).unwrap();
                assert_eq!((start + header.len() as u64) % ALIGNMENT, 0, "start {start}, size {size}");
            }
        }
    }

    #[test]
    fn a_pax_record_counts_its_own_length() {
        assert_eq!(pax_record("size", "1"), "9 size=1\n");
        assert_eq!(pax_record("size", "9999999999"), "19 size=9999999999\n");
        assert_eq!(pax_record("k", &"v".repeat(94)).len(), 100 + 1);
    }

    #[test]
    fn sizes_beyond_eight_gibibytes_are_stated_in_full() {
        let header = header("blobs/x", 9 << 30, 0, false).unwrap();
        assert!(String::from_utf8_lossy(&header).contains(" size=9663676416\n"));
    }
}
