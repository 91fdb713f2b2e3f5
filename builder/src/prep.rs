//! The whole way from a manifest to a package: manifest → resolve → fetch → verify → place → pack → emit.
//! Each stage lives in the file of its name; this one only hands on from one to the next.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use payload::index::{Arch, Component as ComponentFact, ComponentKind as Kind, Encoding, Index, SourceFact};
use payload::{Digest, PayloadError, PublicKey, Watch};

use crate::content::place::place;
use crate::error::BuildError;
use crate::evidence::inventory;
use crate::fetch::artifact::Artifact;
use crate::fetch::cache::{Cache, WORK_PREFIX};
use crate::fetch::{Acquisition, SourceOptions, acquire};
use crate::lock::LockFile;
use crate::manifest::{self, Component, ComponentKind, Content, Manifest, Parsed, SourceKind, select};
use crate::output::emit::{EmitError, packed_content, refuse_to_replace, refuse_without_room};
use crate::output::volumes::{self, Volume};
use crate::output::{ansible, beside};
use crate::pack::stub::stub;
use crate::pack::{PackError, PackOptions, pack};
use crate::progress::{Activity, Event, ItemId, ProgressSink, Work};
use crate::signing::Signer;
use crate::small_file;
use crate::unfinished::Unfinished;

/// What is to be built.
#[derive(Debug)]
pub struct Request<'a> {
    pub manifest: &'a Path,
    /// Names of optional components that shall be in.
    pub include: &'a [String],
    /// `<package.name>.run` in the current directory when absent.
    pub output: Option<PathBuf>,
    /// Replace any regular file at the output, not packages for the same architecture alone.
    pub force: bool,
    pub threads: u32,
    /// Who signs the package.
    pub signer: Option<&'a Signer>,
    pub format: Format,
    /// Whether the page for those who approve the transfer is written.
    pub inventory: bool,
    /// How long a volume may be, in bytes; one file when absent.
    pub chunk_size: Option<u64>,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The package, and what lies beside it.
    Run,
    /// The same, and what Ansible needs to bring it to many hosts.
    Ansible,
}

/// What was built.
#[derive(Debug)]
pub struct Built {
    pub output: PathBuf,
    pub index: Index,
    /// Digest of `index.json`: names the package.
    pub digest: Digest,
    /// Of the whole file.
    pub file_digest: Digest,
    /// The files that it is in: the output alone, or all volumes.
    pub volumes: Vec<Volume>,
    /// Of the key that signed it.
    pub key: Option<PublicKey>,
    /// The files beside it.
    pub beside: Vec<PathBuf>,
    /// Sentences for the person who builds.
    pub warnings: Vec<String>,
    /// How the lock file changed.
    pub lock_changes: Vec<String>,
    pub lock_path: PathBuf,
}

/// Reads a manifest from disk, or from standard input when its name is `-`, as it is for `target`.
pub fn read_manifest(path: &Path, target: Arch) -> Result<Parsed, BuildError> {
    let text = if path == Path::new("-") {
        small_file::read_stream(std::io::stdin(), small_file::BY_HAND)
    } else {
        small_file::read(path, small_file::BY_HAND)
    };
    let text = text.map_err(|source| BuildError::Read { path: path.to_owned(), source })?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let modelfile = |named: &Path| small_file::read(&beside.join(named), small_file::BY_HAND);
    let parsed = manifest::parse_with(path, &text, target, &modelfile)?;
    let Manifest { package, components, .. } = &parsed.manifest;
    let optional = components.iter().filter(|component| !component.required).count();
    let (shown, count) = (path.display(), components.len());
    log::info!(
        "manifest {shown}: {} {}, {count} components, {optional} of them optional",
        package.name,
        package.version
    );
    Ok(parsed)
}

/// Builds a package.
///
/// # Errors
/// [`BuildError`]; then nothing was written to the output.
pub fn prep(
    request: &Request<'_>,
    manifest: &Manifest,
    options: &SourceOptions,
    progress: &dyn ProgressSink,
) -> Result<Built, BuildError> {
    let stub = stub(manifest.target).ok_or(BuildError::NoStub(manifest.target))?;
    log::info!("SHA-256: {}", payload::sha256_implementation());
    log::info!("stub for {}: {}, {}", manifest.target, payload::size(stub.len() as u64), Digest::of(stub));
    let components = select(manifest, request.include)?;
    let output = match &request.output {
        Some(path) => path.clone(),
        None => PathBuf::from(format!("{}.run", manifest.package.name)),
    };
    refuse_to_replace(&output, &inputs(manifest, &components), Some(manifest.target), request.force)?;
    refuse_without_room(&output, known_size(manifest, &components))?;
    beside::require_ours(&output, request.inventory)?;
    if request.format == Format::Ansible {
        ansible::require_ours(&output, &manifest.package.name, manifest.target)?;
    }
    volumes::require_ours(&output, request.force)?;
    let job = Job { request, manifest, stub, components: &components, output: &output, unproven: Cell::default() };
    let unread = SourceOptions { unread: true, ..options.clone() };
    let mut lock_changes = Vec::new();
    match job.build(&unread, progress, &mut lock_changes) {
        Err(error) if job.unproven.get() && may_be_other_content(&error) => {
            let text = "content is not what the lock file or the cache says: everything is read again";
            progress.event(&Event::Note { text });
            Cache::open(&options.cache_dir)?.forget_chunks();
            job.build(&SourceOptions { unread: false, ..options.clone() }, progress, &mut lock_changes)
        }
        outcome => outcome,
    }
}

