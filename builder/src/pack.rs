//! Packing: placements become blobs, an index and a `.run` file. Everything is compared while it is written.
//! Where content comes from is in `fetch.rs` and `content/place.rs`; the format is in the crate `payload`.

pub(crate) mod compress;
mod passing;
pub(crate) mod stub;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use payload::index::{
    Arch, Blob, Build, Component, Directory, Document, Elf, Encoding, Index, Install, Link, LinkKind, OnlyFor,
    PackageFacts, Role, Stub, Target,
};
use payload::{
    CHUNK_SIZE, ContentDigest, Contents, Digest, Hasher, IndexFile, Layout, Output, PayloadError, Shared, Watch,
    elf_facts, seal, signature_length, write_package,
};

use crate::content::place::{Content, Entry, Needed, Placed};
use crate::digesting::{Chunks, Facts, read_chunks, read_once};
use crate::evidence::{licenses, sbom};
use crate::fetch::Cache;
use crate::manifest::Manifest;
use crate::signing::{SignError, Signer};
use passing::{Chunked, Hashing, ReadAt};

/// The member with the bill of materials.
pub(crate) const SBOM: &str = "sbom.cdx.json";

/// What packing needs to know beside the placements.
#[derive(Debug, Clone, Copy)]
pub struct PackOptions<'a> {
    pub arch: Arch,
    pub stub: &'a [u8],
    pub builder_version: &'a str,
    /// An empty private directory for compressed blobs.
    pub workdir: &'a Path,
    /// Knows the chunks of content that was read before.
    pub cache: &'a Cache,
    pub threads: u32,
    /// Told of the content's bytes, before compression.
    pub watch: Watch<'a>,
    /// Who signs the package.
    pub signer: Option<&'a Signer>,
}

/// Why packing failed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{}cannot compress {path}: {source}", out_of_space(source))]
    Compress {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path} changed while it was packed: expected {expected}, found {found}")]
    Changed { path: String, expected: Digest, found: Digest },
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// The words by which people look this error up.
fn out_of_space(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::StorageFull { "Out of disk space: " } else { "" }
}

impl PackError {
    /// The exit code, see DESIGN §7.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Changed { .. } => 42,
            Self::Read { source, .. }
            | Self::Compress { source, .. }
            | Self::Payload(PayloadError::Write { source, .. })
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                22
            }
            // What no target would take is a mistake of the manifest.
            Self::Payload(PayloadError::Format(_)) => 40,
            Self::Sign(error) => error.exit_code(),
            Self::Read { .. } | Self::Compress { .. } | Self::Payload(_) => 44,
        }
    }

    /// What to type next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "do not change files while they are packed; run the same command again",
            Self::Read { .. } => "check the permissions of the file",
            Self::Compress { .. } => {
                "free some space in the cache (`builder cache prune`), or use another with --cache-dir DIR"
            }
            Self::Payload(PayloadError::Format(_)) => "no machine would install this package: change the manifest",
            Self::Payload(_) => "check the free space at the output",
            Self::Sign(error) => error.hint(),
        }
    }
}

/// A package that is ready to be written: its index is sealed, its content is at hand.
pub struct Packed<'a> {
    pub index: Index,
    json: Vec<u8>,
    signature: Option<Vec<u8>>,
    stub: &'a [u8],
    stored: Vec<Stored>,
    documents: Vec<Vec<u8>>,
}

/// Where the stored bytes of a blob are.
#[derive(Debug, Clone)]
enum Stored {
    Bytes(Vec<u8>),
    Disk(PathBuf),
}

