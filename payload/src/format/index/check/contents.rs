//! Files, blobs and documents of the index: each file has its content, each content has a use.
//! The bytes themselves are compared in `read.rs`.

use std::collections::{HashMap, HashSet};

use super::{MAX_SIZE, refuse};
use crate::format::index::{Blob, Document, Encoding, Index};
use crate::format::layout::{CHUNK_SIZE, MANIFEST};
use crate::{Digest, PayloadError};

/// Documents are read whole, in bytes.
const MAX_DOCUMENT: u64 = 4 << 20;
/// What a ustar header holds without being split.
const MAX_DOCUMENT_NAME: usize = 100;

pub(super) fn check(index: &Index) -> Result<(), PayloadError> {
    let blobs = blobs(index)?;
    files(index, &blobs)?;
    documents(index)
}

fn blobs(index: &Index) -> Result<HashMap<Digest, &Blob>, PayloadError> {
    let mut blobs = HashMap::with_capacity(index.blobs.len());
    let mut total: u64 = 0;
    for blob in &index.blobs {
        if blobs.insert(blob.digest, blob).is_some() {
            return refuse(format!("blob {} is listed twice", blob.digest));
        }
        single(blob)?;
        total = total.saturating_add(blob.size);
    }
    if total > MAX_SIZE {
        return refuse("its blobs are impossibly large");
    }
    Ok(blobs)
}

fn single(blob: &Blob) -> Result<(), PayloadError> {
    let name = blob.digest;
    if blob.size > MAX_SIZE || blob.stored_size > MAX_SIZE {
        return refuse(format!("blob {name} is impossibly large"));
    }
    if blob.chunks.len() as u64 != blob.stored_size.div_ceil(CHUNK_SIZE) {
        return refuse(format!("blob {name} has {} chunks for {} bytes", blob.chunks.len(), blob.stored_size));
    }
    if blob.encoding == Encoding::Xz {
        return Ok(());
    }
    if blob.size != blob.stored_size {
        return refuse(format!("blob {name} is stored raw but its two sizes differ"));
    }
    let whole = match blob.chunks.as_slice() {
        [] => Digest::of(b""),
        [only] => *only,
        _ => name,
    };
    if whole == name { Ok(()) } else { refuse(format!("blob {name} is stored raw but its only chunk is {whole}")) }
}

fn files(index: &Index, blobs: &HashMap<Digest, &Blob>) -> Result<(), PayloadError> {
    let mut used = HashSet::with_capacity(blobs.len());
    for file in &index.files {
        if !blobs.contains_key(&file.blob) {
            return refuse(format!("{} has the content {}, which the payload does not have", file.path, file.blob));
        }
        if file.component >= index.components.len() {
            return refuse(format!("{} belongs to component {}, which does not exist", file.path, file.component));
        }
        used.insert(file.blob);
    }
    if let Some(blob) = index.blobs.iter().find(|blob| !used.contains(&blob.digest)) {
        return refuse(format!("blob {} belongs to no file", blob.digest));
    }
    if index.files.is_sorted_by_key(|file| file.role) {
        Ok(())
    } else {
        refuse("its files are not in the order of installation")
    }
}

fn documents(index: &Index) -> Result<(), PayloadError> {
    let is_manifest =
        |document: &Document| document.name.as_str() == MANIFEST && document.digest == index.build.manifest;
    if !index.documents.first().is_some_and(is_manifest) {
        return refuse(format!("its first document is not {MANIFEST} with the digest that it states"));
    }
    let mut seen = HashSet::new();
    for document in &index.documents {
        let name = document.name.as_str();
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+/".contains(&byte));
        if !plain || name.len() > MAX_DOCUMENT_NAME || name.starts_with("index.json") || name.starts_with("blobs") {
            return refuse(format!("document {name:?} has a name that no document has"));
        }
        if document.size > MAX_DOCUMENT {
            return refuse(format!("document {name:?} is larger than {MAX_DOCUMENT} bytes"));
        }
        if !seen.insert(name) {
            return refuse(format!("document {name:?} is listed twice"));
        }
    }
    Ok(())
}
