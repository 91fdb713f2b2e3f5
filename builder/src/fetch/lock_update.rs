//! Turns what was fetched into artifacts, and keeps the lock file in step with it.
//! The lock file's format is in `lock.rs`.

use std::path::{Path, PathBuf};

use payload::index::Arch;

use crate::fetch::artifact::{Artifact, RegistryLayer, RegistryModel, VerifiedFile};
use crate::fetch::error::SourceError;
use crate::fetch::named::NamedComponent;
use crate::fetch::net::policy::shown;
use crate::fetch::note;
use crate::fetch::options::LockMode;
use crate::fetch::resolve::Resolved;
use crate::fetch::source::registry::Model;
use crate::fetch::transfer::{Fetched, Order};
use crate::lock::{self, LOCK_FILE_NAME, LockError, LockFile, LockKey, LockedComponent, LockedFile, LockedSource};
use crate::manifest::{Component, Manifest, SourceKind};
use crate::progress::ProgressSink;

/// The lock file before and after.
pub(crate) struct LockUpdate {
    manifest: PathBuf,
    target: Arch,
    mode: LockMode,
    exists: bool,
    old: LockFile,
    new: LockFile,
}

impl LockUpdate {
    /// Reads the lock file beside the manifest.
    pub(crate) fn read(manifest: &Manifest, mode: LockMode) -> Result<Self, SourceError> {
        let path = LockFile::beside(&manifest.path);
        let read = LockFile::read(&path, &manifest.path).map_err(|error| settings(&path, error))?;
        let exists = read.is_some();
        if mode == LockMode::Locked && !exists {
            return Err(SourceError::Settings {
                path,
                problem: "there is no lock file, and --locked requires one".to_owned(),
                hint: format!("write it with `{}` and keep it beside the manifest", lock::command(manifest.target)),
            });
        }
        let old = read.unwrap_or_default();
        // Entries of components that are left out this time stay; those of components that are gone go.
        let about =
            |key: &LockKey| manifest.components.iter().flat_map(Component::with_parts).any(|one| key.suits(one));
        let mut new = old.clone();
        new.components.retain(|key, _| about(key));
        Ok(Self { manifest: manifest.path.clone(), target: manifest.target, mode, exists, old, new })
    }

    /// What the file is used for, in a sentence.
    pub(crate) fn tells(&self) -> String {
        let path = LockFile::beside(&self.manifest).display().to_string();
        let for_target = |key: &&LockKey| key.target.is_none_or(|target| target == self.target);
        let pinned = self.old.components.keys().filter(for_target).count();
        match (self.exists, self.mode) {
            (false, _) => format!("no {path}: everything is resolved now"),
            (true, LockMode::Update) => format!("{path} pins {pinned} components: all of them are resolved again"),
            (true, _) => format!("{path} pins {pinned} components"),
        }
    }

    /// What was in the file.
    pub(crate) fn old(&self) -> LockFile {
        self.old.clone()
    }

    /// The artifact of a component, whose entry is compared with the lock file's and stored.
    pub(crate) fn record(
        &mut self,
        component: &Component,
        resolved: Resolved,
        fetched: &[Fetched],
        progress: &dyn ProgressSink,
    ) -> Result<Artifact, SourceError> {
        let about = NamedComponent::from(component);
        let Some(source) = component.source() else {
            return Err(incomplete(&about));
        };
        let (artifact, files) = match resolved {
            Resolved::Local(local) => (local.0, vec![local.1]),
            Resolved::File(order) => file(&about, &order, fetched)?,
            Resolved::Model { model, orders } => {
                let SourceKind::OllamaRegistry { model: name } = &source.kind else { return Err(incomplete(&about)) };
                self::model(&about, name.clone(), &model, &orders, fetched)?
            }
        };
        let entry = LockedComponent { source: LockedSource::of(&source.kind, &self.manifest), files };
        self.insert(&about, LockKey::of(component, self.target), entry, progress)?;
        Ok(artifact)
    }

    fn insert(
        &mut self,
        about: &NamedComponent,
        key: LockKey,
        mut entry: LockedComponent,
        progress: &dyn ProgressSink,
    ) -> Result<(), SourceError> {
        let old = self.old.pinned(&key, &entry.source);
        if let Some(old) = old {
            for (new, old) in entry.files.iter_mut().zip(&old.files) {
                self.compare(about, old, new, progress)?;
            }
            if old.files.len() != entry.files.len() && self.mode != LockMode::Update {
                let location = LockFile::beside(&self.manifest).display().to_string();
                let problem = "the lock file has another number of files for it".to_owned();
                return Err(about.unpinned(location, problem, "write it again with --update-lock".to_owned()));
            }
        }
        self.new.components.insert(key, entry);
        Ok(())
    }

