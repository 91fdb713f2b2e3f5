//! One download: requests until every byte is here, each answer held against what is known of the content.
//! The cache around it is `transfer.rs`; the part file is `partial.rs`.

use std::io::Read as _;

use payload::Digest;

use crate::fetch::cache::Info;
use crate::fetch::error::SourceError;
use crate::fetch::net::fault::Fault;
use crate::fetch::net::http::{Authorization, Get, Reply};
use crate::fetch::net::policy::shown;
use crate::fetch::net::retry::Backoff;
use crate::fetch::transfer::partial::{Partial, Version};
use crate::fetch::transfer::space::Promise;
use crate::fetch::transfer::{Failure, Fetched, Fetcher, Order, Steps};
use crate::progress::{Activity, Event, ItemId, Origin};

const BUFFER: usize = 64 << 10;
/// Failures before so many new bytes no longer count.
const FORGIVEN_AFTER: u64 = 64 << 10;
const MISMATCH_HINT: &str = "the bytes were thrown away. Run the same command again; if it happens again, upstream \
     changed: compare with what upstream publishes, then correct source.checksum or run with --update-lock";

/// The end of one attempt that did not complete the file.
enum Broken {
    Fault(Fault),
    Failure(Failure),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<SourceError> for Broken {
    fn from(error: SourceError) -> Self {
        Self::Failure(error.into())
    }
}

/// Fetches `order`, which is not in the cache, and puts it there.
pub(crate) fn download(fetcher: &Fetcher<'_>, item: ItemId, order: &Order) -> Result<Fetched, Failure> {
    let mut download = Download::open(fetcher, item, order)?;
    let position = download.partial.position();
    let resumed = position > 0;
    log::info!("{}: fetching {} from byte {position} on", order.label, shown(order.url()));
    let mut second_try = false;
    loop {
        download.run()?;
        let found = download.partial.digest();
        if order.expected.is_none_or(|expected| expected == found) {
            break;
        }
        if second_try || !download.partial.is_pieced() {
            return Err(download.reject(found).into());
        }
        // Pieces of two versions, or a part that a crash damaged: once more, from the start.
        second_try = true;
        download.start_over("the pieces do not fit together")?;
    }
    let origin = if resumed { Origin::Resumed } else { Origin::Downloaded };
    download.keep(origin)
}

/// One file on its way.
struct Download<'a> {
    fetcher: &'a Fetcher<'a>,
    item: ItemId,
    order: &'a Order,
    partial: Partial,
    backoff: Backoff,
    /// The furthest position so far: only what goes beyond it is progress.
    best: u64,
    /// The last one that was sent; tokens of registries expire during a long download.
    authorization: Option<Authorization>,
    final_host: Option<String>,
    web_page: bool,
    promise: Option<Promise<'a>>,
}

impl<'a> Download<'a> {
    fn open(fetcher: &'a Fetcher<'a>, item: ItemId, order: &'a Order) -> Result<Self, SourceError> {
        let base = fetcher.cache.partial(order.key());
        let steps = Steps::default();
        let seen = |position| steps.report(fetcher.progress, item, position);
        let partial = Partial::open(&base, order.expected.is_some(), &seen)
            .map_err(SourceError::disk("open the unfinished download", &base))?;
        let best = partial.position();
        let backoff = Backoff::new(fetcher.retry);
        Ok(Self {
            fetcher,
            item,
            order,
            partial,
            backoff,
            best,
            authorization: order.get.authorization.clone(),
            final_host: None,
            web_page: false,
            promise: None,
        })
    }

    /// Attempts until every byte is here, or no attempt is left.
    fn run(&mut self) -> Result<(), Failure> {
        loop {
            if self.fetcher.cancel.is_set() {
                return Err(Failure::Cancelled);
            }
            let fault = match self.attempt() {
                Ok(()) => return Ok(()),
                Err(Broken::Failure(failure)) => return Err(failure),
                Err(Broken::Fault(fault)) => fault,
            };
            self.promise = None;
            if self.partial.position() >= self.best.saturating_add(FORGIVEN_AFTER) {
                self.best = self.partial.position();
                self.backoff.reset();
            }
            self.wait_after(&fault)?;
        }
    }

    fn wait_after(&mut self, fault: &Fault) -> Result<(), Failure> {
        let give_up = || Failure::from(self.order.about.fault(self.order.url(), fault));
        if !fault.worth_retrying() {
            return Err(give_up());
        }
        let wait = self.backoff.next(fault.retry_after()).ok_or_else(give_up)?;
        let reason = fault.to_string();
        let event = Event::Retrying { item: self.item, name: &self.order.label, reason: &reason, wait };
        self.fetcher.progress.event(&event);
        if self.fetcher.cancel.wait(wait) { Err(Failure::Cancelled) } else { Ok(()) }
    }

