//! Reads a `.run` file: opens it by its index, and hands out nothing whose bytes have not been compared with it.
//! Comparing all of it is in `verify.rs`, where things lie in `format/layout.rs`; what is done with them is the caller's
//! business.

use std::fs::File;
use std::ops::RangeInclusive;

use crate::format::index::Index;
use crate::format::layout::{
    ALIGNMENT, CHUNK_SIZE, INDEX, INDEX_DIGEST, IndexFile, Layout, Region, SIGNATURE, check_index_size, digest_file,
};
use crate::format::member::{self, BLOCK};
use crate::signature::{self, MAX_SIGNATURE, Signature, Trust};
use crate::volumes::cut::Cut;
use crate::volumes::parts::Parts;
use crate::volumes::proof::Proof;
use crate::{Digest, Hasher, PayloadError, Watch, elf_length};

/// An opened `.run` file whose stub and index are intact. Its blobs are compared when they are read.
#[derive(Debug)]
pub struct Package {
    parts: Parts,
    /// Of `index.json`, which is not kept beside what it says: it may be as large.
    json: IndexFile,
    json_offset: u64,
    index: Index,
    layout: Layout,
    signature: Signature,
    signature_file: Option<Vec<u8>>,
    stub: FileStub,
}

/// The program at the start of a `.run` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileStub {
    /// The one that the index names.
    AsPacked,
    /// Another one: it must not be run.
    Other { size: u64, digest: Digest },
}

impl Package {
    /// Opens a `.run` file, or the first of its volumes. Reads the stub, the index and its signature, and nothing behind them. Of the index nothing is
    /// parsed before its signature was checked. What a trusted key signed is read behind any program at all, for
    /// [`Self::file_stub`] to tell.
    ///
    /// # Errors
    /// [`PayloadError::NoPayload`] for a bare stub, [`PayloadError::Damaged`] when stub or index are not as they were
    /// packed or the length is wrong, [`PayloadError::NotTrusted`] when no key that has to vouches for it,
    /// [`PayloadError::Format`] for an index of another version.
    pub fn open(parts: impl Into<Parts>, trust: &Trust) -> Result<Self, PayloadError> {
        let parts = parts.into();
        let length = parts.first_length();
        let stub_size = elf_length(parts.first())?;
        if stub_size == length {
            return Err(PayloadError::NoPayload(
                "nothing is appended to this program: it is the installer alone, or not a package at all".to_owned(),
            ));
        }
        let start = stub_size.next_multiple_of(ALIGNMENT);
        let (json, facts, third) = read_index(&parts, start)?;
        let signature_file = read_signature(&parts, third)?;
        let signature = signature::check(trust, &json, signature_file.as_deref())?;
        let index = Index::from_json(&json)?;
        drop(json);
        signature::check_comment(&signature, signature_file.as_deref(), &index.package, facts.digest)?;
        let mut layout = Layout::new(&index, facts, signature_file.as_deref())?;
        if layout.length() != index.total_length {
            return Err(PayloadError::Format("its total length does not follow from its members".to_owned()));
        }
        if stub_size != index.build.stub.size {
            if !signature.is_trusted() {
                return Err(PayloadError::damaged("the stub", "its length is not the one in the index"));
            }
            layout = Layout::behind(stub_size, &index, facts, signature_file.as_deref())?;
        }
        let stub = file_stub(&parts, stub_size, &index)?;
        let json_offset = start + BLOCK;
        let mut package = Self { parts, json: facts, json_offset, index, layout, signature, signature_file, stub };
        if !package.signature.is_trusted() {
            package.require_stub()?;
        }
        package.check_length(length)?;
        for (offset, region) in package.layout.regions() {
            match region {
                Region::Blob(_) | Region::Document(_) => break,
                // Compared already, as everything else could be computed from it.
                Region::Stub | Region::Index => {}
                known @ Region::Known { .. } => package.check(offset, known)?,
            }
        }
        Ok(package)
    }