/// Packs placements. Nothing is written outside `options.workdir`.
pub fn pack<'a>(
    manifest: &Manifest,
    components: Vec<Component>,
    placed: &Placed,
    options: &PackOptions<'a>,
) -> Result<Packed<'a>, PackError> {
    let mut store = Store { options: *options, blobs: Vec::new(), stored: Vec::new(), known: HashMap::new() };
    let (mut directories, mut files, mut links) = (Vec::new(), Vec::new(), Vec::new());
    for (needed, placement) in &placed.placements {
        let component = needed.first().copied().unwrap_or_default();
        let only_for = only_for(needed, &components);
        let (path, owner) = (placement.path.clone(), placement.owner.clone());
        match &placement.entry {
            Entry::Directory { mode } => directories.push(Directory { path, mode: *mode, owner, only_for }),
            Entry::HardLink { to } => {
                links.push(Link { path, kind: LinkKind::Hard { to: to.clone() }, owner, only_for });
            }
            Entry::SymbolicLink { target } => {
                links.push(Link { path, kind: LinkKind::Symbolic { target: target.clone() }, owner, only_for });
            }
            Entry::File { content, mode, role } => {
                let (blob, elf) = store.add(content, *role)?;
                let (mode, role) = (*mode, *role);
                files.push(payload::index::File { path, blob, mode, owner, role, component, only_for, elf });
            }
        }
    }
    files.sort_by_key(|file| file.role);
    store.order_by(&files);
    let glibc = files.iter().filter_map(|file| file.elf.as_ref()).filter_map(|elf: &Elf| elf.glibc).max();
    let mut index = Index {
        package: PackageFacts {
            name: manifest.package.name.clone(),
            version: manifest.package.version.clone(),
            description: manifest.package.description.clone(),
        },
        target: Target { arch: options.arch, glibc },
        build: Build {
            builder_version: options.builder_version.to_owned(),
            manifest: Digest::of(&manifest.text),
            stub: Stub { size: options.stub.len() as u64, digest: Digest::of(options.stub) },
        },
        install: Install {
            prefix: manifest.install.prefix.clone(),
            account: manifest.install.account.clone(),
            command: manifest.install.command.clone(),
        },
        components,
        directories,
        files,
        links,
        units: placed.units.clone(),
        models: placed.models.clone(),
        blobs: store.blobs,
        documents: Vec::new(),
        total_length: 0,
    };
    let mut documents =
        vec![("manifest.toml", manifest.text.clone()), (SBOM, sbom::document(manifest, &index, &placed.model_facts))];
    documents.extend(licenses::documents(options.arch));
    index.documents = documents.iter().map(|(name, bytes)| document(name, bytes)).collect::<Result<_, _>>()?;
    let room = options.signer.map(|_| signature_length(&index.package));
    let (index, json) = seal(index, room)?;
    let signature = options.signer.map(|signer| signer.sign(&index, &json)).transpose()?;
    let documents = documents.into_iter().map(|(_, bytes)| bytes).collect();
    Ok(Packed { index, json, signature, stub: options.stub, stored: store.stored, documents })
}

/// Every target gets what a required component needs.
fn only_for(needed: &Needed, components: &[Component]) -> OnlyFor {
    let required = |at: &usize| components.get(*at).is_none_or(|component| component.required);
    if needed.iter().any(required) { OnlyFor::everybody() } else { OnlyFor::of(needed.iter().copied().collect()) }
}

fn document(name: &str, bytes: &[u8]) -> Result<Document, PayloadError> {
    Ok(Document { name: name.parse()?, size: bytes.len() as u64, digest: Digest::of(bytes) })
}

impl Packed<'_> {
    /// The bill of materials.
    pub fn sbom(&self) -> &[u8] {
        let position = self.index.documents.iter().position(|document| document.name.as_str() == SBOM);
        position.and_then(|position| self.documents.get(position)).map_or(&[], Vec::as_slice)
    }

    /// The digest that names this exact package.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.json)
    }

    /// Where everything will lie.
    pub fn layout(&self) -> Result<Layout, PackError> {
        Ok(Layout::new(&self.index, IndexFile::of(&self.json), self.signature.as_deref())?)
    }

    /// Writes the whole `.run` file.
    pub fn write(&self, out: &mut dyn Output, watch: Watch<'_>) -> Result<(), PackError> {
        Ok(write_package(out, self.stub, &self.index, &self.json, self.signature.as_deref(), self, watch)?)
    }

    /// What lies on the file system of the output need not be copied, where that has reflinks. A file that grew is left to the
    /// copy, which finds that out.
    fn share(&self, position: usize, facts: &Blob, out: &mut dyn Output) -> Option<(File, u64)> {
        let Stored::Disk(path) = &self.stored[position] else { return None };
        let file = File::open(path).ok().filter(|_| facts.stored_size > CHUNK_SIZE)?;
        (file.metadata().ok()?.len() == facts.stored_size).then(|| out.share(&file, facts.stored_size))?
    }
}

