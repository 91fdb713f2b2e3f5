//! Chunk directories as `airgap-transfer` packs them: a manifest in JSON, and tar archives that hold whole files. They come
//! from anywhere: nothing in them is believed but where a file may lie, and the bytes of a volume are proven by the index.
//! Other ways to find a volume are in `find.rs`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::volumes::find::{Piece, open_regular};
use crate::{Digest, MAX_VOLUMES};

/// What the manifest is called.
pub const TRANSFER_MANIFEST: &str = "airgap-transfer-manifest.json";
/// Longer than the manifest of as many chunks as there may be, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// Headers that are looked at in one archive.
const MAX_MEMBERS: usize = 10_000;
/// What a header of its own may say of the next member, in bytes: longer than any path.
const MAX_ABOUT: u64 = 64 << 10;
const BLOCK: u64 = 512;

/// The manifest, with the keys of the original in its order. Times are left out: the same package gives the same manifest.
#[derive(Debug, Serialize, Deserialize)]
pub struct TransferManifest {
    pub version: String,
    pub operation: String,
    pub source_path: String,
    pub total_size_bytes: u64,
    pub chunk_size_bytes: u64,
    pub hash_algorithm: String,
    pub chunk_count: usize,
    pub chunks: Vec<TransferChunk>,
    pub created_utc: String,
    pub last_updated_utc: String,
}

/// One archive.
#[derive(Debug, Serialize, Deserialize)]
pub struct TransferChunk {
    pub index: usize,
    pub filename: String,
    pub size_bytes: u64,
    pub checksum: String,
    pub status: String,
}

/// What a reader needs of a manifest.
#[derive(Debug, Deserialize)]
struct Found {
    version: String,
    operation: String,
    hash_algorithm: String,
    chunks: Vec<TransferChunk>,
}

/// Reads a manifest.
///
/// # Errors
/// A sentence, when it is none, or not of a finished packing.
pub fn parse_transfer_manifest(text: &str) -> Result<Vec<TransferChunk>, String> {
    let found: Found = serde_json::from_str(text).map_err(|error| format!("{TRANSFER_MANIFEST}: {error}"))?;
    let wrong = |what: String| Err(format!("{TRANSFER_MANIFEST}: {what}"));
    if !(found.version == "1" || found.version.starts_with("1.")) {
        return wrong(format!("version {:?} is not known, only 1", found.version));
    }
    if found.operation != "pack" || found.hash_algorithm != "sha256" {
        return wrong(format!(
            "{:?} with {:?} is not what a packing with sha256 leaves",
            found.operation, found.hash_algorithm
        ));
    }
    if found.chunks.len() > MAX_VOLUMES {
        return wrong(format!("it has more than {MAX_VOLUMES} chunks"));
    }
    for (position, chunk) in found.chunks.iter().enumerate() {
        let name = format!("chunk_{position:03}.tar");
        if chunk.index != position || chunk.filename != name {
            return wrong(format!("chunk {position} is {:?}, not {name}", chunk.filename));
        }
        if chunk.status != "completed" {
            return wrong(format!("{} is {:?}: the packing was not finished", chunk.filename, chunk.status));
        }
        if !chunk.checksum.is_empty() && chunk.checksum.parse::<Digest>().is_err() {
            return wrong(format!("{} has no sha256 checksum", chunk.filename));
        }
    }
    Ok(found.chunks)
}

