//! Models in Ollama's store on the target: blobs by digest, the manifest under the model's name, and the GGUF file where
//! the manifest of the package wants it. What the documents say is decided in `model.rs`.

use std::fs::File;

use payload::index::{Model, Role};
use payload::{Digest, Mode, RelPath};

use crate::content::gguf::{self, Gguf, GgufError, Memory};
use crate::content::model::{self, Layer, ModelFacts, Original, Part, StoreEntries};
use crate::fetch::artifact::{Artifact, RegistryModel, VerifiedFile};
use crate::manifest::{InstallPath, ModelName, ModelSettings};

use super::{Content, Entry, Job, Placement, Placing};
use crate::content::error::ContentError;
use crate::small_file;

/// Documents of a registry are read into memory up to this length, in bytes; they have some hundred.
const MAX_DOCUMENT: u64 = 4 << 20;

impl Placing<'_> {
    pub(super) fn place_model(
        &mut self,
        job: Job<'_>,
        artifact: &Artifact,
        install_path: Option<&InstallPath>,
        names: &[ModelName],
        settings: &ModelSettings,
    ) -> Result<(), ContentError> {
        self.check_requirement(job, settings)?;
        if let Some(path) = install_path {
            self.check_install_path(job, &path.path)?;
        }
        let (manifest, facts) = match artifact {
            Artifact::File(file) => self.place_gguf(job, file, install_path, settings)?,
            Artifact::Model(model) => self.place_registry_model(job, model, install_path, settings)?,
            Artifact::Directory { path } => {
                let remedy = "name the GGUF file itself".to_owned();
                return Err(job.unsuitable(&path.display().to_string(), "is a directory".to_owned(), remedy));
            }
        };
        for name in names {
            self.register(job, name, &manifest, facts.memory)?;
        }
        let names = names.iter().map(ModelName::display_shortest).collect();
        self.model_facts.push(ModelFacts { names, component: job.position, ..facts });
        Ok(())
    }

    /// Makes a model visible under a name. Several names of one model share all of its blobs.
    fn register(
        &mut self,
        job: Job<'_>,
        name: &ModelName,
        manifest: &[u8],
        memory: Option<u64>,
    ) -> Result<(), ContentError> {
        let ModelName { host, namespace, model, tag } = name;
        let path = self.store()?.join(&format!("manifests/{host}/{namespace}/{model}/{tag}"))?;
        let content = Content::Bytes(manifest.to_owned());
        let entry = Entry::File { content, mode: Mode::READABLE, role: Role::ModelManifest };
        self.tree.add(job.position, Placement { path: path.clone(), owner: self.service.clone(), entry })?;
        self.models.push(Model { name: name.display_shortest(), manifest: path, memory });
        Ok(())
    }

    /// A model that says which release of Ollama it needs is not shipped with an older one.
    fn check_requirement(&self, job: Job<'_>, settings: &ModelSettings) -> Result<(), ContentError> {
        let (Some(needed), Some(shipped)) = (&settings.requires, &self.release) else { return Ok(()) };
        let numbers =
            |text: &str| -> Vec<u64> { text.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect() };
        if numbers(needed) <= numbers(shipped) {
            return Ok(());
        }
        let problem = format!("needs Ollama {needed} or newer (REQUIRES), and the package brings {shipped}");
        Err(job.unsuitable(&job.component.name, problem, "ship that release of Ollama (source.tag)".to_owned()))
    }

    /// Places what goes with a model: layers of the store, and nothing else.
    fn place_parts(&mut self, job: Job<'_>) -> Result<Vec<Part>, ContentError> {
        let mut placed = Vec::new();
        for part in self.parts.iter().filter(|part| part.component == job.position) {
            let Artifact::File(file) = &part.artifact else {
                let remedy = format!("name the {} itself, a GGUF file", part.role.name());
                return Err(job.unsuitable(part.role.name(), "is no file".to_owned(), remedy));
            };
            let gguf = read_gguf(job, file)?;
            if let Some((problem, remedy)) = gguf::part_refusal(&gguf, part.role) {
                return Err(job.unsuitable(&file.location, problem, remedy));
            }
            self.place_blob(job, file.digest, content(file))?;
            let layer = Layer::of_part(part.role, file.digest, file.size);
            placed.push(Part { layer, architecture: gguf.architecture });
        }
        Ok(placed)
    }

    fn store(&self) -> Result<RelPath, ContentError> {
        Ok(self.prefix().join("models")?)
    }

    fn blob_path(&self, digest: Digest) -> Result<RelPath, ContentError> {
        Ok(self.store()?.join("blobs")?.join(&digest.blob_name())?)
    }

    /// Ollama takes every file in `manifests` for a manifest, and deletes what it does not know in `blobs`.
    fn check_install_path(&self, job: Job<'_>, path: &RelPath) -> Result<(), ContentError> {
        for own in ["blobs", "manifests"] {
            let own = self.store()?.join(own)?;
            if path.starts_with(&own) {
                let problem = format!("{path} lies in {own}, which Ollama keeps for itself");
                return Err(job.unsuitable("install_path", problem, "choose a path beside it".to_owned()));
            }
        }
        Ok(())
    }

    /// Places a GGUF file and the texts derived for it; returns the model's manifest, and what is known about the model.
    fn place_gguf(
        &mut self,
        job: Job<'_>,
        file: &VerifiedFile,
        install_path: Option<&InstallPath>,
        settings: &ModelSettings,
    ) -> Result<(Vec<u8>, ModelFacts), ContentError> {
        let gguf = read_gguf(job, file)?;
        let chat = [&settings.template, &settings.system].iter().any(|text| text.is_some());
        if let Some((problem, remedy)) = gguf::refusal(&gguf, chat, self.release.as_deref()) {
            return Err(job.unsuitable(&file.location, problem, remedy));
        }
        if let Some(doubt) = gguf::doubt(&gguf, self.release.as_deref()) {
            self.warn(job, &doubt);
        }
        if gguf.tensors == 0 {
            self.warn(job, "is a GGUF file without any tensor: Ollama will list it, but cannot run it");
        }
        self.place_weights(job, file, install_path)?;
        let parts = self.place_parts(job)?;
        check_base(job, &gguf.architecture, &parts)?;
        let entries = model::entries(&gguf, file.digest, file.size, &parts, settings);
        let size = parts.iter().map(|part| part.layer.size).sum::<u64>() + file.size;
        Ok((self.place_entries(job, entries)?, ModelFacts::of_gguf(&gguf, file.digest, size, settings)))
    }

    /// Places what was derived for a model; returns its manifest.
    fn place_entries(&mut self, job: Job<'_>, entries: StoreEntries) -> Result<Vec<u8>, ContentError> {
        for warning in entries.warnings {
            self.warn(job, &warning);
        }
        for bytes in entries.blobs {
            self.place_blob(job, Digest::of(&bytes), Content::Bytes(bytes))?;
        }
        Ok(entries.manifest)
    }

    fn place_blob(&mut self, job: Job<'_>, digest: Digest, content: Content) -> Result<(), ContentError> {
        let path = self.blob_path(digest)?;
        let entry = Entry::File { content, mode: Mode::READABLE, role: Role::ModelBlob };
        self.tree.add_once(job.position, Placement { path, owner: self.service.clone(), entry })
    }

    /// Places weights as a blob of the store and, under the same inode, at the install path.
    fn place_weights(
        &mut self,
        job: Job<'_>,
        file: &VerifiedFile,
        install_path: Option<&InstallPath>,
    ) -> Result<(), ContentError> {
        let blob = self.blob_path(file.digest)?;
        let Some(install_path) = install_path.map(|install| &install.path) else {
            return self.place_blob(job, file.digest, content(file));
        };
        let owner = job.owner(&self.service);
        let whole = Entry::File { content: content(file), mode: job.mode(Mode::READABLE), role: Role::ModelBlob };
        let add = |placing: &mut Self, path: &RelPath, entry: Entry| {
            placing.tree.add(job.position, Placement { path: path.clone(), owner: owner.clone(), entry })
        };
        if !install_path.starts_with(self.prefix()) {
            let text = format!(
                "is placed twice, at {install_path} and in Ollama's store below {}: a file outside the prefix may be on \
                 another disk, where a hard link cannot lead",
                self.prefix()
            );
            self.warn(job, &text);
            self.place_blob(job, file.digest, content(file))?;
            return add(self, install_path, whole);
        }
        match self.tree.get(&blob).map(|placement| &placement.entry) {
            None => {
                add(self, install_path, whole)?;
                add(self, &blob, Entry::HardLink { to: install_path.clone() })
            }
            // Another model brought the same weights.
            Some(Entry::HardLink { to }) => {
                let to = to.clone();
                self.tree.share(job.position, &blob);
                add(self, install_path, Entry::HardLink { to })
            }
            Some(_) => {
                self.tree.share(job.position, &blob);
                add(self, install_path, Entry::HardLink { to: blob })
            }
        }
    }

    /// Places a model as the registry has it; returns its manifest, and what is known about it.
    fn place_registry_model(
        &mut self,
        job: Job<'_>,
        model: &RegistryModel,
        install_path: Option<&InstallPath>,
        settings: &ModelSettings,
    ) -> Result<(Vec<u8>, ModelFacts), ContentError> {
        let name = model.name.display_shortest();
        let weights = model.layers.iter().rev().find(|layer| layer.media_type == model::MODEL);
        match (weights, install_path) {
            (Some(weights), install_path) => self.place_weights(job, &weights.file, install_path)?,
            (None, Some(_)) => {
                let remedy = "leave install_path out, or name another model".to_owned();
                return Err(job.unsuitable(&name, "has no layer of weights to install".to_owned(), remedy));
            }
            (None, None) => {}
        }
        for layer in &model.layers {
            self.place_blob(job, layer.file.digest, content(&layer.file))?;
        }
        let parts = self.place_parts(job)?;
        let memory = match weights {
            Some(weights) => self.memory_of(job, model, &weights.file, &parts, settings)?,
            None => None,
        };
        let facts = registry_facts(job, model, weights.map(|layer| layer.file.digest), settings)?;
        let facts = ModelFacts { memory, ..facts };
        if settings.is_empty() && parts.is_empty() {
            self.place_blob(job, model.config.digest, content(&model.config))?;
            return Ok((model.manifest.clone(), facts));
        }
        Ok((self.place_overlay(job, model, &parts, settings)?, facts))
    }

    /// What a registry's model takes, if its weights are a GGUF file; refuses one that the Ollama of the package cannot load.
    fn memory_of(
        &mut self,
        job: Job<'_>,
        model: &RegistryModel,
        weights: &VerifiedFile,
        parts: &[Part],
        settings: &ModelSettings,
    ) -> Result<Option<u64>, ContentError> {
        let loaded = |kind: &str| [model::MODEL, model::PROJECTOR, model::ADAPTER].contains(&kind);
        let size = model.layers.iter().filter(|layer| loaded(&layer.media_type)).map(|layer| layer.file.size);
        let size = size.chain(parts.iter().map(|part| part.layer.size)).sum();
        // Not every model of a registry has its weights in this format.
        let Ok(gguf) = read_gguf(job, weights) else { return Ok(Some(size)) };
        check_base(job, &gguf.architecture, parts)?;
        if let Some((problem, remedy)) = gguf::refusal(&gguf, false, self.release.as_deref()) {
            return Err(job.unsuitable(&model.name.display_shortest(), problem, remedy));
        }
        if let Some(doubt) = gguf::doubt(&gguf, self.release.as_deref()) {
            self.warn(job, &doubt);
        }
        let params = model.layers.iter().find(|layer| layer.media_type == model::PARAMS);
        let params = params.map(|layer| document(job, &layer.file)).transpose()?;
        let params: Option<serde_json::Value> = params.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Memory::estimate(&gguf, size, model::context(settings, params.as_ref())).map(Memory::total))
    }

    fn place_overlay(
        &mut self,
        job: Job<'_>,
        model: &RegistryModel,
        parts: &[Part],
        settings: &ModelSettings,
    ) -> Result<Vec<u8>, ContentError> {
        let config = document(job, &model.config)?;
        let params = model.layers.iter().find(|layer| layer.media_type == model::PARAMS);
        let params = params.map(|layer| document(job, &layer.file)).transpose()?;
        let original = Original { manifest: &model.manifest, config: &config, params: params.as_deref() };
        let name = model.name.display_shortest();
        let remedy = || "remove all keys but source, model and install_path to take the model as it is".to_owned();
        let entries =
            model::overlay(&original, parts, settings).map_err(|problem| job.unsuitable(&name, problem, remedy()))?;
        self.place_entries(job, entries)
    }
}

