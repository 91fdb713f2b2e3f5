//! Volumes as `airgap-transfer` packs files: an archive for each, beside a manifest. What it unpacks are the volumes again.
//! Reading such a directory is in the crate `payload`.

use std::fs;
use std::io;
use std::path::Path;

use payload::{Cut, Digest, TRANSFER_MANIFEST, TransferChunk, TransferManifest, transfer_header, volume_name};

use super::emit::{Content, EmitError, emit_beside};
use super::volumes::{Volume, Wrapping, emit_wrapped};

const BLOCK: u64 = 512;
/// A header before the volume, and two empty blocks behind it.
const AROUND: u64 = 3 * BLOCK;
/// The original wants a time: the same package gives the same manifest.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// How long a volume may be, so that its archive is no longer than `size`: whole blocks, and whole kB.
pub(super) fn volume_size(size: u64) -> u64 {
    size.saturating_sub(AROUND) / BLOCK * BLOCK / 1000 * 1000
}

/// Refuses to mix the chunks of two packages.
pub(super) fn require_ours(directory: &Path, force: bool) -> Result<(), EmitError> {
    let path = directory.join(TRANSFER_MANIFEST);
    if force || !path.exists() {
        return Ok(());
    }
    let problem = "it is of another packing".to_owned();
    Err(EmitError::Refused {
        path,
        problem,
        hint: "name an empty directory with --output DIR, or replace it with --force",
    })
}

/// Writes the archives beside `path`, and their manifest when all of them are there.
pub(super) fn emit(path: &Path, cut: Cut, size: u64, content: Content<'_>) -> Result<(Vec<Volume>, Digest), EmitError> {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let wrap = |volume: usize| -> io::Result<Option<Wrapping>> {
        let length = cut.length(volume);
        let behind = length.next_multiple_of(BLOCK) - length + 2 * BLOCK;
        Ok(Some(Wrapping {
            name: chunk_name(volume),
            before: transfer_header(&volume_name(&name, volume), length)?,
            behind: vec![0; usize::try_from(behind).unwrap_or(0)],
        }))
    };
    let (volumes, digest) = emit_wrapped(path, cut, &wrap, content)?;
    let manifest = path.with_file_name(TRANSFER_MANIFEST);
    let failed =
        |error| EmitError::Write { path: manifest.clone(), source: io::Error::other::<serde_json::Error>(error) };
    let json = serde_json::to_string_pretty(&describe(name, cut, size, &volumes)).map_err(failed)?;
    emit_beside(json.as_bytes(), &manifest)?;
    remove_further(&manifest, volumes.len())?;
    Ok((volumes, digest))
}

fn describe(name: String, cut: Cut, size: u64, volumes: &[Volume]) -> TransferManifest {
    let chunk = |(index, volume): (usize, &Volume)| TransferChunk {
        index,
        filename: chunk_name(index),
        size_bytes: volume.length,
        checksum: volume.digest.to_string(),
        status: "completed".to_owned(),
    };
    TransferManifest {
        version: "1.0".to_owned(),
        operation: "pack".to_owned(),
        source_path: name,
        total_size_bytes: (0..cut.count()).map(|volume| cut.length(volume)).sum(),
        chunk_size_bytes: size,
        hash_algorithm: "sha256".to_owned(),
        chunk_count: volumes.len(),
        chunks: volumes.iter().enumerate().map(chunk).collect(),
        created_utc: NO_TIME.to_owned(),
        last_updated_utc: NO_TIME.to_owned(),
    }
}

fn chunk_name(number: usize) -> String {
    format!("chunk_{number:03}.tar")
}

/// Chunks that are left of a longer packing.
fn remove_further(manifest: &Path, count: usize) -> Result<(), EmitError> {
    for number in count..payload::MAX_VOLUMES {
        let path = manifest.with_file_name(chunk_name(number));
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(EmitError::Write { path, source }),
        }
    }
    Ok(())
}
