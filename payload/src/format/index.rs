//! The index: everything the stub needs to plan an installation, in one small document.
//! Its JSON form is in `index/v1.rs`; where the described bytes lie in the file is in `layout.rs`.

mod check;
mod lookup;
mod only_for;
mod v1;

pub use check::{command_problem, file_problem, lookalikes, optional_name_problem, prefix_problem};
pub use lookup::Lookup;
pub use only_for::OnlyFor;

use crate::{Digest, Mode, Owner, PayloadError, RelPath};

/// The format version that this program writes.
pub const FORMAT: u32 = 1;

/// Everything a `.run` file states about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub package: PackageFacts,
    pub target: Target,
    pub build: Build,
    pub install: Install,
    pub components: Vec<Component>,
    /// Parents before children.
    pub directories: Vec<Directory>,
    /// In the order in which they are put in place.
    pub files: Vec<File>,
    pub links: Vec<Link>,
    pub units: Vec<Unit>,
    pub models: Vec<Model>,
    /// In the order in which they lie in the payload.
    pub blobs: Vec<Blob>,
    /// Small documents beside the index (`manifest.toml`, licences), in the order in which they lie in the payload.
    pub documents: Vec<Document>,
    /// Length of the whole `.run` file in bytes.
    pub total_length: u64,
}

/// What the package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFacts {
    pub name: PackageName,
    pub version: String,
    pub description: String,
}

/// The name of a package: also the name of its directory below `/var/lib/airgap-deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackageName(String);

/// The machine the package is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub arch: Arch,
    /// The highest glibc version that a shipped program or library asks for, such as `2.28`.
    pub glibc: Option<GlibcVersion>,
}

/// A processor architecture, by the name the kernel reports (`uname -m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    X86_64,
    Aarch64,
}

/// A version of the GNU C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GlibcVersion {
    pub major: u32,
    pub minor: u32,
}

/// How the package was made. Nothing here depends on when, where or by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub builder_version: String,
    /// Digest of the manifest file as read.
    pub manifest: Digest,
    pub stub: Stub,
}

/// The program at the start of the `.run` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stub {
    pub size: u64,
    pub digest: Digest,
}

/// Settings of the installation as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    pub prefix: RelPath,
    /// The account the service runs as, made when it does not exist; `None` when the package needs none.
    pub account: Option<Owner>,
    /// Where the installer, without a package, becomes a command of the machine; `None` when it does not.
    pub command: Option<RelPath>,
}

/// One component of the manifest, and where its content came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    pub name: String,
    pub kind: ComponentKind,
    /// Whether the manifest demands it; the others are in the payload because the builder was told to include them.
    pub required: bool,
    pub sources: Vec<SourceFact>,
}

/// The component types of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentKind {
    ExternalBinary,
    ModelFile,
    ConfigFile,
}

/// One thing that was fetched, as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFact {
    /// URL without credentials, `file:` and a name, or `manifest` for inline content.
    pub location: String,
    pub size: u64,
    pub digest: Digest,
}

/// A directory to make when it does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    pub path: RelPath,
    pub mode: Mode,
    pub owner: Owner,
    pub only_for: OnlyFor,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: RelPath,
    /// The content: one of [`Index::blobs`].
    pub blob: Digest,
    pub mode: Mode,
    pub owner: Owner,
    pub role: Role,
    /// Position in [`Index::components`].
    pub component: usize,
    pub only_for: OnlyFor,
    /// Present when the content is an ELF file.
    pub elf: Option<Elf>,
}

/// What a file is for: decides its place in the order of installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Programs and their libraries.
    Program,
    /// Blobs of a model store.
    ModelBlob,
    /// The document that makes a model visible; always after its blobs.
    ModelManifest,
    /// Configuration files.
    Config,
    /// systemd units and their drop-ins; always last.
    Unit,
    /// The installer's own command: in plans and receipts, never in a package.
    Installer,
}

/// What an ELF file asks of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// The kernel's name of the architecture (`x86_64`, `aarch64`), or `machine-<number>` for others.
    pub machine: String,
    pub glibc: Option<GlibcVersion>,
}

