//! From a component's source to what must be fetched, with everything that is known of it beforehand.
//! Fetching is `transfer/pool.rs`; what becomes of the result is `lock_update.rs`.

use std::path::Path;

use payload::{CHUNK_SIZE, Digest};
use url::Url;

use crate::digesting::Facts;
use crate::fetch::artifact::{Artifact, VerifiedFile};
use crate::fetch::error::SourceError;
use crate::fetch::named::NamedComponent;
use crate::fetch::net::http::Get;
use crate::fetch::net::login::Login;
use crate::fetch::net::policy::shown;
use crate::fetch::options::{LockMode, SourceOptions};
use crate::fetch::source::github::{self, Release};
use crate::fetch::source::local::hash_directory;
use crate::fetch::source::registry::{self, Access, Model};
use crate::fetch::transfer::{Fetcher, Order, Steps, hash_local};
use crate::lock::{self, LOCK_FILE_NAME, LockFile, LockKey, LockedComponent, LockedFile, LockedSource, as_given};
use crate::manifest::login::without_login;
use crate::manifest::{Component, ComponentKind, Manifest, ModelName, Source, SourceKind};
use crate::progress::{Activity, Event, ItemId, Origin};
use crate::small_file;

const MANIFEST_CHECKSUM: &str = "source.checksum in the manifest";
/// The release whose verdict on models is asked for when the manifest names no Ollama.
const DEFAULT_OLLAMA: &str = "0.15.0";
/// The media type of directories in the shared MIME database.
pub(crate) const DIRECTORY: &str = "inode/directory";

/// A component whose source is understood.
#[derive(Debug)]
pub(crate) enum Resolved {
    /// Content of this machine, already verified.
    Local(Box<(Artifact, LockedFile)>),
    /// One file.
    File(Box<Order>),
    /// A registry model: config and layers.
    Model { model: Box<Model>, orders: Vec<Order> },
}

/// Resolves the sources of one manifest.
pub(crate) struct Resolver<'a> {
    manifest: &'a Manifest,
    fetcher: &'a Fetcher<'a>,
    options: &'a SourceOptions,
    old: &'a LockFile,
    access: Access,
}

impl Resolved {
    fn orders_mut(&mut self) -> &mut [Order] {
        match self {
            Self::Local(_) => &mut [],
            Self::File(order) => std::slice::from_mut(order),
            Self::Model { orders, .. } => orders,
        }
    }

    /// What must be fetched.
    pub(crate) fn orders(&self) -> &[Order] {
        match self {
            Self::Local(_) => &[],
            Self::File(order) => std::slice::from_ref(order),
            Self::Model { orders, .. } => orders,
        }
    }
}

impl<'a> Resolver<'a> {
    /// Reads Docker's logins.
    pub(crate) fn new(
        manifest: &'a Manifest,
        fetcher: &'a Fetcher<'a>,
        options: &'a SourceOptions,
        old: &'a LockFile,
    ) -> Result<Self, SourceError> {
        let login = match &options.docker_config {
            None => Login::default(),
            Some(path) => Login::from_docker_config(path).map_err(|problem| SourceError::Settings {
                path: path.clone(),
                problem,
                hint: "log in again with `docker login`, or set DOCKER_CONFIG to another directory".to_owned(),
            })?,
        };
        let user_agent = format!("ollama/{} (amd64 linux)", ollama_version(manifest));
        Ok(Self { manifest, fetcher, options, old, access: Access { user_agent, login } })
    }

    /// Resolves `source`, which is of `component`.
    pub(crate) fn resolve(
        &self,
        item: ItemId,
        component: &Component,
        source: &Source,
    ) -> Result<Resolved, SourceError> {
        let about = NamedComponent::from(component);
        let pinned = self.pinned(&about, component, source)?;
        self.check_final_hosts(&about, pinned)?;
        let mut resolved = match &source.kind {
            SourceKind::File { path } => self.local(item, component, source.checksum, path, pinned),
            SourceKind::Url { url } => {
                self.check_hosts(&about, url)?;
                self.url(about, url, source.checksum, pinned)
            }
            SourceKind::GithubRelease { repo, tag, asset_pattern } => {
                let release = Release { repo, tag, pattern: asset_pattern };
                self.github(&about, release, source.checksum, pinned)
            }
            SourceKind::OllamaRegistry { model } => self.registry(&about, model, source.checksum, pinned),
        }?;
        let unread = self.may_stay_unread(component);
        resolved.orders_mut().iter_mut().for_each(|order| order.unread = unread);
        Ok(resolved)
    }