    /// What the package states about itself.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Where everything lies in the file.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// `index.json`, read from the file once more, and compared.
    ///
    /// # Errors
    /// It is not as it was when the package was opened, or cannot be read.
    pub fn index_json(&self) -> Result<Vec<u8>, PayloadError> {
        let mut json = vec![0; usize::try_from(self.json.size).unwrap_or(0)];
        self.parts.read(self.json_offset, &mut json, INDEX)?;
        if Digest::of(&json) == self.json.digest {
            Ok(json)
        } else {
            Err(PayloadError::damaged(INDEX, "its bytes are not the ones that were packed"))
        }
    }

    /// The digest of `index.json`: names this exact package.
    pub fn digest(&self) -> Digest {
        self.json.digest
    }

    /// What is known about its signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// `index.json.minisig` as it stands in the file.
    pub fn signature_file(&self) -> Option<&[u8]> {
        self.signature_file.as_deref()
    }

    /// Which program stands at the start of the file.
    pub fn file_stub(&self) -> FileStub {
        self.stub
    }

    /// Refuses a file whose program is not the one that was packed, whoever signed the rest.
    ///
    /// # Errors
    /// [`PayloadError::Damaged`]
    pub fn require_stub(&self) -> Result<(), PayloadError> {
        match self.stub {
            FileStub::AsPacked => Ok(()),
            FileStub::Other { digest, .. } => {
                let expected = self.index.build.stub.digest;
                Err(PayloadError::damaged("the stub", format!("expected {expected}, found {digest}")))
            }
        }
    }

    /// How many bytes at the beginning say everything about the package: all but the content of its files.
    pub fn head_length(&self) -> u64 {
        let blobs = (0..self.index.blobs.len()).filter_map(|blob| self.layout.blob_offset(blob));
        blobs.min().unwrap_or_else(|| self.layout.length())
    }

    /// The files that the bytes come from.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// An error that may be about any of several volumes, about as few as the list of digests beside the package tells.
    pub fn narrow(&self, error: PayloadError) -> PayloadError {
        self.parts.narrow(error)
    }

    /// The digest of the whole file, or of all volumes one behind the other, as `sha256sum` prints it. Says nothing about the
    /// index: it names the file.
    ///
    /// # Errors
    /// The file cannot be read, or somebody asked to stop.
    pub fn file_digest(&self, watch: Watch<'_>) -> Result<Digest, PayloadError> {
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < self.layout.length() {
            watch.go_on()?;
            let rest = usize::try_from(self.layout.length() - offset).unwrap_or(usize::MAX);
            let piece = rest.min(buffer.len());
            self.parts.read(offset, &mut buffer[..piece], "the file")?;
            hasher.update(&buffer[..piece]);
            offset += piece as u64;
        }
        Ok(hasher.finish())
    }

    /// Every region of the file with its offset, in order.
    pub(crate) fn regions(&self) -> impl Iterator<Item = (u64, &Region)> {
        self.layout.regions()
    }

    /// How many chunks the stored bytes of a blob have.
    pub fn chunk_count(&self, blob: usize) -> usize {
        self.index.blobs.get(blob).map_or(0, |blob| blob.chunks.len())
    }

    /// The volumes in which a chunk lies.
    pub(crate) fn chunk_volumes(&self, blob: usize, chunk: usize) -> Option<RangeInclusive<usize>> {
        let inside = chunk as u64 * CHUNK_SIZE;
        let length = CHUNK_SIZE.min(self.index.blobs.get(blob)?.stored_size.saturating_sub(inside));
        self.parts.volumes_of(self.layout.blob_offset(blob)? + inside, length)
    }

    /// Reads one chunk of a blob's stored bytes into `buffer`, and compares it with the index.
    /// On an error `buffer` holds nothing. What it held before is not cleared first: that would cost as much as copying.
    pub fn read_chunk(&self, blob: usize, chunk: usize, buffer: &mut Vec<u8>) -> Result<(), PayloadError> {
        self.read_chunk_in_turn(blob, chunk, buffer, ())
    }