    fn compare(
        &self,
        about: &NamedComponent,
        old: &LockedFile,
        new: &mut LockedFile,
        progress: &dyn ProgressSink,
    ) -> Result<(), SourceError> {
        let local = new.url.starts_with("file:") && self.mode != LockMode::Locked;
        if local && old.sha256 != new.sha256 {
            // The user's own file: it is as the user wants it.
            note(progress, &format!("{}: {} changed since {LOCK_FILE_NAME} was written", about.component, new.url));
            return Ok(());
        }
        if old.sha256 != new.sha256 && self.mode != LockMode::Update {
            let found = (new.sha256, "what is there now");
            return Err(about.contradiction(&new.url, (old.sha256, LOCK_FILE_NAME), found));
        }
        if old.sha256 == new.sha256 && new.final_host.is_none() {
            // From the cache or a mirror: who sent it upstream is as it was.
            new.final_host.clone_from(&old.final_host);
        }
        let moved = old.final_host.is_some() && old.final_host != new.final_host;
        if !moved || self.mode == LockMode::Update {
            return Ok(());
        }
        let (before, now) = (old.final_host.clone().unwrap_or_default(), new.final_host.clone().unwrap_or_default());
        if self.mode == LockMode::Locked {
            let problem = format!("{now} sent it, and {LOCK_FILE_NAME} pins {before}");
            let hint = "if upstream moved its storage, accept it with --update-lock".to_owned();
            return Err(about.unpinned(&new.url, problem, hint));
        }
        note(progress, &format!("{}: {now} sent it, not {before} as {LOCK_FILE_NAME} has it", about.component));
        new.final_host.clone_from(&old.final_host);
        Ok(())
    }

    /// Writes the file if anything changed; returns the changes.
    pub(crate) fn write(self, manifest: &Manifest, progress: &dyn ProgressSink) -> Result<Vec<String>, SourceError> {
        let path = LockFile::beside(&manifest.path);
        if self.new == self.old && (self.exists || self.new.components.is_empty()) {
            return Ok(Vec::new());
        }
        let changes = self.old.diff(&self.new);
        if self.mode == LockMode::Locked {
            return Err(SourceError::Settings {
                path,
                problem: format!("the lock file would change, and --locked forbids it:\n  {}", changes.join("\n  ")),
                hint: format!("run `{}`, look at what changed, and keep the new lock file", lock::command(self.target)),
            });
        }
        match self.new.write(&self.old, &path, &manifest.path) {
            Ok(()) => Ok(changes),
            Err(error) if self.mode == LockMode::Follow => {
                let text = format!("{}: {error}; this build is not pinned for the next one", path.display());
                note(progress, &text);
                Ok(Vec::new())
            }
            Err(error) => Err(settings(&path, error)),
        }
    }
}

fn settings(path: &Path, error: LockError) -> SourceError {
    let hint = match error {
        LockError::Read(source) => return SourceError::disk("read", path)(source),
        LockError::Write(source) => return SourceError::disk("write", path)(source),
        LockError::Syntax(_) => "restore it from version control, or remove it and run `builder lock`",
        LockError::Version(_) => "use the builder that wrote it, or a newer one",
    };
    SourceError::Settings { path: path.to_owned(), problem: error.to_string(), hint: hint.to_owned() }
}

/// Cannot happen: every resolved component was fetched as what it is.
fn incomplete(about: &NamedComponent) -> SourceError {
    about.unpinned("", "its content is incomplete".to_owned(), "please report this as a bug".to_owned())
}

fn file(
    about: &NamedComponent,
    order: &Order,
    fetched: &[Fetched],
) -> Result<(Artifact, Vec<LockedFile>), SourceError> {
    let fetched = fetched.first().ok_or_else(|| incomplete(about))?;
    let (verified, locked) = pair(order, fetched, None);
    Ok((Artifact::File(verified), vec![locked]))
}

fn model(
    about: &NamedComponent,
    name: crate::manifest::ModelName,
    model: &Model,
    orders: &[Order],
    fetched: &[Fetched],
) -> Result<(Artifact, Vec<LockedFile>), SourceError> {
    let mut locked = vec![LockedFile {
        url: model.url.to_string(),
        final_host: model.final_host.clone(),
        media_type: Some(crate::fetch::source::oci::ACCEPT.to_owned()),
        size: model.size,
        sha256: model.digest,
    }];
    let mut layers = Vec::new();
    for ((blob, order), fetched) in model.manifest.blobs().zip(orders).zip(fetched) {
        let (file, entry) = pair(order, fetched, Some(blob.media_type.clone()));
        locked.push(entry);
        layers.push(RegistryLayer { media_type: blob.media_type.clone(), file });
    }
    if layers.len() != model.manifest.layers.len() + 1 {
        return Err(incomplete(about));
    }
    let config = layers.remove(0).file;
    let manifest = model.manifest.as_pulled().map_err(|_| incomplete(about))?;
    Ok((Artifact::Model(RegistryModel { name, manifest, config, layers }), locked))
}

fn pair(order: &Order, fetched: &Fetched, media_type: Option<String>) -> (VerifiedFile, LockedFile) {
    let (plain, _) = crate::manifest::login::without_login(&order.get.url);
    let file = VerifiedFile {
        path: fetched.path.clone(),
        name: order.name.clone(),
        size: fetched.size,
        digest: fetched.digest,
        location: shown(&plain),
    };
    let locked = LockedFile {
        url: plain.to_string(),
        final_host: fetched.final_host.clone(),
        media_type,
        size: fetched.size,
        sha256: fetched.digest,
    };
    (file, locked)
}
