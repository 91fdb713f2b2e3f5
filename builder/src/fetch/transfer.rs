//! One file to fetch, and whether it must be: from the cache where it is, else downloaded (`download.rs`).
//! Several at once is `pool.rs`; what to fetch is decided by the source types' own files.

pub(crate) mod ask;
pub(crate) mod download;
pub(crate) mod partial;
pub(crate) mod pool;
pub(crate) mod space;

use std::fs::File;
use std::path::PathBuf;

use payload::{CHUNK_SIZE, Digest, Hasher};
use url::Url;

use crate::digesting::Facts;
use crate::fetch::cache::Cache;
use crate::fetch::error::SourceError;
use crate::fetch::named::NamedComponent;
use crate::fetch::net::http::{Client, Get};
use crate::fetch::net::policy::shown;
use crate::fetch::net::retry::{Cancel, RetryPolicy};
use crate::fetch::transfer::download::download;
use crate::fetch::transfer::space::Space;
use crate::progress::{Activity, Event, ItemId, Origin, ProgressSink};

/// Progress is reported in steps of this many bytes.
const STEP: u64 = 1 << 20;

/// One file to fetch.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub about: NamedComponent,
    /// Its name upstream, which tells its format.
    pub name: String,
    /// What progress calls it.
    pub label: String,
    pub get: Get,
    pub expected: Option<Digest>,
    /// In bytes, where known beforehand.
    pub size: Option<u64>,
    /// Whether it may be taken from the cache without being read: its bytes are compared when they are packed.
    pub unread: bool,
}

/// A file that is in the cache and has the expected digest.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub path: PathBuf,
    pub size: u64,
    pub digest: Digest,
    /// The host that sent it; `None` when it was in the cache or came through a mirror.
    pub final_host: Option<String>,
}

/// Why there is no file.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another file failed first.
    Cancelled,
    Error(Box<SourceError>),
}

/// What all transfers share.
pub(crate) struct Fetcher<'a> {
    pub client: &'a Client,
    pub cache: &'a Cache,
    pub space: &'a Space,
    pub retry: RetryPolicy,
    pub offline: bool,
    pub progress: &'a dyn ProgressSink,
    pub cancel: Cancel,
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Error(Box::new(error))
    }
}

impl Order {
    /// Where it comes from.
    pub(crate) fn url(&self) -> &Url {
        &self.get.url
    }

    fn offline(&self) -> SourceError {
        self.about.refused(
            self.url(),
            "it is not in the cache, and --offline forbids fetching it".to_owned(),
            "run the same command once without --offline, or copy the cache directory of a machine that did",
        )
    }

    /// Names the unfinished download: the URL and what is expected of it.
    pub(crate) fn key(&self) -> Digest {
        let mut hasher = Hasher::default();
        hasher.update(self.url().as_str().as_bytes());
        hasher.update(self.expected.map(|digest| format!("\n{digest}")).unwrap_or_default().as_bytes());
        hasher.finish()
    }
}

impl Fetcher<'_> {
    /// Fetches `order` unless the cache has it.
    pub(crate) fn fetch(&self, item: ItemId, order: &Order) -> Result<Fetched, Failure> {
        let location = shown(order.url());
        self.progress.event(&Event::Started { item, name: &order.label, location: &location, size: order.size });
        let result = self.fetch_started(item, order);
        if result.is_err() {
            self.progress.event(&Event::Stopped { item });
        }
        result
    }

    fn fetch_started(&self, item: ItemId, order: &Order) -> Result<Fetched, Failure> {
        if let Some(fetched) = self.cached(item, order)? {
            return Ok(fetched);
        }
        if self.offline {
            return Err(order.offline().into());
        }
        let waiting = || {
            let text = format!("{}: another builder is fetching it; waiting", order.label);
            self.progress.event(&Event::Note { text: &text });
        };
        let key = order.expected.unwrap_or_else(|| order.key());
        let Some(_lock) = self.cache.lock(key, &self.cancel, &waiting)? else { return Err(Failure::Cancelled) };
        match self.cached(item, order)? {
            Some(fetched) => Ok(fetched),
            None => download(self, item, order),
        }
    }

    fn cached(&self, item: ItemId, order: &Order) -> Result<Option<Fetched>, SourceError> {
        let Some(digest) = order.expected else { return Ok(None) };
        if let Some((path, size)) = self.unread(order, digest) {
            self.cache.note_unproven();
            self.finished(item, order, size, digest, Origin::Cached);
            return Ok(Some(Fetched { path, size, digest, final_host: None }));
        }
        let steps = Steps::default();
        let seen = |position| steps.report(self.progress, item, position);
        if self.cache.has(digest) {
            let (activity, position, size) = (Activity::Hashing, 0, order.size);
            self.progress.event(&Event::Working { item, activity, position, size });
        }
        let Some((path, size)) = self.cache.verified(digest, &seen)? else { return Ok(None) };
        if order.size.is_some_and(|expected| expected != size) {
            let expected = format!("{} bytes", order.size.unwrap_or_default());
            let found = format!("{size} bytes with the digest {digest}");
            return Err(order.about.mismatch(shown(order.url()), expected, found, "correct the size in the lock file"));
        }
        self.finished(item, order, size, digest, Origin::Cached);
        Ok(Some(Fetched { path, size, digest, final_host: None }))
    }

    /// Something large of the right name and size.
    fn unread(&self, order: &Order, digest: Digest) -> Option<(PathBuf, u64)> {
        let found = self.cache.unread(digest).filter(|_| order.unread)?;
        (found.1 > CHUNK_SIZE && Some(found.1) == order.size).then_some(found)
    }

    /// Reports that the file is here.
    pub(crate) fn finished(&self, item: ItemId, order: &Order, size: u64, digest: Digest, origin: Origin) {
        self.progress.event(&Event::Finished { item, name: &order.label, size, digest, origin });
    }
}

/// What is known of a local file.
pub(crate) fn hash_local(path: &std::path::Path, seen: &dyn Fn(u64)) -> std::io::Result<Facts> {
    crate::fetch::cache::hash(File::open(path)?, seen)
}

/// Reports positions in steps.
#[derive(Default)]
pub(crate) struct Steps(std::cell::Cell<u64>);

impl Steps {
    /// Passes `position`, in bytes, on when it is a step further.
    pub(crate) fn report(&self, progress: &dyn ProgressSink, item: ItemId, position: u64) {
        if position >= self.0.get() {
            self.0.set(position + STEP);
            progress.event(&Event::Advanced { item, position });
        }
    }
}