    /// The same for several threads, of which one reads at a time, in the order of the file: sticks and disks are slow
    /// otherwise. `turn` is what they wait for; it is dropped when the bytes are read, before they are compared.
    pub fn read_chunk_in_turn<T>(
        &self,
        blob: usize,
        chunk: usize,
        buffer: &mut Vec<u8>,
        turn: T,
    ) -> Result<(), PayloadError> {
        let missing = || PayloadError::Format(format!("there is no chunk {chunk} of blob {blob}"));
        let place = self.index.blobs.get(blob).zip(self.layout.blob_offset(blob));
        let place = place.and_then(|(facts, start)| Some((facts, start, *facts.chunks.get(chunk)?)));
        let Some((facts, start, expected)) = place else {
            buffer.clear();
            return Err(missing());
        };
        let inside = chunk as u64 * CHUNK_SIZE;
        let length = CHUNK_SIZE.min(facts.stored_size - inside);
        let name = || format!("blob {} (chunk {chunk})", facts.digest);
        buffer.resize(usize::try_from(length).unwrap_or(0), 0);
        let outcome = self.parts.read(start + inside, buffer, &name());
        drop(turn);
        let found = Digest::of(buffer);
        if outcome.is_err() || found != expected {
            buffer.clear();
            outcome?;
            let error = PayloadError::damaged(name(), format!("expected {expected}, found {found}"));
            return Err(self.parts.blame(start + inside, length, error));
        }
        Ok(())
    }

    /// Gives `to`, which is empty, the stored bytes of a blob without copying them: nothing of them is compared yet. `false`
    /// where the file system cannot do that.
    pub fn share_blob(&self, blob: usize, to: &File) -> bool {
        match (self.index.blobs.get(blob), self.layout.blob_offset(blob)) {
            (Some(facts), Some(offset)) => self.parts.share(offset, facts.stored_size, to),
            _ => false,
        }
    }

    /// The bytes of one of [`Index::documents`], compared with the index.
    pub fn document(&self, position: usize) -> Result<Vec<u8>, PayloadError> {
        let missing = || PayloadError::Format(format!("there is no document {position}"));
        let facts = self.index.documents.get(position).ok_or_else(missing)?;
        let offset = self.layout.document_offset(position).ok_or_else(missing)?;
        let mut bytes = vec![0; usize::try_from(facts.size).unwrap_or(0)];
        self.parts.read(offset, &mut bytes, facts.name.as_str())?;
        let found = Digest::of(&bytes);
        if found == facts.digest {
            Ok(bytes)
        } else {
            Err(PayloadError::damaged(facts.name.as_str(), format!("expected {}, found {found}", facts.digest)))
        }
    }

    /// The bytes of the stub, compared with the index.
    pub fn stub(&self) -> Result<Vec<u8>, PayloadError> {
        let stub = self.index.build.stub;
        let mut bytes = vec![0; usize::try_from(stub.size).unwrap_or(0)];
        self.parts.read(0, &mut bytes, "the stub")?;
        let found = Digest::of(&bytes);
        if found == stub.digest {
            Ok(bytes)
        } else {
            Err(PayloadError::damaged("the stub", format!("expected {}, found {found}", stub.digest)))
        }
    }

    fn check_length(&mut self, length: u64) -> Result<(), PayloadError> {
        let expected = self.layout.length();
        if length < expected {
            let (layout, index) = (&self.layout, &self.index);
            self.parts.expect(expected, layout.content_offset(), |cut| proofs(index, layout, cut))?;
        }
        if length > expected {
            let problem = format!("{} bytes follow after its end", length - expected);
            return Err(PayloadError::damaged("the file", problem));
        }
        Ok(())
    }

    /// Compares one region that is no blob.
    pub(crate) fn check(&self, offset: u64, region: &Region) -> Result<(), PayloadError> {
        match region {
            Region::Stub if self.stub == FileStub::AsPacked => {
                let size = self.index.build.stub.size;
                self.stub().map(drop).map_err(|error| self.parts.blame(offset, size, error))
            }
            Region::Index => self.index_json().map(drop),
            Region::Known { bytes, what } => {
                let bytes = bytes.bytes()?;
                check_known(&self.parts, offset, &bytes, what)
                    .map_err(|error| self.parts.blame(offset, bytes.len() as u64, error))
            }
            Region::Document(position) => {
                let size = self.index.documents.get(*position).map_or(0, |facts| facts.size);
                self.document(*position).map(drop).map_err(|error| self.parts.blame(offset, size, error))
            }
            // Another program is told about, and content is compared chunk by chunk, in `verify.rs`.
            Region::Stub | Region::Blob(_) => Ok(()),
        }
    }
}

