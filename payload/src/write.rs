//! Writes a `.run` file: seals the index, then lays out stub, index, signature, documents and blobs.
//! Compressing blobs and choosing what goes in is the builder's business.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::format::index::{Blob, Index};
use crate::format::layout::{CHUNK_SIZE, IndexFile, Layout, Region, check_index_size};
use crate::{Digest, Hasher, PayloadError, Watch};

/// Bytes that several look at, and nobody copies.
pub type Shared = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// The digest of content while it is written. Whoever digests all that is written takes content in as well, since both at
/// once cost less than one after the other.
#[derive(Clone, Default)]
pub struct ContentDigest(Arc<Mutex<Hasher>>);

impl ContentDigest {
    /// Adds the next bytes.
    pub fn update(&self, bytes: &[u8]) {
        self.hasher().update(bytes);
    }

    /// Adds the next bytes to this and to the digest of more than this content.
    pub fn update_with(&self, more: &mut Hasher, bytes: &[u8]) {
        more.update_with(&mut self.hasher(), bytes);
    }

    /// The digest of everything added so far: all that was written, when [`Output::settle`] was called.
    pub fn digest(&self) -> Digest {
        self.hasher().clone().finish()
    }

    fn hasher(&self) -> MutexGuard<'_, Hasher> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a package is written to.
pub trait Output: Write {
    /// Writes all of these bytes, and has them digested as `content`, before [`Output::settle`] returns at the latest. Whoever
    /// digests them may keep them for that.
    ///
    /// # Errors
    /// As [`Write::write_all`].
    fn write_shared(&mut self, bytes: &Shared, content: Option<&ContentDigest>) -> std::io::Result<()> {
        let bytes = (**bytes).as_ref();
        if let Some(content) = content {
            content.update(bytes);
        }
        self.write_all(bytes)
    }

    /// Waits until everything that was given to [`Output::write_shared`] is digested, and written.
    ///
    /// # Errors
    /// As [`Write::write_all`].
    fn settle(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    /// Takes the `length` bytes of a file without copying them, where that can be done, and gives the file and the offset at
    /// which they are now. There they are to be read, compared and written here: of what is written, they count as written.
    fn share(&mut self, _from: &File, _length: u64) -> Option<(File, u64)> {
        None
    }
}

impl Output for Vec<u8> {}
impl Output for BufWriter<File> {}

/// Where the writer gets bytes from. They are compared with the index while they are written.
pub trait Contents {
    /// The bytes of one of [`Index::documents`].
    fn document(&self, position: usize) -> std::io::Result<Vec<u8>>;
    /// The stored bytes of one of [`Index::blobs`].
    fn blob(&self, position: usize) -> std::io::Result<Box<dyn Read + '_>>;

    /// Writes these bytes, and compares them with what the index says of them.
    fn write_blob(
        &self,
        position: usize,
        facts: &Blob,
        out: &mut dyn Output,
        watch: Watch<'_>,
    ) -> Result<(), PayloadError> {
        let name = format!("blob {}", facts.digest);
        let mut input = self.blob(position).map_err(PayloadError::read(&name))?;
        let mut buffer = Vec::new();
        for expected in &facts.chunks {
            watch.go_on()?;
            buffer.clear();
            input.by_ref().take(CHUNK_SIZE).read_to_end(&mut buffer).map_err(PayloadError::read(&name))?;
            if Digest::of(&buffer) != *expected {
                return Err(PayloadError::damaged(name, "it changed while it was packed"));
            }
            put(out, &buffer, &name)?;
            (watch.progress)(buffer.len() as u64);
        }
        if input.read(&mut [0]).map_err(PayloadError::read(&name))? != 0 {
            return Err(PayloadError::damaged(name, "it grew while it was packed"));
        }
        Ok(())
    }
}

/// Fills in the total length, which depends on the length of the index, which depends on it; and gives the JSON form.
/// A package that will be signed leaves room for a signature of this length.
///
/// # Errors
/// [`PayloadError::Format`] when the index is longer than readers take.
pub fn seal(mut index: Index, signature_length: Option<u64>) -> Result<(Index, Vec<u8>), PayloadError> {
    let room = signature_length.map(|length| vec![0; usize::try_from(length).unwrap_or(0)]);
    // The length grows with the index and the index with the digits of the length: from 0 upwards this settles.
    index.total_length = 0;
    loop {
        let json = index.to_json()?;
        let length = Layout::new(&index, IndexFile::of(&json), room.as_deref())?.length();
        if length == index.total_length {
            check_index_size(json.len() as u64)?;
            return Ok((index, json));
        }
        index.total_length = length;
    }
}

/// Writes a whole `.run` file.
///
/// # Errors
/// [`PayloadError::Damaged`] when some content is not what the index says, for example because a file was changed since
/// it was verified; [`PayloadError::Write`] when the output cannot be written.
pub fn write_package(
    out: &mut dyn Output,
    stub: &[u8],
    index: &Index,
    json: &[u8],
    signature: Option<&[u8]>,
    contents: &dyn Contents,
    watch: Watch<'_>,
) -> Result<(), PayloadError> {
    for (_, region) in Layout::new(index, IndexFile::of(json), signature)?.regions() {
        match region {
            Region::Stub => put(out, stub, "the stub")?,
            Region::Known { bytes, what } => put(out, &bytes.bytes()?, what)?,
            Region::Index => put(out, json, "the index")?,
            Region::Document(position) => put_document(out, index, *position, contents)?,
            Region::Blob(position) => contents.write_blob(*position, &index.blobs[*position], out, watch)?,
        }
    }
    out.flush().map_err(PayloadError::write("the package"))
}

fn put(out: &mut dyn Write, bytes: &[u8], what: &str) -> Result<(), PayloadError> {
    out.write_all(bytes).map_err(PayloadError::write(what))
}

fn put_document(
    out: &mut dyn Write,
    index: &Index,
    position: usize,
    contents: &dyn Contents,
) -> Result<(), PayloadError> {
    let facts = &index.documents[position];
    let name = facts.name.as_str();
    let bytes = contents.document(position).map_err(PayloadError::read(name))?;
    if Digest::of(&bytes) != facts.digest {
        return Err(PayloadError::damaged(name, "it changed while it was packed"));
    }
    put(out, &bytes, name)
}