impl Contents for Packed<'_> {
    fn document(&self, position: usize) -> io::Result<Vec<u8>> {
        Ok(self.documents[position].clone())
    }

    fn blob(&self, position: usize) -> io::Result<Box<dyn Read + '_>> {
        Ok(match &self.stored[position] {
            Stored::Bytes(bytes) => Box::new(bytes.as_slice()),
            Stored::Disk(path) => Box::new(File::open(path)?),
        })
    }

    /// Content is digested here as well: what a lock file or the cache says of it was not proven before.
    fn write_blob(
        &self,
        position: usize,
        facts: &Blob,
        out: &mut dyn Output,
        watch: Watch<'_>,
    ) -> Result<(), PayloadError> {
        let what = format!("blob {}", facts.digest);
        let shared = self.share(position, facts, out);
        let stored: Box<dyn Read + '_> = match &shared {
            Some((file, offset)) => Box::new(ReadAt { file, offset: *offset }),
            None => self.blob(position).map_err(|source| PayloadError::Read { what: what.clone(), source })?,
        };
        // What is stored has no other digests than those of its chunks when it is compressed, or one chunk.
        let several = facts.encoding == Encoding::Raw && facts.stored_size > CHUNK_SIZE;
        let content = several.then(ContentDigest::default);
        let mut unwritten = false;
        let mut each = |bytes: &Shared| {
            out.write_shared(bytes, content.as_ref()).inspect_err(|_| unwritten = true)?;
            (watch.progress)((**bytes).as_ref().len() as u64);
            Ok(())
        };
        // One byte more tells that it grew.
        let chunks = match read_chunks(stored.take(facts.stored_size.saturating_add(1)), &mut each) {
            Ok(chunks) => chunks,
            Err(source) if unwritten => return Err(PayloadError::Write { what, source }),
            Err(source) => return Err(PayloadError::Read { what, source }),
        };
        if content.is_some() {
            out.settle().map_err(|source| PayloadError::Write { what: what.clone(), source })?;
        }
        if chunks != facts.chunks || content.is_some_and(|content| content.digest() != facts.digest) {
            let problem = "it changed while it was packed".to_owned();
            return Err(PayloadError::Damaged { region: what, problem });
        }
        Ok(())
    }
}

/// How content is stored: the encoding, where, how long it is, and its chunks.
type StoredFile = (Encoding, PathBuf, u64, Vec<Digest>);

/// Blobs by the digest of their content.
struct Store<'a> {
    options: PackOptions<'a>,
    blobs: Vec<Blob>,
    stored: Vec<Stored>,
    known: HashMap<Digest, Option<Elf>>,
}