/// An adapter changes the weights of one architecture alone.
fn check_base(job: Job<'_>, base: &str, parts: &[Part]) -> Result<(), ContentError> {
    let mut adapters = parts.iter().filter(|part| part.layer.media_type == model::ADAPTER);
    match adapters.find_map(|part| gguf::other_base(&part.architecture, base)) {
        Some((problem, remedy)) => Err(job.unsuitable("its adapter", problem, remedy)),
        None => Ok(()),
    }
}

fn registry_facts(
    job: Job<'_>,
    model: &RegistryModel,
    weights: Option<Digest>,
    settings: &ModelSettings,
) -> Result<ModelFacts, ContentError> {
    let mut licenses = settings.license.clone();
    if licenses.is_empty() {
        for layer in model.layers.iter().filter(|layer| layer.media_type == model::LICENSE) {
            licenses.push(String::from_utf8_lossy(&document(job, &layer.file)?).into_owned());
        }
    }
    Ok(ModelFacts::of_registry(&document(job, &model.config)?, weights, licenses))
}

fn content(file: &VerifiedFile) -> Content {
    Content::Disk { path: file.path.clone(), size: file.size, digest: file.digest }
}

fn document(job: Job<'_>, file: &VerifiedFile) -> Result<Vec<u8>, ContentError> {
    if file.size > MAX_DOCUMENT {
        let problem = format!("is {} bytes long; such a document has some hundred", file.size);
        return Err(job.unsuitable(&file.location, problem, "name another model".to_owned()));
    }
    small_file::read(&file.path, small_file::BY_PROGRAMS).map_err(ContentError::io("read", &file.path))
}

fn read_gguf(job: Job<'_>, file: &VerifiedFile) -> Result<Gguf, ContentError> {
    let opened = File::open(&file.path).map_err(ContentError::io("open", &file.path))?;
    gguf::read(opened, file.size).map_err(|error| match error {
        GgufError::Read(source) => ContentError::io("read", &file.path)(source),
        GgufError::NotLoadable { problem, remedy } => job.unsuitable(&file.location, problem, remedy),
        error @ GgufError::Truncated(_) => {
            job.unsuitable(&file.location, error.to_string(), gguf::FETCH_AGAIN.to_owned())
        }
    })
}