/// The chunks of a directory; `None` when it is no chunk directory.
pub(crate) fn chunks(directory: &Path) -> io::Result<Option<Vec<TransferChunk>>> {
    let file = match open_regular(&directory.join(TRANSFER_MANIFEST)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(MAX_MANIFEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_MANIFEST {
        return Err(io::Error::other(format!("{TRANSFER_MANIFEST} is larger than {}", crate::size(MAX_MANIFEST))));
    }
    parse_transfer_manifest(&text).map(Some).map_err(io::Error::other)
}

/// A file in one of the archives of a chunk directory: its archive, its name there, its bytes.
#[derive(Debug)]
pub struct Member {
    pub archive: std::path::PathBuf,
    pub name: String,
    pub piece: Piece,
}

/// The first file for whose name `wanted` holds, in the archives of a chunk directory that are here.
///
/// # Errors
/// What the system says, or what is wrong with the manifest or an archive.
pub(crate) fn find_member(directory: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Option<Member>> {
    let Some(chunks) = chunks(directory)? else { return Ok(None) };
    for chunk in chunks {
        let archive = directory.join(&chunk.filename);
        let file = match open_regular(&archive) {
            Ok(file) => file,
            // It is on another medium.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if let Some((name, skip, length)) = member(&file, &wanted)? {
            let piece = Piece::inside(file, skip, length).of(chunk.filename);
            return Ok(Some(Member { archive, name, piece }));
        }
    }
    Ok(None)
}

/// What headers of their own say of the next member.
#[derive(Debug, Default)]
struct About {
    path: Option<String>,
    size: Option<u64>,
}

impl About {
    /// The content of such a header: a long path as GNU tar writes it, or the records of pax.
    fn read(&mut self, kind: tar::EntryType, file: &File, offset: u64, size: u64) -> io::Result<()> {
        if size > MAX_ABOUT {
            return Err(damaged());
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        file.read_exact_at(&mut bytes, offset)?;
        if kind.is_gnu_longname() {
            let path = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            self.path = Some(String::from_utf8_lossy(path).into_owned());
            return Ok(());
        }
        for record in tar::PaxExtensions::new(&bytes) {
            let record = record?;
            match record.key_bytes() {
                b"path" => self.path = Some(String::from_utf8_lossy(record.value_bytes()).into_owned()),
                b"size" => {
                    self.size = Some(record.value().ok().and_then(|size| size.parse().ok()).ok_or_else(damaged)?);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn damaged() -> io::Error {
    io::Error::other("a header of the archive is damaged")
}

/// Walks the headers of an archive, and reads nothing else: name, where the content starts, and how much of it is there.
fn member(file: &File, wanted: &impl Fn(&str) -> bool) -> io::Result<Option<(String, u64, u64)>> {
    let end = file.metadata()?.len();
    let (mut offset, mut about) = (0_u64, About::default());
    for _ in 0..MAX_MEMBERS {
        let mut block = [0; 512];
        if offset + BLOCK > end {
            return Ok(None);
        }
        file.read_exact_at(&mut block, offset)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = tar::Header::from_byte_slice(&block);
        let sum = |part: &[u8]| part.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        if header.cksum().ok() != Some(sum(&block[..148]) + 8 * 32 + sum(&block[156..])) {
            return Err(damaged());
        }
        let (kind, content) = (header.entry_type(), offset + BLOCK);
        let mut size = header.entry_size().map_err(|_| damaged())?;
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            about.read(kind, file, content, size)?;
        } else if !kind.is_gnu_longlink() && !kind.is_pax_global_extensions() {
            let About { path, size: real } = std::mem::take(&mut about);
            let path = path.unwrap_or_else(|| String::from_utf8_lossy(&header.path_bytes()).into_owned());
            size = real.unwrap_or(size);
            if kind.is_file()
                && let Some(name) = Path::new(&path).file_name().and_then(|name| name.to_str())
                && wanted(name)
            {
                return Ok(Some((name.to_owned(), content, size.min(end.saturating_sub(content)))));
            }
        }
        offset = size.checked_next_multiple_of(BLOCK).and_then(|size| content.checked_add(size)).ok_or_else(damaged)?;
    }
    Err(io::Error::other(format!("the archive has more than {MAX_MEMBERS} members")))
}

/// The header that stands before a volume in its archive, as the original writes it.
///
/// # Errors
/// The name is too long for it.
pub fn transfer_header(name: &str, size: u64) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(if crate::volumes::find::is_package_name(name) { 0o755 } else { 0o644 });
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(filename: &str, status: &str) -> String {
        format!(
            r#"{{"version": "1.0", "operation": "pack", "source_path": "/x", "total_size_bytes": 1, "chunk_size_bytes": 1,
            "hash_algorithm": "sha256", "chunk_count": 1, "created_utc": "", "last_updated_utc": "", "chunks": [{{"index": 0,
            "filename": "{filename}", "size_bytes": 1, "checksum": "", "status": "{status}"}}]}}"#
        )
    }

    #[test]
    fn a_manifest_that_names_anything_but_its_own_chunks_is_refused() {
        assert_eq!(parse_transfer_manifest(&manifest("chunk_000.tar", "completed")).unwrap().len(), 1);
        for name in [
            "../chunk_000.tar",
            "/etc/passwd",
            "chunk_001.tar",
            "chunk_000.tar/x",
            "chunk_.tar",
            "chunk_0.tar",
            "x",
            "",
        ] {
            assert!(parse_transfer_manifest(&manifest(name, "completed")).is_err(), "{name}");
        }
        assert!(parse_transfer_manifest(&manifest("chunk_000.tar", "pending")).unwrap_err().contains("not finished"));
        let other = manifest("chunk_000.tar", "completed");
        assert!(parse_transfer_manifest(&other.replace("\"1.0\"", "\"2.0\"")).is_err());
        assert!(parse_transfer_manifest(&other.replace("sha256", "md5")).is_err());
        assert!(parse_transfer_manifest("{}").is_err() && parse_transfer_manifest("[").is_err());
    }
}
