//! The manifest as the rest of the builder sees it: checked, typed, every path resolved against the prefix.
//! Reading TOML and explaining what is wrong with it lives in `manifest/`; fetching lives in `fetch/`.

mod checksums;
mod component;
mod diagnostic;
pub mod init;
mod install;
pub(crate) mod login;
mod model;
mod model_name;
mod modelfile;
mod parse;
mod path;
mod placeholder;
mod reader;
mod render;
mod restriction;
mod select;
mod source;
mod syntax;
#[cfg(test)]
mod tests;
mod unit;
mod vocabulary;

use std::path::PathBuf;

use payload::index::{Arch, PackageName};
use payload::{AccountName, Digest, Mode, RelPath};

pub use checksums::{MissingChecksum, missing_checksums, refuse_missing_checksums};
pub use diagnostic::{Diagnostic, Finding, ManifestErrors, Severity};
pub use model_name::{DEFAULT_HOST, DEFAULT_NAMESPACE, DEFAULT_TAG, ModelNameError};
pub use parse::{Parsed, parse, parse_with};
pub use restriction::{Relax, quoted};
pub use select::{SelectError, select};

/// Reads a Modelfile; the lines with mistakes.
#[cfg(fuzzing)]
pub(crate) fn modelfile_lines(text: &str) -> Result<(), Vec<usize>> {
    modelfile::parse(text).map(drop).map_err(|problems| problems.iter().map(|problem| problem.line).collect())
}

/// Some editors put it at the beginning of a file; it is no part of the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A manifest without any error.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file it was read from; `file` sources are relative to its directory.
    pub path: PathBuf,
    /// The bytes of that file.
    pub text: Vec<u8>,
    /// The architecture that its placeholders stand for.
    pub target: Arch,
    pub package: Package,
    pub install: Install,
    pub components: Vec<Component>,
}

/// `[package]`
#[derive(Debug, Clone)]
pub struct Package {
    pub name: PackageName,
    pub version: String,
    pub description: String,
    /// Hosts that content may come from, redirects included; `None` allows every host.
    pub allowed_hosts: Option<Vec<String>>,
}

/// `[install]`
#[derive(Debug, Clone)]
pub struct Install {
    pub prefix: RelPath,
    /// User and group of the service; a user without a group gets a group of its own name.
    pub account: Option<payload::Owner>,
    pub ip_allow: IpAllow,
    /// Where the installer becomes a command of the target; `None` with `command = false`.
    pub command: Option<RelPath>,
    /// Restrictions of the service that are switched off.
    pub relax: Relax,
}

/// Which addresses the service may exchange packets with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpAllow {
    /// The default: `localhost` alone.
    Localhost,
    /// `ip_allow = ["10.0.0.0/8", …]`: these beside `localhost`, in systemd's notation (`IPAddressAllow=`).
    Also(Vec<String>),
    /// `ip_allow = ["any"]`: no restriction at all.
    Any,
}

/// One `[[components]]` table.
#[derive(Debug, Clone)]
pub struct Component {
    pub name: String,
    /// `false`: left out unless `--include NAME`.
    pub required: bool,
    pub kind: ComponentKind,
    pub mode: Option<Mode>,
    pub owner: Option<AccountName>,
    pub group: Option<AccountName>,
    /// What goes with a model: adapter and projectors, each of the kind [`ComponentKind::ModelPart`]. Their names begin with the
    /// model's and a slash, which stands in no name of the manifest.
    pub parts: Vec<Component>,
}

impl Component {
    /// The component itself, and what goes with it.
    pub fn with_parts(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.parts)
    }
}

/// The component types.
#[derive(Debug, Clone)]
pub enum ComponentKind {
    ExternalBinary {
        source: Source,
        install_path: InstallPath,
        exclude: Vec<String>,
    },
    ModelFile {
        source: Source,
        install_path: Option<InstallPath>,
        /// At least one; the first is the one that is shown where there is room for one.
        names: Vec<ModelName>,
        settings: Box<ModelSettings>,
    },
    ModelPart {
        role: PartRole,
        source: Source,
    },
    ConfigFile {
        content: Content,
        install_path: InstallPath,
    },
}

/// What a file is to the model that it goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartRole {
    /// A low-rank adapter.
    Adapter,
    /// What makes a picture into something that the model reads.
    Projector,
}

impl PartRole {
    /// As the manifest's key has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::Projector => "projector",
        }
    }
}

/// Where a component goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallPath {
    /// As written: `bin/ollama`, `/etc/systemd/system/ollama.service`.
    pub given: String,
    /// Resolved against the prefix.
    pub path: RelPath,
    /// Written as an absolute path.
    pub absolute: bool,
}

/// What a configuration file holds.
#[derive(Debug, Clone)]
pub enum Content {
    Inline(String),
    Source(Source),
}

/// Where content comes from, and what it must be.
#[derive(Debug, Clone)]
pub struct Source {
    pub kind: SourceKind,
    pub checksum: Option<Digest>,
    /// A placeholder stood in it: for another target it is another source.
    pub per_target: bool,
}

/// The source types.
#[derive(Debug, Clone)]
pub enum SourceKind {
    GithubRelease {
        repo: String,
        tag: String,
        asset_pattern: String,
    },
    Url {
        url: url::Url,
    },
    /// As written: relative to the manifest's directory, or absolute.
    File {
        path: PathBuf,
    },
    OllamaRegistry {
        model: ModelName,
    },
}

/// A model name as Ollama parses it, every part filled in: `registry.ollama.ai/library/llama2-7b:latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    pub host: String,
    pub namespace: String,
    pub model: String,
    pub tag: String,
}

/// What the manifest says of a model beside its weights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSettings {
    pub template: Option<String>,
    pub system: Option<String>,
    pub params: Option<serde_json::Map<String, serde_json::Value>>,
    pub license: Vec<String>,
    /// Conversations that it begins with: role and text.
    pub messages: Vec<(String, String)>,
    /// Names of code in Ollama that renders prompts, and that reads answers.
    pub renderer: Option<String>,
    pub parser: Option<String>,
    /// The release of Ollama that it needs at least.
    pub requires: Option<String>,
    /// Where these were read, beside the manifest itself.
    pub modelfile: Option<PathBuf>,
}

impl ModelSettings {
    /// Whether nothing is said beside the model's own.
    pub fn is_empty(&self) -> bool {
        *self == Self { modelfile: self.modelfile.clone(), ..Self::default() }
    }
}

impl ModelName {
    /// As `ollama list` shows it: the default host and namespace left out, the tag always given.
    pub fn display_shortest(&self) -> String {
        let mut text = String::new();
        if self.host != DEFAULT_HOST {
            text = format!("{}/{}/", self.host, self.namespace);
        } else if self.namespace != DEFAULT_NAMESPACE {
            text = format!("{}/", self.namespace);
        }
        format!("{text}{}:{}", self.model, self.tag)
    }
}