    /// Weights are packed as they are, and compared while they are written. What is taken apart is compared before.
    fn may_stay_unread(&self, component: &Component) -> bool {
        let weights = matches!(component.kind, ComponentKind::ModelFile { .. } | ComponentKind::ModelPart { .. });
        self.options.unread && weights
    }

    /// The lock file's entry, if it is for this very source and to be followed.
    fn pinned(
        &self,
        about: &NamedComponent,
        component: &Component,
        source: &Source,
    ) -> Result<Option<&'a LockedComponent>, SourceError> {
        if self.options.lock_mode == LockMode::Update {
            return Ok(None);
        }
        let key = LockKey::of(component, self.manifest.target);
        let current = self.old.pinned(&key, &LockedSource::of(&source.kind, &self.manifest.path));
        if current.is_some() || self.options.lock_mode != LockMode::Locked {
            return Ok(current);
        }
        let of = key.target.map_or_else(String::new, |target| format!(" for {target}"));
        let problem = match self.old.components.get(&key) {
            Some(_) => format!("{LOCK_FILE_NAME} was written for another source, and --locked forbids changing it"),
            None => format!("{LOCK_FILE_NAME} does not have it{of}, and --locked forbids adding it"),
        };
        let command = lock::command(self.manifest.target);
        let hint = format!("run `{command}`, look at what changed, and keep the new lock file");
        Err(about.unpinned(LockFile::beside(&self.manifest.path).display().to_string(), problem, hint))
    }

    /// Content that is in the cache already came from somewhere, too.
    fn check_final_hosts(&self, about: &NamedComponent, pinned: Option<&LockedComponent>) -> Result<(), SourceError> {
        let hosts = pinned.into_iter().flat_map(|entry| &entry.files);
        for (file, host) in hosts.filter_map(|file| Some((file, file.final_host.as_deref()?))) {
            if !self.fetcher.client.policy.allows(host)
                && let Ok(url) = Url::parse(&file.url)
            {
                let problem = format!("host {host}, which sent it, is not in allowed_hosts of [package]");
                return Err(about.refused(&url, problem, "add the host to allowed_hosts in [package]"));
            }
        }
        Ok(())
    }

    fn check_hosts(&self, about: &NamedComponent, url: &Url) -> Result<(), SourceError> {
        let hint = "add the host to allowed_hosts in [package], or use HTTPS";
        self.fetcher.client.policy.target(url, None).map(drop).map_err(|problem| about.refused(url, problem, hint))
    }

    fn local(
        &self,
        item: ItemId,
        component: &Component,
        checksum: Option<Digest>,
        path: &Path,
        pinned: Option<&LockedComponent>,
    ) -> Result<Resolved, SourceError> {
        let about = NamedComponent::from(component);
        let given = as_given(path, &self.manifest.path);
        let location = format!("file:{}", given.display());
        let full = self.manifest.path.parent().unwrap_or(Path::new("")).join(given);
        let metadata = look_at(component, &full)?;
        if metadata.is_dir() {
            return directory(&about, checksum, location, &full);
        }
        let name = full.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let size = Some(metadata.len());
        self.fetcher.progress.event(&Event::Started { item, name: &about.component, location: &location, size });
        let pin = pinned.and_then(|entry| entry.files.first()).filter(|_| self.may_stay_unread(component));
        let pin = pin.filter(|pin| Some(pin.size) == size && pin.size > CHUNK_SIZE);
        let (digest, size) = match pin.filter(|pin| checksum.is_none_or(|expected| expected == pin.sha256)) {
            Some(pin) => {
                self.fetcher.cache.note_unproven();
                (pin.sha256, pin.size)
            }
            None => self.hash(item, &full, size)?,
        };
        if let Some(expected) = checksum.filter(|expected| *expected != digest) {
            self.fetcher.progress.event(&Event::Stopped { item });
            let hint = "the file is left as it is: replace it by the right one, or correct source.checksum";
            return Err(about.mismatch(location, expected, digest, hint));
        }
        let origin = Origin::Local;
        self.fetcher.progress.event(&Event::Finished { item, name: &about.component, size, digest, origin });
        let locked = LockedFile { url: location.clone(), final_host: None, media_type: None, size, sha256: digest };
        let file = VerifiedFile { path: full, name, size, digest, location };
        Ok(Resolved::Local(Box::new((Artifact::File(file), locked))))
    }

    fn hash(&self, item: ItemId, path: &Path, size: Option<u64>) -> Result<(Digest, u64), SourceError> {
        let activity = Activity::Hashing;
        self.fetcher.progress.event(&Event::Working { item, activity, position: 0, size });
        let steps = Steps::default();
        let seen = |position| steps.report(self.fetcher.progress, item, position);
        let Facts { digest, chunks, length } = hash_local(path, &seen).map_err(SourceError::disk("read", path))?;
        self.fetcher.cache.remember_chunks(digest, &chunks);
        Ok((digest, length))
    }

    fn url(
        &self,
        about: NamedComponent,
        url: &Url,
        checksum: Option<Digest>,
        pinned: Option<&LockedComponent>,
    ) -> Result<Resolved, SourceError> {
        let pin = pinned.and_then(|entry| entry.files.first());
        let digests = checksum.map(|digest| (digest, MANIFEST_CHECKSUM)).into_iter().chain(pin.map(locked_digest));
        let name = file_name(url).unwrap_or_else(|| about.component.clone());
        self.order(about, url.clone(), name, pin.map(|pin| pin.size), &digests.collect::<Vec<_>>())
    }

    fn github(
        &self,
        about: &NamedComponent,
        release: Release<'_>,
        checksum: Option<Digest>,
        pinned: Option<&LockedComponent>,
    ) -> Result<Resolved, SourceError> {
        let mut digests: Vec<_> = checksum.map(|digest| (digest, MANIFEST_CHECKSUM)).into_iter().collect();
        if let Some(pin) = pinned.and_then(|entry| entry.files.first()) {
            let url = self.parse_locked(&pin.url)?;
            self.check_hosts(about, &url)?;
            digests.push(locked_digest(pin));
            let name = file_name(&url).unwrap_or_else(|| about.component.clone());
            return self.order(about.clone(), url, name, Some(pin.size), &digests);
        }
        if self.options.offline {
            let problem = format!("{LOCK_FILE_NAME} does not say which asset it is, and --offline forbids asking");
            let hint = "run the same command once without --offline".to_owned();
            return Err(about.unpinned(format!("{} {}", release.repo, release.tag), problem, hint));
        }
        let asset = github::resolve(self.fetcher, about, release, self.options.github_token.as_deref())?;
        digests.extend(asset.digests);
        self.order(about.clone(), asset.url, asset.name, asset.size, &digests)
    }

    fn order(
        &self,
        about: NamedComponent,
        url: Url,
        name: String,
        size: Option<u64>,
        digests: &[(Digest, &'static str)],
    ) -> Result<Resolved, SourceError> {
        github::agree(&about, &url, digests)?;
        let expected = digests.first().map(|(digest, _)| *digest);
        if expected.is_none() {
            self.check_trust(&about, &url)?;
        }
        let label = about.component.clone();
        Ok(Resolved::File(Box::new(Order { about, name, label, get: Get::new(url), expected, size, unread: false })))
    }

    /// Content whose digest nobody states is trusted only when the user asks for it.
    fn check_trust(&self, about: &NamedComponent, url: &Url) -> Result<(), SourceError> {
        if matches!(self.options.lock_mode, LockMode::Update | LockMode::Record) {
            let name = &about.component;
            let text = format!("{name}: no checksum is known; trusting what {} sends now", shown(url));
            crate::fetch::note(self.fetcher.progress, &text);
            return Ok(());
        }
        let problem = "it has no checksum, and the lock file does not have it".to_owned();
        let mut components = self.manifest.components.iter().flat_map(Component::with_parts);
        let source = components.find(|component| component.name == about.component).and_then(Component::source);
        let key = source.map(|source| source.checksum_key(self.manifest.target)).unwrap_or_default();
        let hint = format!(
            "add {key} = \"sha256:…\" to the manifest, or trust what the server sends now and pin it: --update-lock"
        );
        Err(about.unpinned(shown(url), problem, hint))
    }

    fn registry(
        &self,
        about: &NamedComponent,
        name: &ModelName,
        checksum: Option<Digest>,
        pinned: Option<&LockedComponent>,
    ) -> Result<Resolved, SourceError> {
        self.check_hosts(about, &registry::manifest_url(about, name)?)?;
        let pin = pinned.and_then(|entry| entry.files.first()).map(|file| file.sha256);
        if self.options.offline && pin.is_none() {
            let problem = format!("{LOCK_FILE_NAME} does not pin the model, and --offline forbids asking the registry");
            let hint = "run the same command once without --offline".to_owned();
            return Err(about.unpinned(name.display_shortest(), problem, hint));
        }
        let model = registry::resolve(self.fetcher, about, name, pin, &self.access)?;
        if let Some(expected) = checksum {
            check_model(about, &model, expected)?;
        }
        let orders = model.orders(about, name, &self.access)?;
        Ok(Resolved::Model { model: Box::new(model), orders })
    }

    fn parse_locked(&self, text: &str) -> Result<Url, SourceError> {
        Url::parse(text).map_err(|error| SourceError::Settings {
            path: LockFile::beside(&self.manifest.path),
            problem: format!("{text:?} is not a URL: {error}"),
            hint: "write the file again with --update-lock".to_owned(),
        })
    }
}

fn locked_digest(file: &LockedFile) -> (Digest, &'static str) {
    (file.sha256, LOCK_FILE_NAME)
}

/// A checksum beside a registry model is the manifest's digest, as served or as Ollama stores it, or the weights'.
fn check_model(about: &NamedComponent, model: &Model, expected: Digest) -> Result<(), SourceError> {
    let stored = model.manifest.as_pulled().map(|bytes| Digest::of(&bytes)).ok();
    let weights = model.manifest.layers.iter().filter(|layer| layer.kind() == "model").map(|layer| layer.digest);
    if expected == model.digest || Some(expected) == stored || weights.clone().any(|digest| digest == expected) {
        return Ok(());
    }
    let found =
        weights.fold(format!("{} (manifest)", model.digest), |text, digest| format!("{text}, {digest} (weights)"));
    Err(about.mismatch(shown(&model.url), expected, found, "correct source.checksum, or choose another tag"))
}

/// What can be said of a local source before it is read.
pub(crate) fn look_at(component: &Component, path: &Path) -> Result<std::fs::Metadata, SourceError> {
    let about = NamedComponent::from(component);
    let refuse = |problem: &str, hint: &str| {
        Err(about.not_found(path.display().to_string(), problem.to_owned(), hint.to_owned()))
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(SourceError::disk("read", path)(error));
        }
        Err(error) => {
            let hint = "source.path is relative to the manifest; correct it, or put the file there";
            return refuse(&error.to_string(), hint);
        }
    };
    match component.kind {
        ComponentKind::ExternalBinary { .. } if metadata.is_dir() => {}
        _ if metadata.is_dir() => {
            return refuse("it is a directory", "only an external-binary may be a directory; name a file");
        }
        _ if !metadata.is_file() => {
            return refuse("it is not a regular file, and may never end", "name a regular file");
        }
        _ => drop(small_file::open_regular(path).map_err(SourceError::disk("read", path))?),
    }
    Ok(metadata)
}