    /// One request, and its body to the end.
    fn attempt(&mut self) -> Result<(), Broken> {
        let position = self.partial.position();
        let length = self.order.size.or(self.partial.version().length);
        if length == Some(position) && position > 0 {
            return Ok(());
        }
        let mut request = self.request(position);
        let reply = self.fetcher.client.get_authorized(&mut request);
        self.authorization = request.authorization;
        let reply = match reply {
            Err(Fault::Status { code: 416, .. }) if position > 0 => {
                self.restart(Version::default())?;
                return Err(Fault::Transient("the server has fewer bytes than before".to_owned()).into());
            }
            other => other?,
        };
        self.web_page = reply.is_web_page();
        let announced = match reply.status {
            200 => self.begin(&reply)?,
            206 if position > 0 => self.resume(&reply)?,
            other => return Err(Fault::Fatal(format!("the server answered {other} to a plain request")).into()),
        };
        self.final_host = (!reply.mirrored).then(|| reply.final_host.clone());
        self.partial.begin_piece();
        self.receive(reply, announced)
    }

    fn request(&self, position: u64) -> Get {
        let mut get = self.order.get.clone();
        get.authorization.clone_from(&self.authorization);
        if position == 0 {
            return get;
        }
        let get = get.with("range", format!("bytes={position}-"));
        match self.partial.version().if_range() {
            Some(validator) => get.with("if-range", validator),
            None => get,
        }
    }

    /// The whole content comes, from its first byte. Returns its length.
    fn begin(&mut self, reply: &Reply) -> Result<Option<u64>, Broken> {
        let length = header_number(reply, "content-length");
        self.check_unpinned(reply, length)?;
        self.check_length(length)?;
        self.promise(length.or(self.order.size).unwrap_or(0))?;
        self.restart(Version { length, ..validators(reply) })?;
        Ok(length)
    }

    /// What is missing comes, if it is of the same content. Returns the whole length.
    fn resume(&mut self, reply: &Reply) -> Result<Option<u64>, Broken> {
        let position = self.partial.position();
        let range = reply.header("content-range").and_then(parse_content_range);
        let told = Version { length: range.and_then(|(_, total)| total), ..validators(reply) };
        if range.map(|(start, _)| start) != Some(position) || !self.partial.version().may_equal(&told) {
            self.restart(Version::default())?;
            return Err(Fault::Transient("the content changed on the server; starting over".to_owned()).into());
        }
        let length = told.length.or(self.partial.version().length);
        self.check_length(length)?;
        self.promise(length.unwrap_or(position).saturating_sub(position))?;
        Ok(length)
    }

    /// Content that no digest will judge must at least be told apart from an error page and be complete.
    fn check_unpinned(&self, reply: &Reply, length: Option<u64>) -> Result<(), Broken> {
        if self.order.expected.is_some() {
            return Ok(());
        }
        if self.web_page {
            return Err(Fault::Fatal("the server answered with a web page instead of the content".to_owned()).into());
        }
        let chunked = reply.header("transfer-encoding").is_some();
        if length.is_none() && !chunked {
            let problem = "the server does not say how long the content is, and no checksum is known";
            return Err(Fault::Fatal(problem.to_owned()).into());
        }
        Ok(())
    }

    fn check_length(&self, announced: Option<u64>) -> Result<(), Broken> {
        let Some((expected, found)) = self.order.size.zip(announced).filter(|(a, b)| a != b) else { return Ok(()) };
        let page = if self.web_page { " of a web page" } else { "" };
        Err(self
            .order
            .about
            .mismatch(
                shown(self.order.url()),
                format!("{expected} bytes{}", self.order.expected.map(|d| format!(", {d}")).unwrap_or_default()),
                format!("{found} bytes{page}"),
                MISMATCH_HINT,
            )
            .into())
    }

    fn promise(&mut self, needed: u64) -> Result<(), Broken> {
        let promise = self.fetcher.space.promise(needed);
        self.promise = Some(promise.map_err(|available| SourceError::NoSpace {
            component: self.order.about.component.clone(),
            path: self.fetcher.cache.dir().to_owned(),
            needed,
            available,
        })?);
        Ok(())
    }

