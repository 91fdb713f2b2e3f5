//! Placements: which content goes where on the target, before it is turned into an index.
//! Compression, digests of what is stored and the file format live in `pack.rs` and in the crate `payload`.

mod binary;
mod config;
mod links;
mod model;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use payload::index::{self, Arch, Role};
use payload::{AccountName, Digest, Mode, Owner, RelPath};

use crate::content::error::ContentError;
use crate::content::model::ModelFacts;
use crate::fetch::PartArtifact;
use crate::fetch::artifact::Artifact;
use crate::manifest::{Component, ComponentKind, InstallPath, Manifest, SourceKind};

pub(crate) use tree::Needed;
use tree::Tree;

/// One entry of the target's file system.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub(crate) path: RelPath,
    pub(crate) owner: Owner,
    pub(crate) entry: Entry,
}

/// What the entry is.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Directory {
        mode: Mode,
    },
    File {
        content: Content,
        mode: Mode,
        role: Role,
    },
    /// A second name of another placement's file.
    HardLink {
        to: RelPath,
    },
    /// A relative link that stays inside the prefix.
    SymbolicLink {
        target: String,
    },
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    /// Verified content on this machine's disk; read again, and compared again, while packing.
    Disk {
        path: PathBuf,
        size: u64,
        digest: Digest,
    },
}

/// Everything that goes onto the target.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Each with the components that need it. Directories come first, parents before children; then files and links
    /// in the order of the components.
    pub(crate) placements: Vec<(Needed, Placement)>,
    pub(crate) units: Vec<index::Unit>,
    pub(crate) models: Vec<index::Model>,
    /// What is known about each of the models, in the same order.
    pub(crate) model_facts: Vec<ModelFacts>,
    /// Sentences for the person who builds.
    pub(crate) warnings: Vec<String>,
}

impl Placed {
    /// Bytes on disk that packing reads, each content once.
    pub(crate) fn content_size(&self) -> u64 {
        let sizes: HashMap<Digest, u64> =
            self.placements.iter().filter_map(|(_, placement)| placement.on_disk()).collect();
        sizes.values().sum()
    }
}

impl Placement {
    /// For people.
    pub(crate) fn describe(&self) -> String {
        let (path, owner) = (&self.path, &self.owner);
        match &self.entry {
            Entry::Directory { mode } => format!("{path}/ ({owner}, mode {mode})"),
            Entry::File { content, mode, .. } => {
                let size = match content {
                    Content::Bytes(bytes) => bytes.len() as u64,
                    Content::Disk { size, .. } => *size,
                };
                format!("{path} ({}, {owner}, mode {mode})", payload::size(size))
            }
            Entry::HardLink { to } => format!("{path} = {to}"),
            Entry::SymbolicLink { target } => format!("{path} -> {target}"),
        }
    }

    fn on_disk(&self) -> Option<(Digest, u64)> {
        match &self.entry {
            Entry::File { content: Content::Disk { size, digest, .. }, .. } => Some((*digest, *size)),
            _ => None,
        }
    }
}

/// Decides where the content of `components`, each with what was fetched for it, and of the `parts` of models goes on a
/// machine of the manifest's target. `workdir` is an empty private directory; archives are unpacked into it, and placements point there.
///
/// # Errors
/// See [`ContentError`]; nothing but `workdir` is written.
pub(crate) fn place(
    manifest: &Manifest,
    components: &[(&Component, Option<Artifact>)],
    parts: &[PartArtifact],
    workdir: &Path,
) -> Result<Placed, ContentError> {
    let mut placing = Placing::new(manifest, components, workdir);
    placing.parts = parts;
    for (position, (component, artifact)) in components.iter().enumerate() {
        let job = Job { position, component };
        match (&component.kind, artifact) {
            (ComponentKind::ExternalBinary { install_path, exclude, .. }, Some(artifact)) => {
                placing.place_binary(job, artifact, install_path, exclude)?;
            }
            (ComponentKind::ModelFile { install_path, names, settings, .. }, Some(artifact)) => {
                placing.place_model(job, artifact, install_path.as_ref(), names, settings)?;
            }
            (ComponentKind::ConfigFile { content, install_path }, artifact) => {
                placing.place_config(job, content, artifact.as_ref(), install_path)?;
            }
            (ComponentKind::ModelPart { .. }, _) | (_, None) => {
                let remedy = "this is a bug: nothing was fetched for this component".to_owned();
                return Err(job.unsuitable("its source", "has no content".to_owned(), remedy));
            }
        }
    }
    placing.finish()
}

/// The component at work.
#[derive(Clone, Copy)]
struct Job<'a> {
    position: usize,
    component: &'a Component,
}