fn directory(
    about: &NamedComponent,
    checksum: Option<Digest>,
    location: String,
    path: &Path,
) -> Result<Resolved, SourceError> {
    let (sha256, size) = hash_directory(path).map_err(SourceError::disk("read", path))?;
    if let Some(expected) = checksum.filter(|expected| *expected != sha256) {
        let hint = "the checksum of a directory is the one that the lock file shows for it";
        return Err(about.mismatch(location, expected, sha256, hint));
    }
    let media_type = Some(DIRECTORY.to_owned());
    let locked = LockedFile { url: location, final_host: None, media_type, size, sha256 };
    Ok(Resolved::Local(Box::new((Artifact::Directory { path: path.to_owned() }, locked))))
}

/// The last segment of the path, which servers and people take for the file's name.
fn file_name(url: &Url) -> Option<String> {
    let (plain, _) = without_login(url);
    let segment = plain.path_segments()?.next_back()?.replace('+', "%2B");
    let decoded = url::form_urlencoded::parse(format!("x={segment}").as_bytes()).next()?.1.into_owned();
    (!decoded.is_empty() && !decoded.contains('/')).then_some(decoded)
}

fn ollama_version(manifest: &Manifest) -> String {
    let tags = manifest.components.iter().filter_map(|component| match component.source().map(|source| &source.kind) {
        Some(SourceKind::GithubRelease { repo, tag, .. }) if repo == "ollama/ollama" => Some(tag.as_str()),
        _ => None,
    });
    let tag = tags.into_iter().next().unwrap_or(DEFAULT_OLLAMA);
    tag.trim_start_matches('v').to_owned()
}
