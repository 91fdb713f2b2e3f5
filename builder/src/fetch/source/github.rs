//! GitHub releases: from repository, tag and pattern to an asset's URL, size and published digests.
//! Fetching the asset is `transfer.rs`; the rule of names is `asset.rs`.

use payload::Digest;
use serde::Deserialize;
use url::Url;

use crate::fetch::error::SourceError;
use crate::fetch::named::NamedComponent;
use crate::fetch::net::fault::Fault;
use crate::fetch::net::http::{Authorization, Get};
use crate::fetch::net::policy::shown;
use crate::fetch::net::retry::RetryPolicy;
use crate::fetch::source::asset::{choose, parse_checksums};
use crate::fetch::transfer::Fetcher;
use crate::progress::Event;

const API: &str = "https://api.github.com/";
const DOWNLOADS: &str = "https://github.com/";
const CHECKSUMS: &str = "sha256sum.txt";

/// What a `github-release` source says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release<'a> {
    pub repo: &'a str,
    pub tag: &'a str,
    pub pattern: &'a str,
}

/// The asset that the pattern means.
#[derive(Debug)]
pub(crate) struct Asset {
    pub name: String,
    pub url: Url,
    /// In bytes.
    pub size: Option<u64>,
    /// Each digest that upstream publishes, with where it does.
    pub digests: Vec<(Digest, &'static str)>,
}

/// A release as the API describes it (only what is used).
#[derive(Deserialize)]
struct Description {
    assets: Vec<DescribedAsset>,
}

#[derive(Deserialize)]
struct DescribedAsset {
    name: String,
    size: u64,
    /// `sha256:<hex>`; absent for assets uploaded before mid-2025.
    digest: Option<String>,
}

/// Finds the asset. The API is asked first; where it cannot be (quota, firewall, `allowed_hosts`), the release's own
/// checksum list gives the names.
pub(crate) fn resolve(
    fetcher: &Fetcher<'_>,
    about: &NamedComponent,
    release: Release<'_>,
    token: Option<&str>,
) -> Result<Asset, SourceError> {
    match describe(fetcher, release, token) {
        Ok(assets) => from_description(fetcher, about, release, &assets),
        Err(fault) => {
            let text = format!("{}: GitHub's API: {fault}; using the release's {CHECKSUMS}", about.component);
            fetcher.progress.event(&Event::Note { text: &text });
            from_checksums(fetcher, about, release, &fault)
        }
    }
}

fn describe(fetcher: &Fetcher<'_>, release: Release<'_>, token: Option<&str>) -> Result<Vec<DescribedAsset>, Fault> {
    let (owner, name) = release.repo.split_once('/').unwrap_or((release.repo, ""));
    let url = join(API, &["repos", owner, name, "releases", "tags", release.tag]).map_err(Fault::Fatal)?;
    let mut get =
        Get::new(url).with("accept", "application/vnd.github+json").with("x-github-api-version", "2022-11-28");
    get.authorization = token.map(|token| Authorization { value: format!("Bearer {token}"), for_mirror: false });
    // There is another way: not worth the patience that content is worth. A used-up quota comes back after an hour.
    let retry = RetryPolicy { attempts: fetcher.retry.attempts.min(2), ..fetcher.retry };
    let bytes = match fetcher.client.get(&get) {
        Err(fault @ Fault::Status { code: 403 | 404 | 429, .. }) => return Err(fault),
        Err(fault) if fault.worth_retrying() => fetcher.ask("GitHub's API", &mut get, retry)?.bytes,
        other => other?.bytes()?,
    };
    let description: Description = serde_json::from_slice(&bytes)
        .map_err(|error| Fault::Fatal(format!("the answer is no release description: {error}")))?;
    Ok(description.assets)
}

fn from_description(
    fetcher: &Fetcher<'_>,
    about: &NamedComponent,
    release: Release<'_>,
    assets: &[DescribedAsset],
) -> Result<Asset, SourceError> {
    let names: Vec<&str> = assets.iter().map(|asset| asset.name.as_str()).collect();
    let name = pick(about, release, &names)?;
    let url = asset_url(about, release, name)?;
    let described = assets.iter().find(|asset| asset.name == name);
    let mut digests = Vec::new();
    if names.contains(&CHECKSUMS) && name != CHECKSUMS {
        let at = asset_url(about, release, CHECKSUMS)?;
        let list = checksums(fetcher, &at).map_err(|fault| about.fault(&at, &fault))?;
        digests = listed(about, &at, &list, name)?;
    }
    if let Some(text) = described.and_then(|asset| asset.digest.as_deref()) {
        // A digest of another kind than SHA-256 says nothing here.
        digests.extend(text.parse().ok().map(|digest| (digest, "digest of GitHub's API")));
    }
    agree(about, &url, &digests)?;
    Ok(Asset { name: name.to_owned(), url, size: described.map(|asset| asset.size), digests })
}

fn from_checksums(
    fetcher: &Fetcher<'_>,
    about: &NamedComponent,
    release: Release<'_>,
    api: &Fault,
) -> Result<Asset, SourceError> {
    let at = asset_url(about, release, CHECKSUMS)?;
    match checksums(fetcher, &at) {
        Ok(list) => {
            let names: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
            let name = pick(about, release, &names)?;
            let digests = listed(about, &at, &list, name)?;
            Ok(Asset { name: name.to_owned(), url: asset_url(about, release, name)?, size: None, digests })
        }
        Err(Fault::Status { code: 404, .. }) if api.status() == Some(404) => Err(no_release(about, release)),
        // No list of names: only a pattern that is a name can be tried.
        Err(Fault::Status { code: 404, .. }) if !release.pattern.contains('*') => {
            let url = asset_url(about, release, release.pattern)?;
            Ok(Asset { name: release.pattern.to_owned(), url, size: None, digests: Vec::new() })
        }
        Err(fault) => Err(about.fault(&at, &fault)),
    }
}

fn checksums(fetcher: &Fetcher<'_>, at: &Url) -> Result<Vec<(String, Digest)>, Fault> {
    let answer = fetcher.ask(CHECKSUMS, &mut Get::new(at.clone()), fetcher.retry)?;
    Ok(parse_checksums(&String::from_utf8_lossy(&answer.bytes)))
}

/// The digests that the list gives for `name`, which must not contradict each other.
fn listed(
    about: &NamedComponent,
    at: &Url,
    list: &[(String, Digest)],
    name: &str,
) -> Result<Vec<(Digest, &'static str)>, SourceError> {
    let all: Vec<_> =
        list.iter().filter(|(listed, _)| listed == name).map(|(_, digest)| (*digest, CHECKSUMS)).collect();
    agree(about, at, &all)?;
    Ok(all.into_iter().take(1).collect())
}

/// Whether all statements about one content are the same.
pub(crate) fn agree(about: &NamedComponent, url: &Url, digests: &[(Digest, &'static str)]) -> Result<(), SourceError> {
    match digests.iter().find(|(digest, _)| Some(*digest) != digests.first().map(|(first, _)| *first)) {
        Some(&other) => Err(about.contradiction(shown(url), digests[0], other)),
        None => Ok(()),
    }
}

fn pick<'a>(about: &NamedComponent, release: Release<'_>, names: &[&'a str]) -> Result<&'a str, SourceError> {
    choose(release.pattern, names).map_err(|matching| {
        let problem = if matching.is_empty() {
            format!("asset_pattern {:?} matches no asset of {} {}", release.pattern, release.repo, release.tag)
        } else {
            format!("asset_pattern {:?} matches several assets: {}", release.pattern, matching.join(", "))
        };
        let mut assets: Vec<_> = names.iter().filter(|name| **name != CHECKSUMS).copied().collect();
        assets.sort_unstable();
        let hint = format!("set asset_pattern to one of the release's assets:\n    {}", assets.join("\n    "));
        about.not_found(page(release), problem, hint)
    })
}

fn no_release(about: &NamedComponent, release: Release<'_>) -> SourceError {
    let problem = format!("{} has no public release with the tag {:?}", release.repo, release.tag);
    about.not_found(page(release), problem, "correct source.repo or source.tag in the manifest".to_owned())
}

fn page(release: Release<'_>) -> String {
    format!("{DOWNLOADS}{}/releases/tag/{}", release.repo, release.tag)
}

/// The address of an asset, without asking anybody.
fn asset_url(about: &NamedComponent, release: Release<'_>, name: &str) -> Result<Url, SourceError> {
    let (owner, repo) = release.repo.split_once('/').unwrap_or((release.repo, ""));
    join(DOWNLOADS, &[owner, repo, "releases", "download", release.tag, name])
        .map_err(|problem| about.not_found(page(release), problem, "correct source.repo in the manifest".to_owned()))
}

/// A URL below `base`, every segment escaped.
fn join(base: &str, segments: &[&str]) -> Result<Url, String> {
    let mut url = Url::parse(base).map_err(|error| error.to_string())?;
    match url.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty().extend(segments);
        }
        Err(()) => return Err(format!("{base} cannot be extended")),
    }
    Ok(url)
}