/// Whether a build that compares content while it packs it failed in a way that other content than expected explains.
fn may_be_other_content(error: &BuildError) -> bool {
    let changed = |error: &PackError| {
        matches!(error, PackError::Changed { .. } | PackError::Payload(PayloadError::Damaged { .. }))
    };
    match error {
        BuildError::Place(_) => true,
        BuildError::Pack(error) | BuildError::Emit(EmitError::Pack { source: error, .. }) => changed(error),
        _ => false,
    }
}

/// What is built, and from what.
struct Job<'a> {
    request: &'a Request<'a>,
    manifest: &'a Manifest,
    stub: &'a [u8],
    components: &'a [&'a Component],
    output: &'a Path,
    /// Whether something was packed that nobody had read before.
    unproven: Cell<bool>,
}

impl Job<'_> {
    fn build(
        &self,
        options: &SourceOptions,
        progress: &dyn ProgressSink,
        lock_changes: &mut Vec<String>,
    ) -> Result<Built, BuildError> {
        let mut acquisition = acquire(self.manifest, self.components, options, progress)?;
        lock_changes.append(&mut acquisition.lock_changes);
        let built = self.pack(&mut acquisition, progress);
        self.unproven.set(acquisition.cache.unproven());
        Ok(Built { lock_changes: std::mem::take(lock_changes), ..built? })
    }

    fn pack(&self, acquisition: &mut Acquisition, progress: &dyn ProgressSink) -> Result<Built, BuildError> {
        let Self { request, manifest, stub, components, output, .. } = *self;
        let workdir = workdir(&acquisition.cache)?;
        let facts: Vec<ComponentFact> = components
            .iter()
            .zip(&acquisition.artifacts)
            .enumerate()
            .map(|(at, (component, artifact))| {
                let parts = acquisition.parts.iter().filter(|part| part.component == at).map(|part| &part.artifact);
                fact(component, artifact.as_ref(), parts)
            })
            .collect();
        let jobs: Vec<_> = components.iter().copied().zip(std::mem::take(&mut acquisition.artifacts)).collect();
        let placed = place(manifest, &jobs, &acquisition.parts, workdir.path()).map_err(Box::new)?;
        for (_, placement) in &placed.placements {
            log::debug!("place {}", placement.describe());
        }
        let name = output.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let item = ItemId::PACKAGE;
        let location = output.display().to_string();
        progress.event(&Event::Started { item, name: &name, location: &location, size: None });
        let packing = Work::begin(progress, item, Activity::Packing, placed.content_size());
        let pack_options = PackOptions {
            arch: manifest.target,
            stub,
            builder_version: env!("CARGO_PKG_VERSION"),
            workdir: workdir.path(),
            cache: &acquisition.cache,
            threads: request.threads,
            watch: Watch { progress: &|bytes| packing.add(bytes), ..Watch::nobody() },
            signer: request.signer,
        };
        let packed = pack(manifest, facts, &placed, &pack_options)?;
        tell(&packed.index);
        refuse_without_room(output, packed.index.total_length)?;
        let layout = packed.layout()?;
        let cut = volumes::cut(&layout, request.chunk_size.unwrap_or(layout.length()))?;
        let writing = Work::begin(progress, item, Activity::Writing, packed.index.stored_size());
        let watch = Watch { progress: &|bytes| writing.add(bytes), ..Watch::nobody() };
        let (volumes, file_digest) = volumes::emit(output, cut, &mut packed_content(&packed, output, watch))?;
        progress.event(&Event::Stopped { item });
        let (roles, collection) = match request.format {
            Format::Run => (Vec::new(), None),
            Format::Ansible => ansible::write(output, &volumes).map(|(paths, made)| (paths, Some(made)))?,
        };
        let mut warnings = placed.warnings;
        warnings.extend(volumes::fat32_warning(&name, layout.length()).filter(|_| request.chunk_size.is_none()));
        let subject = inventory::Subject {
            manifest,
            index: &packed.index,
            index_digest: packed.digest(),
            file_name: &name,
            file_digest,
            volumes: volumes.iter().map(Volume::facts).collect(),
            models: &placed.model_facts,
            key: request.signer.map(Signer::public),
            collection: collection.as_ref().map(|made| (made.name.as_str(), made.digest)),
        };
        let page = request.inventory.then(|| inventory::page(&subject));
        let mut beside = beside::write(output, &volumes, packed.sbom(), page.as_deref())?;
        beside.extend(roles);
        Ok(Built {
            output: output.to_owned(),
            digest: packed.digest(),
            file_digest,
            volumes,
            key: request.signer.map(|signer| signer.public().clone()),
            beside,
            index: packed.index,
            warnings,
            lock_changes: Vec::new(),
            lock_path: acquisition.lock_path.clone(),
        })
    }
}

