//! Acquires what a manifest names: resolves sources, fetches, verifies, and keeps the lock file.
//! Each source type, the cache and the network have files of their own below `fetch/`.

pub mod artifact;
pub(crate) mod cache;
mod error;
mod lock_update;
mod named;
mod net;
mod options;
mod resolve;
mod source;
mod transfer;

use std::collections::BTreeMap;
use std::path::PathBuf;

use payload::Digest;

pub use cache::Cache;
pub use cache::housekeeping::{CacheEntry, CacheError, CacheReport, EntryKind, Prune, cache_list, cache_prune};
pub use error::SourceError;
pub(crate) use named::origin;
pub use net::http::Timeouts;
pub use net::policy::{Mirror, host_is_allowed};
pub use net::proxy::ProxySettings;
pub use net::retry::RetryPolicy;
pub use options::{LockMode, SourceEnvironment, SourceOptions, SourceSettings};
pub(crate) use resolve::look_at;
pub use transfer::space::{SpaceProbe, free_space};

use crate::fetch::artifact::Artifact;
use crate::lock::LockFile;
use crate::manifest::{Component, ComponentKind, Manifest, PartRole};
use crate::progress::{Event, ItemId, ProgressSink};
use lock_update::LockUpdate;
use net::http::Client;
use net::policy::Policy;
use resolve::{Resolved, Resolver};
use transfer::space::Space;
use transfer::{Fetched, Fetcher, Order};

/// What `acquire` yields. Cached files stay where they are while this value lives.
#[derive(Debug)]
pub struct Acquisition {
    /// One for each component that was asked for; `None` where the manifest itself holds the content.
    pub artifacts: Vec<Option<Artifact>>,
    /// What goes with models.
    pub parts: Vec<PartArtifact>,
    /// How the lock file changed, as lines that begin with `-` and `+`.
    pub lock_changes: Vec<String>,
    pub lock_path: PathBuf,
    pub(crate) cache: Cache,
}

/// The content of what goes with a model.
#[derive(Debug)]
pub struct PartArtifact {
    /// Position of the model in the components that were asked for.
    pub component: usize,
    pub role: PartRole,
    pub artifact: Artifact,
}

/// Acquires the content of `components`, which are of `manifest`.
pub fn acquire(
    manifest: &Manifest,
    components: &[&Component],
    options: &SourceOptions,
    progress: &dyn ProgressSink,
) -> Result<Acquisition, SourceError> {
    let wanted: Vec<&Component> = with_parts(components).map(|(_, component)| component).collect();
    let mut acquired = acquire_all(manifest, &wanted, options, progress)?;
    let found = std::mem::take(&mut acquired.artifacts);
    for ((position, component), artifact) in with_parts(components).zip(found) {
        match (&component.kind, artifact) {
            (ComponentKind::ModelPart { role, .. }, Some(artifact)) => {
                acquired.parts.push(PartArtifact { component: position, role: *role, artifact });
            }
            (_, artifact) => acquired.artifacts.push(artifact),
        }
    }
    Ok(acquired)
}

/// All components, each followed by what goes with it, with the position of the component.
fn with_parts<'a>(components: &[&'a Component]) -> impl Iterator<Item = (usize, &'a Component)> {
    components.iter().enumerate().flat_map(|(at, component)| component.with_parts().map(move |part| (at, part)))
}

fn acquire_all(
    manifest: &Manifest,
    components: &[&Component],
    options: &SourceOptions,
    progress: &dyn ProgressSink,
) -> Result<Acquisition, SourceError> {
    let mut update = LockUpdate::read(manifest, options.lock_mode)?;
    let cache = Cache::open(&options.cache_dir)?;
    log::info!("cache {}", options.cache_dir.display());
    log::info!("{}", update.tells());
    for component in components {
        log::info!("component {}: {}", component.name, origin(component));
    }
    let client = client(manifest, options);
    let space = Space::new(&options.cache_dir, options.free_space.clone());
    let fetcher = Fetcher {
        client: &client,
        cache: &cache,
        space: &space,
        retry: options.retry,
        offline: options.offline,
        progress,
        cancel: net::retry::Cancel::default(),
    };
    let old = update.old();
    let resolver = Resolver::new(manifest, &fetcher, options, &old)?;
    let wanted = resolve_all(&resolver, components)?;
    let found = fetch(&fetcher, &wanted, components.len(), options.jobs)?;
    let mut artifacts = Vec::new();
    for ((component, wanted), found) in components.iter().zip(wanted).zip(found) {
        let artifact = wanted.map(|wanted| update.record(component, wanted, &found, progress));
        artifacts.push(artifact.transpose()?);
    }
    let lock_changes = update.write(manifest, progress)?;
    Ok(Acquisition { artifacts, parts: Vec::new(), lock_changes, lock_path: LockFile::beside(&manifest.path), cache })
}

fn client(manifest: &Manifest, options: &SourceOptions) -> Client {
    let policy = Policy { mirrors: options.mirrors.clone(), allowed_hosts: manifest.package.allowed_hosts.clone() };
    let agent = concat!("airgap-deploy/", env!("CARGO_PKG_VERSION"));
    Client::new(policy, options.proxies.clone(), options.timeouts, agent)
}

fn resolve_all(resolver: &Resolver<'_>, components: &[&Component]) -> Result<Vec<Option<Resolved>>, SourceError> {
    let resolve = |(index, component): (usize, &&Component)| {
        component.source().map(|source| resolver.resolve(ItemId(index), component, source)).transpose()
    };
    components.iter().enumerate().map(resolve).collect()
}

/// Fetches every order once, also when several components want the same content.
fn fetch(
    fetcher: &Fetcher<'_>,
    wanted: &[Option<Resolved>],
    first_item: usize,
    jobs: usize,
) -> Result<Vec<Vec<Fetched>>, SourceError> {
    let mut unique: Vec<Order> = Vec::new();
    let mut places: BTreeMap<Digest, usize> = BTreeMap::new();
    for order in wanted.iter().flatten().flat_map(Resolved::orders) {
        places.entry(order.expected.unwrap_or_else(|| order.key())).or_insert_with(|| {
            unique.push(order.clone());
            unique.len() - 1
        });
    }
    let files = transfer::pool::fetch_all(fetcher, &unique, first_item, jobs)?;
    let of = |order: &Order| {
        let place = places.get(&order.expected.unwrap_or_else(|| order.key()));
        place.and_then(|&index| files.get(index)).cloned()
    };
    let each = |wanted: &Option<Resolved>| wanted.iter().flat_map(Resolved::orders).filter_map(of).collect();
    Ok(wanted.iter().map(each).collect())
}

/// A line for the user that is not an error.
fn note(progress: &dyn ProgressSink, text: &str) {
    progress.event(&Event::Note { text });
}
