//! Where everything lies in a `.run` file: computed from the index alone, the same by the writer and by the reader.
//! Reading and writing the bytes lives in `read.rs` and `write.rs`.

use std::borrow::Cow;

use crate::format::index::Index;
use crate::format::member::{self, BLOCK};
use crate::{Digest, PayloadError};

/// The payload, and the content of every blob in it, starts at a multiple of this many bytes.
pub const ALIGNMENT: u64 = 4096;
/// Stored bytes are digested in pieces of this many bytes (4 MiB).
pub const CHUNK_SIZE: u64 = 4 << 20;
/// How long an index may be, in bytes: the digests of 450 GiB of models, or 10,000 files with long paths. An index is held
/// several times while it is read, and all of it has to fit a small machine.
const MAX_INDEX: u64 = 8 << 20;

pub(crate) const INDEX: &str = "index.json";
pub(crate) const MANIFEST: &str = "manifest.toml";
pub(crate) const INDEX_DIGEST: &str = "index.json.sha256";
pub(crate) const SIGNATURE: &str = "index.json.minisig";

/// Readers take no longer index than this, so nothing writes one.
///
/// # Errors
/// [`PayloadError::Format`], which says what makes an index long.
pub(crate) fn check_index_size(size: u64) -> Result<(), PayloadError> {
    if size <= MAX_INDEX {
        return Ok(());
    }
    Err(PayloadError::Format(format!(
        "it is {size} bytes long, and at most {MAX_INDEX} are read: each 4 MiB of content takes some 75 bytes of it, each file \
         some 400 and its path"
    )))
}

/// A run of bytes in the file, and what must stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Region {
    /// The program at the start.
    Stub,
    /// Bytes that follow from the index: padding, tar headers, the digest file, the signature, the end of the archive.
    Known { bytes: Known, what: String },
    /// `index.json` itself.
    Index,
    /// One of [`Index::documents`].
    Document(usize),
    /// The stored bytes of one of [`Index::blobs`].
    Blob(usize),
}

/// Bytes that follow from the index. Made when they are needed: the headers of 10,000 blobs are 45 MB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    Zeros(u64),
    Header { name: String, size: u64, offset: u64, aligned: bool },
    Text(Vec<u8>),
}

impl Known {
    /// The bytes.
    ///
    /// # Errors
    /// None that a layout with this header had not had before.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>, PayloadError> {
        Ok(match self {
            Self::Zeros(length) => Cow::Owned(vec![0; usize::try_from(*length).unwrap_or(0)]),
            Self::Header { name, size, offset, aligned } => Cow::Owned(member::header(name, *size, *offset, *aligned)?),
            Self::Text(bytes) => Cow::Borrowed(bytes),
        })
    }
}

/// All regions of a `.run` file, without a gap, from its first byte to its last.
#[derive(Debug, Clone)]
pub struct Layout {
    regions: Vec<(u64, Region)>,
    /// Where the documents and the stored bytes of the blobs start, in the order of the index.
    documents: Vec<u64>,
    blobs: Vec<u64>,
    length: u64,
}

/// `index.json` as far as it decides where things lie.
#[derive(Debug, Clone, Copy)]
pub struct IndexFile {
    /// In bytes.
    pub size: u64,
    pub digest: Digest,
}

impl IndexFile {
    pub fn of(json: &[u8]) -> Self {
        Self { size: json.len() as u64, digest: Digest::of(json) }
    }
}

impl Layout {
    /// The layout of a file with this index and its signature if it has one.
    pub fn new(index: &Index, json: IndexFile, signature: Option<&[u8]>) -> Result<Self, PayloadError> {
        Self::behind(index.build.stub.size, index, json, signature)
    }