/// A link. Its role and component are those of what it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub path: RelPath,
    pub kind: LinkKind,
    pub owner: Owner,
    pub only_for: OnlyFor,
}

impl Link {
    /// Whether it is a second name of a file, not a symbolic link.
    pub fn is_hard(&self) -> bool {
        matches!(self.kind, LinkKind::Hard { .. })
    }
}

/// What a link points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkKind {
    /// A second name of one of [`Index::files`].
    Hard { to: RelPath },
    /// A relative symbolic link that stays inside the prefix.
    Symbolic { target: String },
}

/// A systemd unit that the package installs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Such as `ollama.service`.
    pub name: String,
    pub path: RelPath,
    /// The drop-in beside it.
    pub drop_in: Option<RelPath>,
}

/// A model as Ollama will list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Full name with tag, such as `llama2-7b:latest`.
    pub name: String,
    /// The document that makes it visible: one of [`Index::files`].
    pub manifest: RelPath,
    /// Bytes of memory that it takes while it answers, as far as that can be said: an estimate.
    pub memory: Option<u64>,
}

/// Content that is stored once, however many files have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    /// Length of the content in bytes.
    pub size: u64,
    pub encoding: Encoding,
    /// Length of the stored bytes.
    pub stored_size: u64,
    /// Digests of the stored bytes in pieces of [`crate::CHUNK_SIZE`] bytes, the last one shorter.
    pub chunks: Vec<Digest>,
}

impl Blob {
    /// Compares the digest of the whole content with the one that names the blob.
    ///
    /// # Errors
    /// [`PayloadError::Damaged`] when it is another one: then the chunks were never those of this content.
    pub fn check_content(&self, found: Option<Digest>) -> Result<(), PayloadError> {
        match found {
            Some(found) if found == self.digest => Ok(()),
            Some(found) => {
                Err(PayloadError::damaged(format!("blob {}", self.digest), format!("its content is {found}")))
            }
            None => Err(PayloadError::damaged(format!("blob {}", self.digest), "not all of it was read")),
        }
    }
}

/// How a blob is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Raw,
    Xz,
}

/// A small document beside the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Name of the tar member, such as `manifest.toml` or `LICENSES/ollama`.
    pub name: RelPath,
    pub size: u64,
    pub digest: Digest,
}

impl Index {
    /// Reads an index whose bytes have been verified.
    ///
    /// # Errors
    /// [`PayloadError::Format`] when it is of another version, or states something impossible: see `index/check.rs`.
    pub fn from_json(bytes: &[u8]) -> Result<Self, PayloadError> {
        let index = v1::parse(bytes)?;
        check::check(&index)?;
        Ok(index)
    }

    /// The JSON form: the same bytes for the same index, always.
    ///
    /// # Errors
    /// [`PayloadError::Format`] when the index states something impossible, so that no such package is ever written.
    pub fn to_json(&self) -> Result<Vec<u8>, PayloadError> {
        check::check(self)?;
        v1::render(self)
    }

    /// The blob with this digest.
    pub fn blob(&self, digest: Digest) -> Option<&Blob> {
        self.blobs.iter().find(|blob| blob.digest == digest)
    }

    /// Bytes that the blobs take in the `.run` file.
    pub fn stored_size(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.stored_size).sum()
    }

    /// The account that owns what belongs to the service; `root:root` without one.
    pub fn service_owner(&self) -> Owner {
        self.install.account.clone().unwrap_or_else(Owner::root)
    }
}

impl PackageName {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PackageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for PackageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if first && rest && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "{text:?} is not a package name (a letter or digit, then letters, digits, '.', '_' and '-', at most 64)"
            ))
        }
    }
}

impl Arch {
    /// The kernel's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Aarch64),
            other => Err(format!("{other:?} is not an architecture this version knows (x86_64, aarch64)")),
        }
    }
}

impl std::fmt::Display for GlibcVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl std::str::FromStr for GlibcVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a glibc version such as 2.28");
        let (major, rest) = text.split_once('.').ok_or_else(wrong)?;
        let minor = rest.split('.').next().unwrap_or(rest);
        Ok(Self { major: major.parse().map_err(|_| wrong())?, minor: minor.parse().map_err(|_| wrong())? })
    }
}
