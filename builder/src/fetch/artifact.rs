//! What fetching yields: content on this machine's disk whose digest is known and was compared with what was expected.
//! How it got here lives in `source/`; what becomes of it on the target lives in `content/place.rs`.

use std::path::PathBuf;

use payload::Digest;

use crate::manifest::ModelName;

/// The verified content of one component.
#[derive(Debug)]
pub enum Artifact {
    File(VerifiedFile),
    /// A directory named by a `file` source: an external binary that is already unpacked.
    Directory {
        path: PathBuf,
    },
    Model(RegistryModel),
}

/// A file that was read to its end once, with the digest it had, which is the one that was expected if one was.
#[derive(Debug, Clone)]
pub struct VerifiedFile {
    pub path: PathBuf,
    /// The name it has upstream, such as `ollama-linux-amd64.tar.zst`: tells its archive format.
    pub name: String,
    /// In bytes.
    pub size: u64,
    pub digest: Digest,
    /// Where it came from, without credentials: a URL, or `file:` and the path as the manifest gives it.
    pub location: String,
}

/// A model as a registry has it.
#[derive(Debug)]
pub struct RegistryModel {
    pub name: ModelName,
    /// The manifest exactly as `ollama pull` would leave it on disk.
    pub manifest: Vec<u8>,
    pub config: VerifiedFile,
    pub layers: Vec<RegistryLayer>,
}

/// One layer of a registry model.
#[derive(Debug)]
pub struct RegistryLayer {
    /// Such as `application/vnd.ollama.image.model`.
    pub media_type: String,
    pub file: VerifiedFile,
}
