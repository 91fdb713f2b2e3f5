//! What a downloaded file is: told from its first bytes, and from its name where bytes are silent.
//! Reading the members is in `tape.rs` and `zipped.rs`.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;

use crate::content::error::ContentError;
use crate::fetch::artifact::VerifiedFile;

use super::members::{Sink, too_large};
use super::{OnDisk, Unpacked, tape, zipped};

/// zstd's largest window without special measures; `zstd --ultra -22` asks for all of it.
const WINDOW_LOG: u32 = 27;
const TAR_BLOCK: u64 = 512;

/// Takes `file` apart.
pub(super) fn unpack(file: &VerifiedFile, mut sink: Sink<'_>) -> Result<Unpacked, ContentError> {
    let mut raw = File::open(&file.path).map_err(ContentError::io("open", &file.path))?;
    let head = peek(&mut raw).map_err(ContentError::io("read", &file.path))?;
    raw.rewind().map_err(ContentError::io("read", &file.path))?;
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return zipped::read(raw, sink).map(Unpacked::Members);
    }
    let limit = sink.limits.bytes;
    let compressed = decoder(raw, &head).map_err(|error| sink.damaged(&error))?;
    let (mut stream, is_compressed) = match compressed {
        Decoder::None(raw) => (Capped { inner: Box::new(raw) as Box<dyn Read>, left: limit, limit }, false),
        Decoder::Some(inner) => (Capped { inner, left: limit, limit }, true),
        Decoder::Unsupported(what) => return Ok(Unpacked::Neither(format!("a {what}, which is not supported"))),
    };
    let head = peek(&mut stream).map_err(|error| sink.damaged(&error))?;
    let whole = Cursor::new(head.clone()).chain(stream);
    if is_tar(&head) || (named_tar(&file.name) && is_end_of_tar(&head)) {
        return tape::read(whole, sink).map(Unpacked::Members);
    }
    if !head.starts_with(b"\x7fELF") && !head.starts_with(b"#!") {
        return Ok(Unpacked::Neither(describe(&head, is_compressed)));
    }
    if is_compressed {
        return sink.store(whole).map(Unpacked::Program);
    }
    Ok(Unpacked::Program(OnDisk { path: file.path.clone(), size: file.size, digest: file.digest }))
}

/// Why the file at `path` can be no program and no archive, if its first bytes tell.
pub(crate) fn problem(path: &Path, name: &str) -> io::Result<Option<String>> {
    let mut raw = File::open(path)?;
    let head = peek(&mut raw)?;
    raw.rewind()?;
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(None);
    }
    let (mut stream, compressed): (Box<dyn Read>, bool) = match decoder(raw, &head)? {
        Decoder::None(raw) => (Box::new(raw), false),
        Decoder::Some(inner) => (inner, true),
        Decoder::Unsupported(what) => return Ok(Some(format!("a {what}, which is not supported"))),
    };
    let head = peek(&mut stream)?;
    let archive = is_tar(&head) || (named_tar(name) && is_end_of_tar(&head));
    let program = head.starts_with(b"\x7fELF") || head.starts_with(b"#!");
    Ok((!archive && !program).then(|| describe(&head, compressed)))
}

/// The first block, or less where there is less.
fn peek(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(TAR_BLOCK).read_to_end(&mut head)?;
    Ok(head)
}

enum Decoder {
    None(File),
    Some(Box<dyn Read>),
    Unsupported(&'static str),
}

fn decoder(raw: File, head: &[u8]) -> io::Result<Decoder> {
    let skippable = matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    Ok(if head.starts_with(b"\x28\xb5\x2f\xfd") || skippable {
        let mut decoder = zstd::Decoder::new(raw)?;
        decoder.window_log_max(WINDOW_LOG)?;
        Decoder::Some(Box::new(decoder))
    } else if head.starts_with(b"\x1f\x8b") {
        Decoder::Some(Box::new(MultiGzDecoder::new(io::BufReader::new(raw))))
    } else if head.starts_with(b"\xfd7zXZ\0") {
        Decoder::Some(Box::new(XzDecoder::new_multi_decoder(raw)))
    } else if head.starts_with(b"BZh") {
        Decoder::Unsupported("bzip2 file")
    } else if head.starts_with(b"7z\xbc\xaf\x27\x1c") {
        Decoder::Unsupported("7-Zip archive")
    } else {
        Decoder::None(raw)
    })
}

fn is_tar(head: &[u8]) -> bool {
    if head.get(257..262) == Some(b"ustar") {
        return true;
    }
    let Some(fields) = head.get(148..156) else { return false };
    let stated = std::str::from_utf8(fields).ok().map(|text| text.trim_matches([' ', '\0']));
    let Some(stated) = stated.and_then(|text| u32::from_str_radix(text, 8).ok()) else { return false };
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    let field: u32 = fields.iter().map(|byte| u32::from(*byte)).sum();
    head.len() as u64 == TAR_BLOCK && stated != 0 && sum - field + 8 * u32::from(b' ') == stated
}

/// The block of zeros that an archive without members starts with.
fn is_end_of_tar(head: &[u8]) -> bool {
    head.len() as u64 == TAR_BLOCK && head.iter().all(|byte| *byte == 0)
}

fn named_tar(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst"].iter().any(|suffix| name.ends_with(suffix))
}

fn describe(head: &[u8], compressed: bool) -> String {
    let what = if head.is_empty() {
        "empty"
    } else if head.trim_ascii_start().starts_with(b"<") {
        "a web page or XML document"
    } else if head.starts_with(b"GGUF") {
        "a GGUF model"
    } else if head.starts_with(b"MZ") {
        "a program for Windows"
    } else if head.starts_with(b"\xcf\xfa\xed\xfe") || head.starts_with(b"\xca\xfe\xba\xbe") {
        "a program for macOS"
    } else {
        "neither an archive (tar, zip; gzip, xz, zstd) nor an ELF program"
    };
    if compressed { format!("{what}, after decompression") } else { what.to_owned() }
}

/// Stops after the limit of decompressed bytes.
struct Capped {
    inner: Box<dyn Read>,
    left: u64,
    limit: u64,
}

impl Read for Capped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(length as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, too_large(self.limit)))?;
        Ok(length)
    }
}
