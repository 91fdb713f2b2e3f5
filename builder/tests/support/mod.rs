//! Harness of the source tests: a scripted HTTP server on loopback, manifests made of values, a recording sink.
//! The facts that are tested are in the `sources_*.rs` files beside this directory.
#![expect(dead_code, reason = "each test file uses a part of the harness")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "what tests share fails as they do")]

pub(crate) mod registry;
pub(crate) mod server;
pub(crate) mod tls;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use builder::fetch::artifact::{Artifact, VerifiedFile};
use builder::fetch::{Acquisition, LockMode, Mirror, RetryPolicy, SourceError, SourceOptions, Timeouts, acquire};
use builder::manifest::{
    Component, ComponentKind, Install, InstallPath, IpAllow, Manifest, ModelName, ModelSettings, Package, Relax,
    Source, SourceKind,
};
use builder::progress::{Event, ProgressSink};
use payload::Digest;
use payload::index::Arch;
use url::Url;

/// A directory with a manifest's place and a cache of its own.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) options: SourceOptions,
    pub(crate) allowed_hosts: Option<Vec<String>>,
    pub(crate) target: Arch,
    pub(crate) events: Events,
}

/// Remembers what was reported, as text.
#[derive(Default)]
pub(crate) struct Events(pub(crate) Mutex<Vec<String>>);

impl ProgressSink for Events {
    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = SourceOptions::in_cache(dir.path().join("cache"));
        options.retry =
            RetryPolicy { attempts: 4, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(5) };
        options.timeouts = Timeouts { connect: Duration::from_secs(20), stall: Duration::from_secs(20) };
        Self { dir, options, allowed_hosts: None, target: Arch::X86_64, events: Events::default() }
    }

    pub(crate) fn with_mirror(mut self, from: &str, to: &str) -> Self {
        self.options.mirrors.push(Mirror::new(from, to).unwrap());
        self
    }

    pub(crate) fn manifest(&self, components: &[Component]) -> Manifest {
        Manifest {
            path: self.dir.path().join("AirGapDeploy.toml"),
            text: Vec::new(),
            target: self.target,
            package: Package {
                name: "test".parse().unwrap(),
                version: "1".to_owned(),
                description: String::new(),
                allowed_hosts: self.allowed_hosts.clone(),
            },
            install: Install {
                prefix: "opt/test".parse().unwrap(),
                account: None,
                ip_allow: IpAllow::Localhost,
                command: None,
                relax: Relax::default(),
            },
            components: components.to_vec(),
        }
    }

    pub(crate) fn acquire(&self, components: &[Component]) -> Result<Acquisition, SourceError> {
        let manifest = self.manifest(components);
        let wanted: Vec<&Component> = manifest.components.iter().collect();
        acquire(&manifest, &wanted, &self.options, &self.events)
    }

    /// Acquires one component and reads what came.
    pub(crate) fn content(&self, component: &Component) -> Result<Vec<u8>, SourceError> {
        let acquired = self.acquire(std::slice::from_ref(component))?;
        Ok(std::fs::read(&file(&acquired, 0).path).unwrap())
    }

    pub(crate) fn in_mode(&mut self, mode: LockMode) -> &Self {
        self.options.lock_mode = mode;
        self
    }

    pub(crate) fn lock_text(&self) -> String {
        std::fs::read_to_string(self.lock_path()).unwrap()
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.dir.path().join("AirGapDeploy.lock")
    }

    pub(crate) fn partials(&self) -> Vec<PathBuf> {
        listing(&self.options.cache_dir.join("partial"))
    }

    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        listing(&self.options.cache_dir.join("sha256"))
    }

    pub(crate) fn events(&self) -> String {
        self.events.0.lock().unwrap().join("\n")
    }
}

fn listing(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The file artifact at `index`.
pub(crate) fn file(acquired: &Acquisition, index: usize) -> &VerifiedFile {
    match &acquired.artifacts[index] {
        Some(Artifact::File(file)) => file,
        other => panic!("no file: {other:?}"),
    }
}

fn install_path() -> InstallPath {
    InstallPath { given: "bin/x".to_owned(), path: "opt/test/bin/x".parse().unwrap(), absolute: false }
}

fn component(name: &str, kind: ComponentKind) -> Component {
    Component { name: name.to_owned(), required: true, kind, mode: None, owner: None, group: None, parts: Vec::new() }
}

pub(crate) fn binary(name: &str, kind: SourceKind, checksum: Option<Digest>) -> Component {
    let source = Source { kind, checksum, per_target: false };
    component(name, ComponentKind::ExternalBinary { source, install_path: install_path(), exclude: Vec::new() })
}

pub(crate) fn model(name: &str, kind: SourceKind, checksum: Option<Digest>) -> Component {
    let source = Source { kind, checksum, per_target: false };
    let kind = ComponentKind::ModelFile {
        source,
        install_path: Some(install_path()),
        names: vec![model_name("registry.ollama.ai", "library", name, "latest")],
        settings: Box::new(ModelSettings::default()),
    };
    component(name, kind)
}

pub(crate) fn model_name(host: &str, namespace: &str, model: &str, tag: &str) -> ModelName {
    let owned = str::to_owned;
    ModelName { host: owned(host), namespace: owned(namespace), model: owned(model), tag: owned(tag) }
}

pub(crate) fn url(text: &str) -> SourceKind {
    SourceKind::Url { url: Url::parse(text).unwrap() }
}

/// Bytes that do not repeat within any resumable piece.
pub(crate) fn content(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Error text as `main` would print it.
pub(crate) fn told(error: &SourceError) -> String {
    format!("{error}\n{}", error.hint())
}