impl Job<'_> {
    fn unsuitable(&self, location: &str, problem: String, remedy: String) -> ContentError {
        let component = self.component.name.clone();
        ContentError::Unsuitable { component, location: location.to_owned(), problem, remedy }
    }

    /// The owner of this component's own file: `owner` and `group` of the manifest before `default`.
    fn owner(&self, default: &Owner) -> Owner {
        let or = |given: &Option<AccountName>, default: &AccountName| given.clone().unwrap_or_else(|| default.clone());
        Owner { user: or(&self.component.owner, &default.user), group: or(&self.component.group, &default.group) }
    }

    fn mode(&self, default: Mode) -> Mode {
        self.component.mode.unwrap_or(default)
    }
}

/// The target as it grows.
struct Placing<'a> {
    manifest: &'a Manifest,
    arch: Arch,
    workdir: &'a Path,
    parts: &'a [PartArtifact],
    /// Where the Ollama program and the models stand in the components.
    ollama: Vec<usize>,
    /// The release of Ollama in the package, if its source names one: `0.15.0`.
    release: Option<String>,
    /// Who owns what belongs to the service.
    service: Owner,
    tree: Tree,
    units: Vec<index::Unit>,
    models: Vec<index::Model>,
    model_facts: Vec<ModelFacts>,
    warnings: Vec<String>,
}

impl<'a> Placing<'a> {
    fn new(manifest: &'a Manifest, components: &[(&Component, Option<Artifact>)], workdir: &'a Path) -> Self {
        Self {
            manifest,
            arch: manifest.target,
            workdir,
            parts: &[],
            ollama: (0..)
                .zip(components)
                .filter(|(_, (one, _))| is_ollama(one))
                .map(|(position, _)| position)
                .collect(),
            release: components.iter().find_map(|(component, _)| release(component)),
            service: manifest.install.account.clone().unwrap_or_else(Owner::root),
            tree: Tree::new(components.iter().map(|(component, _)| component.name.clone()).collect()),
            units: Vec::new(),
            models: Vec::new(),
            model_facts: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn prefix(&self) -> &RelPath {
        &self.manifest.install.prefix
    }

    fn warn(&mut self, job: Job<'_>, text: &str) {
        self.warnings.push(format!("component {:?} {text}", job.component.name));
    }

    /// Where Ollama's programs are put.
    fn programs(&self) -> Vec<RelPath> {
        let components = self.manifest.components.iter().filter(|component| is_ollama(component));
        let paths = components.filter_map(|component| match &component.kind {
            ComponentKind::ExternalBinary { install_path, .. } => Some(install_path.path.clone()),
            _ => None,
        });
        paths.collect()
    }

    fn finish(mut self) -> Result<Placed, ContentError> {
        for position in self.ollama.clone() {
            self.ollama_directories(position)?;
        }
        if !self.ollama.is_empty() {
            self.warn_open_services();
        }
        links::check(&self.tree, self.prefix())?;
        let rules = tree::Rules {
            prefix: self.manifest.install.prefix.clone(),
            service: self.manifest.install.account.clone().filter(|_| !self.ollama.is_empty()),
        };
        let placements = self.tree.finish(&rules)?;
        let Self { units, models, model_facts, warnings, .. } = self;
        Ok(Placed { placements, units, models, model_facts, warnings })
    }

    /// Services that start Ollama in a way that is not recognised would run without the drop-in.
    fn warn_open_services(&mut self) {
        let services: Vec<&str> =
            self.units.iter().map(|unit| unit.name.as_str()).filter(|name| name.ends_with(".service")).collect();
        if !services.is_empty() && self.units.iter().all(|unit| unit.drop_in.is_none()) {
            let warning = format!(
                "this service has no network restriction and no OLLAMA_MODELS: {}, because no ExecStart= in it names the \
                 program ollama",
                services.join(", ")
            );
            self.warnings.push(warning);
        }
    }

    /// The directories that a running Ollama expects, whether or not anything is placed in them.
    fn ollama_directories(&mut self, position: usize) -> Result<(), ContentError> {
        self.tree.need_directory(position, self.prefix().join("models")?);
        if self.manifest.install.account.is_some() {
            self.tree.need_directory(position, self.prefix().join(".ollama")?);
        }
        Ok(())
    }
}

/// Whether this component makes the package an Ollama deployment.
fn is_ollama(component: &Component) -> bool {
    match &component.kind {
        ComponentKind::ModelFile { .. } => true,
        ComponentKind::ExternalBinary { install_path, .. } => {
            component.name == "ollama" || install_path.path.name() == "ollama"
        }
        ComponentKind::ConfigFile { .. } | ComponentKind::ModelPart { .. } => false,
    }
}

/// The release of Ollama that a component brings, without the `v` of its tag.
pub(super) fn release(component: &Component) -> Option<String> {
    match component.source().map(|source| &source.kind) {
        Some(SourceKind::GithubRelease { repo, tag, .. }) if repo == "ollama/ollama" => {
            Some(tag.trim_start_matches('v').to_owned())
        }
        _ => None,
    }
}

/// The path as an archive would have it: relative.
fn relative(path: &InstallPath) -> &str {
    path.given.trim_start_matches("./").trim_matches('/')
}