impl Store<'_> {
    /// Adds content once, and tells what it is.
    fn add(&mut self, content: &Content, role: Role) -> Result<(Digest, Option<Elf>), PackError> {
        let digest = match content {
            Content::Bytes(bytes) => Digest::of(bytes),
            Content::Disk { digest, .. } => *digest,
        };
        if let Some(elf) = self.known.get(&digest) {
            return Ok((digest, elf.clone()));
        }
        let elf = match content {
            Content::Bytes(bytes) => self.add_bytes(digest, bytes)?,
            Content::Disk { path, size, .. } => self.add_file(digest, path, *size, role)?,
        };
        self.known.insert(digest, elf.clone());
        Ok((digest, elf))
    }

    fn add_bytes(&mut self, digest: Digest, bytes: &[u8]) -> Result<Option<Elf>, PackError> {
        let size = bytes.len() as u64;
        let chunks = bytes.chunks(usize::try_from(CHUNK_SIZE).unwrap_or(usize::MAX)).map(Digest::of).collect();
        self.blobs.push(Blob { digest, size, encoding: Encoding::Raw, stored_size: size, chunks });
        self.stored.push(Stored::Bytes(bytes.to_vec()));
        Ok(elf_facts(io::Cursor::new(bytes))?)
    }

    fn add_file(&mut self, digest: Digest, path: &Path, size: u64, role: Role) -> Result<Option<Elf>, PackError> {
        let shown = path.display().to_string();
        let read = |source| PackError::Read { path: shown.clone(), source };
        let file = File::open(path).map_err(read)?;
        let elf = elf_facts(BufReader::new(&file)).map_err(|error| match error {
            PayloadError::Damaged { problem, .. } => PayloadError::Damaged { region: shown.clone(), problem },
            other => other,
        })?;
        // Weights do not get smaller, and stored raw they can be copied without being decoded.
        let raw = role == Role::ModelBlob && size > CHUNK_SIZE || !compress::pays(&file, size).map_err(read)?;
        let stored = if raw { self.take_raw(digest, path, size, &file)? } else { self.compress(digest, path, &file)? };
        let (encoding, stored, stored_size, chunks) = stored;
        self.blobs.push(Blob { digest, size, encoding, stored_size, chunks });
        self.stored.push(Stored::Disk(stored));
        Ok(elf)
    }

    /// Nothing is read of content whose chunks are known: they are compared when it is written.
    fn take_raw(&self, digest: Digest, path: &Path, size: u64, file: &File) -> Result<StoredFile, PackError> {
        if let Some(chunks) = self.options.cache.chunks(digest, size) {
            (self.options.watch.progress)(size);
            return Ok((Encoding::Raw, path.to_owned(), size, chunks));
        }
        let shown = path.display().to_string();
        let progress = self.options.watch.progress;
        let mut before = 0;
        let mut seen = |length| progress(length - std::mem::replace(&mut before, length));
        let found = read_once(ReadAt { file, offset: 0 }, &mut seen);
        let Facts { digest: found, chunks, length } =
            found.map_err(|source| PackError::Read { path: shown.clone(), source })?;
        if found != digest {
            return Err(PackError::Changed { path: shown, expected: digest, found });
        }
        self.options.cache.remember_chunks(digest, &chunks);
        Ok((Encoding::Raw, path.to_owned(), length, chunks))
    }

    fn compress(&self, digest: Digest, path: &Path, file: &File) -> Result<StoredFile, PackError> {
        let shown = path.display().to_string();
        let failed = |source| PackError::Compress { path: shown.clone(), source };
        let stored = self.options.workdir.join(format!("{}.xz", digest.blob_name()));
        let mut output = File::create_new(&stored).map_err(failed)?;
        let mut input = Hashing {
            input: ReadAt { file, offset: 0 },
            hasher: Hasher::default(),
            progress: self.options.watch.progress,
        };
        let mut output = Chunked { output: &mut output, chunks: Chunks::default(), length: 0 };
        compress::compress(&mut input, &mut output, self.options.threads).map_err(failed)?;
        let found = input.hasher.finish();
        if found != digest {
            return Err(PackError::Changed { path: shown, expected: digest, found });
        }
        Ok((Encoding::Xz, stored, output.length, output.chunks.finish()))
    }

    /// Blobs lie in the payload in the order in which files are put in place, models last.
    fn order_by(&mut self, files: &[payload::index::File]) {
        let place: HashMap<Digest, usize> =
            files.iter().enumerate().rev().map(|(place, file)| (file.blob, place)).collect();
        let mut pairs: Vec<(Blob, Stored)> = self.blobs.drain(..).zip(self.stored.drain(..)).collect();
        pairs.sort_by_key(|(blob, _)| place.get(&blob.digest).copied());
        (self.blobs, self.stored) = pairs.into_iter().unzip();
    }
}