/// What `-v` shows of what was packed.
fn tell(index: &Index) {
    let content: u64 = index.blobs.iter().map(|blob| blob.size).sum();
    let (files, links, blobs) = (index.files.len(), index.links.len(), index.blobs.len());
    let (content, stored) = (payload::size(content), payload::size(index.stored_size()));
    log::info!("packed {files} files and {links} links: {content} in {blobs} blobs, {stored} as they are stored");
    for blob in &index.blobs {
        let (size, stored, chunks) = (payload::size(blob.size), payload::size(blob.stored_size), blob.chunks.len());
        let how = if blob.encoding == Encoding::Xz { format!("{stored} with xz") } else { "stored raw".to_owned() };
        log::debug!("blob {}: {size}, {how}, {chunks} chunks", blob.digest);
    }
}

/// Everything that a build of this manifest may read, whatever is included.
pub fn sources_of(manifest: &Manifest) -> Vec<PathBuf> {
    inputs(manifest, &manifest.components.iter().collect::<Vec<_>>())
}

/// What this build reads and did not make: the manifest, its lock file, the user's own files.
fn inputs(manifest: &Manifest, components: &[&Component]) -> Vec<PathBuf> {
    let own = [manifest.path.clone(), LockFile::beside(&manifest.path)];
    let components = components.iter().flat_map(|component| component.with_parts());
    own.into_iter().chain(components.flat_map(|component| local_files(manifest, component))).collect()
}

/// The files of this machine that a component is made of.
fn local_files(manifest: &Manifest, component: &Component) -> impl Iterator<Item = PathBuf> {
    let modelfile = match &component.kind {
        ComponentKind::ModelFile { settings, .. } => settings.modelfile.as_deref(),
        _ => None,
    };
    let modelfile = modelfile.map(|path| manifest.path.parent().unwrap_or(Path::new("")).join(path));
    local_source(manifest, component).into_iter().chain(modelfile)
}

fn local_source(manifest: &Manifest, component: &Component) -> Option<PathBuf> {
    match &component.source()?.kind {
        SourceKind::File { path } => Some(manifest.path.parent().unwrap_or(Path::new("")).join(path)),
        _ => None,
    }
}

/// Bytes that the package will have at least: models of this machine, which are stored as they are.
fn known_size(manifest: &Manifest, components: &[&Component]) -> u64 {
    let models = components.iter().filter(|component| matches!(component.kind, ComponentKind::ModelFile { .. }));
    let models = models.flat_map(|component| component.with_parts());
    let files = models.filter_map(|component| local_source(manifest, component)?.metadata().ok());
    files.filter(std::fs::Metadata::is_file).map(|file| file.len()).sum()
}

/// A private directory beside the cache: `/tmp` may be small, or memory.
fn workdir(cache: &Cache) -> Result<Unfinished, BuildError> {
    let failed = |source| PackError::Read { path: cache.dir().display().to_string(), source };
    Ok(Unfinished::directory(cache.dir(), WORK_PREFIX).map_err(failed)?)
}

fn fact<'a>(
    component: &Component,
    artifact: Option<&Artifact>,
    parts: impl Iterator<Item = &'a Artifact>,
) -> ComponentFact {
    let kind = match component.kind {
        ComponentKind::ExternalBinary { .. } => Kind::ExternalBinary,
        ComponentKind::ModelFile { .. } | ComponentKind::ModelPart { .. } => Kind::ModelFile,
        ComponentKind::ConfigFile { .. } => Kind::ConfigFile,
    };
    ComponentFact {
        name: component.name.clone(),
        kind,
        required: component.required,
        sources: parts.fold(sources(component, artifact), |mut all, part| {
            all.extend(sources(component, Some(part)));
            all
        }),
    }
}

fn sources(component: &Component, artifact: Option<&Artifact>) -> Vec<SourceFact> {
    let file = |file: &crate::fetch::artifact::VerifiedFile| SourceFact {
        location: file.location.clone(),
        size: file.size,
        digest: file.digest,
    };
    match (artifact, &component.kind) {
        (Some(Artifact::File(only)), _) => vec![file(only)],
        (Some(Artifact::Model(model)), _) => {
            std::iter::once(file(&model.config)).chain(model.layers.iter().map(|layer| file(&layer.file))).collect()
        }
        (None, ComponentKind::ConfigFile { content: Content::Inline(text), .. }) => vec![SourceFact {
            location: "manifest".to_owned(),
            size: text.len() as u64,
            digest: Digest::of(text.as_bytes()),
        }],
        (Some(Artifact::Directory { .. }) | None, _) => Vec::new(),
    }
}