/// Which program the file starts with.
fn file_stub(file: &Parts, size: u64, index: &Index) -> Result<FileStub, PayloadError> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    let mut offset = 0;
    while offset < size {
        let piece = usize::try_from(size - offset).unwrap_or(usize::MAX).min(buffer.len());
        file.read(offset, &mut buffer[..piece], "the stub")?;
        hasher.update(&buffer[..piece]);
        offset += piece as u64;
    }
    let (digest, packed) = (hasher.finish(), index.build.stub);
    let as_packed = digest == packed.digest && size == packed.size;
    Ok(if as_packed { FileStub::AsPacked } else { FileStub::Other { size, digest } })
}

/// What tells the volumes of this package from others: the first, the last and one chunk between them of each, as far as a
/// volume has whole ones.
fn proofs(index: &Index, layout: &Layout, cut: Cut) -> Vec<Vec<Proof>> {
    let mut all = vec![Vec::new(); cut.count()];
    for (position, blob) in index.blobs.iter().enumerate() {
        let Some(start) = layout.blob_offset(position) else { continue };
        for (chunk, digest) in blob.chunks.iter().enumerate() {
            let inside = chunk as u64 * CHUNK_SIZE;
            let (offset, length) = (start + inside, CHUNK_SIZE.min(blob.stored_size - inside));
            let volumes = cut.volumes(offset, length);
            if volumes.start() == volumes.end()
                && let Some(proofs) = all.get_mut(*volumes.start())
            {
                proofs.push(Proof { offset: offset - cut.start(*volumes.start()), length, digest: *digest });
            }
        }
    }
    for proofs in &mut all {
        let (middle, last) = (proofs.len() / 2, proofs.len().saturating_sub(1));
        let mut number = 0;
        proofs.retain(|_| {
            number += 1;
            [0, middle, last].contains(&(number - 1))
        });
    }
    all
}

/// The bytes of the index, and where the member behind its digest starts.
fn read_index(file: &Parts, start: u64) -> Result<(Vec<u8>, IndexFile, u64), PayloadError> {
    let mut block = [0; 512];
    file.read(start, &mut block, INDEX)?;
    let size = member::size_of_first(&block, INDEX)
        .ok_or_else(|| PayloadError::damaged(INDEX, "its tar header is not the one that was packed"))?;
    check_index_size(size)?;
    let mut json = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read(start + BLOCK, &mut json, INDEX)?;
    let digest_offset = (start + BLOCK + size).next_multiple_of(BLOCK) + BLOCK;
    let facts = IndexFile::of(&json);
    let expected = digest_file(facts.digest);
    check_known(file, digest_offset, expected.as_bytes(), INDEX_DIGEST)
        .map_err(|_| PayloadError::damaged(INDEX, format!("it does not match {INDEX_DIGEST}")))?;
    let next = (digest_offset + expected.len() as u64).next_multiple_of(BLOCK);
    Ok((json, facts, next))
}

/// The signature, where the member that starts here is one.
fn read_signature(file: &Parts, start: u64) -> Result<Option<Vec<u8>>, PayloadError> {
    let mut block = [0; 512];
    file.read(start, &mut block, "the third member")?;
    let Some(size) = member::size_of_first(&block, SIGNATURE) else { return Ok(None) };
    if size > MAX_SIGNATURE {
        return Err(PayloadError::damaged(SIGNATURE, "it is longer than any signature"));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read(start + BLOCK, &mut bytes, SIGNATURE)?;
    Ok(Some(bytes))
}

fn check_known(file: &Parts, offset: u64, expected: &[u8], what: &str) -> Result<(), PayloadError> {
    let mut found = vec![0; expected.len()];
    file.read(offset, &mut found, what)?;
    if found == expected {
        Ok(())
    } else {
        Err(PayloadError::damaged(what, "its bytes are not the ones that were packed"))
    }
}