    /// The same behind another program than the index says, of `stub_size` bytes.
    pub(crate) fn behind(
        stub_size: u64,
        index: &Index,
        json: IndexFile,
        signature: Option<&[u8]>,
    ) -> Result<Self, PayloadError> {
        let mut layout = Self { regions: Vec::new(), documents: Vec::new(), blobs: Vec::new(), length: 0 };
        layout.push(Region::Stub, stub_size);
        layout.pad(ALIGNMENT, "the padding after the stub");
        layout.member(INDEX, json.size, Region::Index)?;
        let digest_file = digest_file(json.digest);
        let known =
            Region::Known { bytes: Known::Text(digest_file.clone().into_bytes()), what: INDEX_DIGEST.to_owned() };
        layout.member(INDEX_DIGEST, digest_file.len() as u64, known)?;
        if let Some(signature) = signature {
            let known = Region::Known { bytes: Known::Text(signature.to_vec()), what: SIGNATURE.to_owned() };
            layout.member(SIGNATURE, signature.len() as u64, known)?;
        }
        for (position, document) in index.documents.iter().enumerate() {
            layout.member(document.name.as_str(), document.size, Region::Document(position))?;
        }
        for (position, blob) in index.blobs.iter().enumerate() {
            layout.member(&blob_member(blob), blob.stored_size, Region::Blob(position))?;
        }
        layout.known(Known::Zeros(2 * BLOCK), 2 * BLOCK, "the end of the archive");
        Ok(layout)
    }

    /// Every region with its offset in the file, in order.
    pub fn regions(&self) -> impl Iterator<Item = (u64, &Region)> {
        self.regions.iter().map(|(offset, region)| (*offset, region))
    }

    /// Length of the whole file in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the stored bytes of the blob at `position` in [`Index::blobs`] start.
    pub fn blob_offset(&self, position: usize) -> Option<u64> {
        self.blobs.get(position).copied()
    }

    /// Where the first blob starts: a plan needs nothing that lies behind it.
    pub fn content_offset(&self) -> u64 {
        self.blobs.first().copied().unwrap_or(self.length)
    }

    /// Where the document at `position` in [`Index::documents`] starts.
    pub fn document_offset(&self, position: usize) -> Option<u64> {
        self.documents.get(position).copied()
    }

    fn push(&mut self, region: Region, length: u64) {
        self.regions.push((self.length, region));
        self.length += length;
    }

    fn known(&mut self, bytes: Known, length: u64, what: &str) {
        if length > 0 {
            self.push(Region::Known { bytes, what: what.to_owned() }, length);
        }
    }

    fn pad(&mut self, unit: u64, what: &str) {
        let missing = self.length.next_multiple_of(unit) - self.length;
        self.known(Known::Zeros(missing), missing, what);
    }

    fn member(&mut self, name: &str, size: u64, region: Region) -> Result<(), PayloadError> {
        let (offset, aligned) = (self.length, matches!(region, Region::Blob(_)));
        let header = Known::Header { name: name.to_owned(), size, offset, aligned };
        let length = header.bytes()?.len() as u64;
        self.known(header, length, &format!("the tar header of {name}"));
        match &region {
            Region::Document(_) => self.documents.push(self.length),
            Region::Blob(_) => self.blobs.push(self.length),
            _ => {}
        }
        self.push(region, size);
        self.pad(BLOCK, &format!("the padding after {name}"));
        Ok(())
    }
}

/// The content of `index.json.sha256`, as `sha256sum --check` reads it.
pub(crate) fn digest_file(digest: Digest) -> String {
    format!("{}  {INDEX}\n", digest.hex())
}

/// The name of a blob's tar member: a compressed one ends in `.xz`.
pub(crate) fn blob_member(blob: &crate::format::index::Blob) -> String {
    match blob.encoding {
        crate::format::index::Encoding::Raw => format!("blobs/{}", blob.digest.blob_name()),
        crate::format::index::Encoding::Xz => format!("blobs/{}.xz", blob.digest.blob_name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_a_length_that_is_still_read() {
        assert!(check_index_size(MAX_INDEX).is_ok());
        let problem = check_index_size(MAX_INDEX + 1).unwrap_err().to_string();
        assert!(problem.contains("it is 8388609 bytes long, and at most 8388608 are read"), "{problem}");
    }
}