    fn receive(&mut self, mut reply: Reply, announced: Option<u64>) -> Result<(), Broken> {
        self.fetcher.progress.event(&Event::Working {
            item: self.item,
            activity: Activity::Downloading,
            position: self.partial.position(),
            size: announced.or(self.order.size),
        });
        let steps = Steps::default();
        let mut buffer = vec![0; BUFFER];
        loop {
            if self.fetcher.cancel.is_set() {
                return Err(Broken::Failure(Failure::Cancelled));
            }
            let read = reply.body.read(&mut buffer).map_err(Fault::from)?;
            if read == 0 {
                break;
            }
            self.append(&buffer[..read])?;
            steps.report(self.fetcher.progress, self.item, self.partial.position());
            self.check_end(announced)?;
        }
        let position = self.partial.position();
        match announced.or(self.order.size) {
            Some(length) if position < length => {
                Err(Fault::Transient("the connection ended before the content did".to_owned()).into())
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.partial.append(bytes).map_err(|error| self.write_error(error))?;
        if let Some(promise) = &mut self.promise {
            promise.written(bytes.len() as u64);
        }
        Ok(())
    }

    fn write_error(&self, error: std::io::Error) -> SourceError {
        let dir = self.fetcher.cache.dir();
        if error.kind() != std::io::ErrorKind::StorageFull {
            return SourceError::disk("write the download below", dir)(error);
        }
        let length = self.partial.version().length.or(self.order.size).unwrap_or(0);
        SourceError::NoSpace {
            component: self.order.about.component.clone(),
            path: dir.to_owned(),
            needed: length.saturating_sub(self.partial.position()),
            available: 0,
        }
    }

    /// More bytes than there can be: the server lies.
    fn check_end(&mut self, announced: Option<u64>) -> Result<(), Broken> {
        let position = self.partial.position();
        if announced.or(self.order.size).is_none_or(|length| position <= length) {
            return Ok(());
        }
        self.restart(Version::default())?;
        Err(Fault::Transient("the server sends more bytes than the content has".to_owned()).into())
    }

    fn restart(&mut self, version: Version) -> Result<(), SourceError> {
        let dir = self.fetcher.cache.dir();
        self.partial.restart(version).map_err(SourceError::disk("write the download below", dir))?;
        self.fetcher.progress.event(&Event::Advanced { item: self.item, position: 0 });
        Ok(())
    }

    fn start_over(&mut self, why: &str) -> Result<(), SourceError> {
        let text = format!("{}: {why}; fetching it again from the start", self.order.label);
        self.fetcher.progress.event(&Event::Note { text: &text });
        self.restart(Version::default())
    }

    /// The bytes are wrong: they are removed, and the error shows both digests.
    fn reject(self, found: Digest) -> SourceError {
        let page = if self.web_page { " (a web page, not the content)" } else { "" };
        let expected = self.order.expected.map(|digest| digest.to_string()).unwrap_or_default();
        let location = shown(self.order.url());
        let error = self.order.about.mismatch(location, expected, format!("{found}{page}"), MISMATCH_HINT);
        let dir = self.fetcher.cache.dir();
        match self.partial.discard().map_err(SourceError::disk("remove the wrong download below", dir)) {
            Ok(()) => error,
            Err(disk) => disk,
        }
    }

    fn keep(self, origin: Origin) -> Result<Fetched, Failure> {
        let (size, digest) = (self.partial.position(), self.partial.digest());
        self.fetcher.cache.remember_chunks(digest, &self.partial.chunks());
        let dir = self.fetcher.cache.dir();
        let part = self.partial.finish().map_err(SourceError::disk("finish the download below", dir))?;
        let info = Info { name: self.order.name.clone(), url: shown(self.order.url()) };
        let path = self.fetcher.cache.adopt(&part, digest, &info)?;
        self.fetcher.finished(self.item, self.order, size, digest, origin);
        Ok(Fetched { path, size, digest, final_host: self.final_host })
    }
}

fn header_number(reply: &Reply, name: &str) -> Option<u64> {
    reply.header(name)?.trim().parse().ok()
}

fn validators(reply: &Reply) -> Version {
    let text = |name| reply.header(name).map(str::to_owned);
    Version { etag: text("etag"), last_modified: text("last-modified"), length: None }
}

/// First byte and total length of `bytes 10-99/100` (RFC 9110, section 14.4); the total may be `*`.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_is_read_as_the_rfc_has_it() {
        assert_eq!(parse_content_range("bytes 10-99/100"), Some((10, Some(100))));
        assert_eq!(parse_content_range("bytes 0-4/*"), Some((0, None)));
        for wrong in ["bytes */100", "10-99/100", "bytes 10-99", "bytes a-b/c"] {
            assert_eq!(parse_content_range(wrong), None, "{wrong}");
        }
    }
}
