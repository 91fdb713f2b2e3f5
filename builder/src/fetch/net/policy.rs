//! Which URL may be asked for: HTTPS or loopback, allowed hosts, mirrors, and how a URL is shown.
//! Asking is the business of `http.rs`.

use std::net::IpAddr;

use url::{Host, Url};

use crate::manifest::login::without_login;

/// A URL prefix and what stands in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Mirror {
    from: String,
    to: Url,
}

/// The rules that every request, redirects included, is held to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    pub mirrors: Vec<Mirror>,
    pub allowed_hosts: Option<Vec<String>>,
}

/// Where a request really goes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Without user name and password.
    pub url: Url,
    /// The URL before any mirror, also without them.
    pub upstream: Url,
    /// `Authorization: Basic` for these, from the URL's or the mirror's own user name and password.
    pub login: Option<(String, String)>,
    pub mirrored: bool,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mirror({} = {})", redact_text(&self.from), shown(&self.to))
    }
}

impl Mirror {
    /// Reads `FROM=TO`, both absolute URLs; `TO` is HTTPS, or HTTP to loopback.
    pub fn parse(text: &str) -> Result<Self, String> {
        let split = ["=https://", "=http://"].iter().filter_map(|mark| text.find(mark)).min();
        let at = split.ok_or_else(|| format!("{:?} is not FROM=TO with two URLs", redact_text(text)))?;
        Self::new(&text[..at], &text[at + 1..])
    }

    /// A mirror of everything below `from`.
    pub fn new(from: &str, to: &str) -> Result<Self, String> {
        let from = absolute(from)?;
        let to = absolute(to)?;
        check_scheme(&to).map_err(|problem| format!("mirror {}: {problem}", shown(&to)))?;
        Ok(Self { from: from.as_str().trim_end_matches('/').to_owned(), to })
    }

    fn apply(&self, url: &str) -> Option<String> {
        let rest = url.strip_prefix(&self.from)?;
        let at_boundary = rest.is_empty() || rest.starts_with(['/', '?']);
        at_boundary.then(|| format!("{}{rest}", self.to.as_str().trim_end_matches('/')))
    }
}

fn absolute(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{:?} is not a URL: {error}", redact_text(text)))?;
    let web = matches!(url.scheme(), "https" | "http") && url.has_host();
    if web && url.query().is_none() && url.fragment().is_none() {
        Ok(url)
    } else {
        Err(format!("{:?} is not an http(s) URL without query", shown(&url)))
    }
}

impl Policy {
    /// Applies mirrors and checks every rule. `previous` is the URL that redirected here.
    pub(crate) fn target(&self, url: &Url, previous: Option<&Url>) -> Result<Target, String> {
        let (plain, login) = without_login(url);
        check_hop(&plain, previous)?;
        self.check_host(&plain)?;
        let mirrored = self.mirror(&plain).map(|text| Url::parse(&text).map_err(|error| error.to_string()));
        let target = match mirrored.transpose()? {
            Some(mirror) => {
                let (url, login) = without_login(&mirror);
                Target { url, upstream: plain, login, mirrored: true }
            }
            None => Target { url: plain.clone(), upstream: plain, login, mirrored: false },
        };
        Ok(target)
    }

    fn mirror(&self, url: &Url) -> Option<String> {
        // Of two with the same FROM the first wins: `max_by_key` keeps the last.
        let candidates =
            self.mirrors.iter().rev().filter_map(|mirror| Some((mirror.from.len(), mirror.apply(url.as_str())?)));
        candidates.max_by_key(|(length, _)| *length).map(|(_, url)| url)
    }

    /// Whether content may come from the host of `url`; a host that is a mirror's target was allowed by the operator.
    pub(crate) fn check_host(&self, url: &Url) -> Result<(), String> {
        let Some(host) = url.host_str() else { return Err(format!("{} names no host", shown(url))) };
        let is_mirror = self.mirrors.iter().any(|mirror| mirror.to.host_str() == Some(host));
        if is_mirror || self.allows(host) {
            return Ok(());
        }
        Err(format!("host {host} is not in allowed_hosts of [package]"))
    }

    /// Whether `host` is in `allowed_hosts`, or there is no such list.
    pub(crate) fn allows(&self, host: &str) -> bool {
        self.allowed_hosts.as_ref().is_none_or(|allowed| host_is_allowed(allowed, host))
    }
}

/// Whether `host` is one of the `allowed_hosts` of a manifest.
pub fn host_is_allowed(allowed: &[String], host: &str) -> bool {
    allowed.iter().any(|pattern| host_matches(pattern, host))
}

fn host_matches(pattern: &str, host: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    let name = pattern.rsplit_once(':').map_or(pattern.as_str(), |(name, port)| {
        let has_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':');
        if has_port && (!name.contains(':') || name.ends_with(']')) { name } else { pattern.as_str() }
    });
    match name.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => name.trim_matches(['[', ']']) == host.trim_matches(['[', ']']),
    }
}

/// A redirect never leaves HTTPS; only this machine may send on to this machine without it.
fn check_hop(url: &Url, previous: Option<&Url>) -> Result<(), String> {
    let Some(previous) = previous else { return check_scheme(url) };
    if url.scheme() == "https" || (check_scheme(url).is_ok() && is_loopback(previous)) {
        return Ok(());
    }
    Err(format!("{} redirects to {}, which is not HTTPS", shown(previous), shown(url)))
}

/// HTTPS, or HTTP to this machine.
fn check_scheme(url: &Url) -> Result<(), String> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err("plain HTTP is allowed to loopback only; use HTTPS".to_owned()),
        other => Err(format!("the scheme {other}: is not allowed; use HTTPS")),
    }
}

/// Whether the URL's host is this machine: `localhost`, `127.0.0.0/8` or `::1`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// The URL as it may be shown and stored: no user name, no password, no signed query.
pub(crate) fn shown(url: &Url) -> String {
    let (mut plain, _) = without_login(url);
    if plain.query().is_some() {
        plain.set_query(Some("…"));
        return plain.as_str().replace("%E2%80%A6", "…");
    }
    plain.to_string()
}

/// The same for text that may not even be a URL.
fn redact_text(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…@{}", &text[..scheme], &text[at + 1..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn policy(mirrors: &[&str], allowed: Option<&[&str]>) -> Policy {
        Policy {
            mirrors: mirrors.iter().map(|text| Mirror::parse(text).unwrap()).collect(),
            allowed_hosts: allowed.map(|hosts| hosts.iter().map(|&host| host.to_owned()).collect()),
        }
    }

    #[test]
    fn the_longest_mirror_wins_and_only_at_a_path_boundary() {
        let policy = policy(
            &["https://github.com/=https://mirror.corp/gh", "https://github.com/ollama=https://mirror.corp/o/"],
            None,
        );
        let to = |text| policy.target(&url(text), None).unwrap().url.to_string();
        assert_eq!(to("https://github.com/x/y?z=1"), "https://mirror.corp/gh/x/y?z=1");
        assert_eq!(to("https://github.com/ollama/ollama"), "https://mirror.corp/o/ollama");
        assert_eq!(to("https://github.com/ollamas"), "https://mirror.corp/gh/ollamas");
        assert_eq!(to("https://github.com.evil/x"), "https://github.com.evil/x");
    }

    #[test]
    fn plain_http_is_for_loopback_alone() {
        let policy = policy(&[], None);
        for good in ["http://127.0.0.1:1/x", "http://[::1]/x", "http://localhost/x", "https://example.org/x"] {
            assert!(policy.target(&url(good), None).is_ok(), "{good}");
        }
        for bad in ["http://example.org/x", "http://localhost.evil/x", "file:///etc/passwd", "ftp://127.0.0.1/x"] {
            assert!(policy.target(&url(bad), None).is_err(), "{bad}");
        }
        let secure = url("https://example.org/");
        assert!(policy.target(&url("http://127.0.0.1/x"), Some(&secure)).is_err());
        assert!(policy.target(&url("http://127.0.0.1/x"), Some(&url("http://[::1]:8/"))).is_ok());
        assert!(Mirror::parse("https://a.example=http://b.example").is_err());
    }

    #[test]
    fn allowed_hosts_are_the_upstream_ones_and_mirrors_are_the_operators() {
        let policy = policy(&["https://github.com=https://mirror.corp"], Some(&["GitHub.com:443", "*.ollama.ai"]));
        assert!(policy.target(&url("https://github.com/x"), None).unwrap().mirrored);
        assert!(policy.target(&url("https://registry.ollama.ai/x"), None).is_ok());
        assert!(policy.target(&url("https://mirror.corp:8443/storage"), None).is_ok());
        for elsewhere in ["https://ollama.ai/x", "https://evilollama.ai/x", "https://github.com.evil/x"] {
            assert!(policy.target(&url(elsewhere), None).is_err(), "{elsewhere}");
        }
        assert!(host_matches("[::1]:5000", "[::1]") && host_matches("::1", "[::1]"));
    }

    #[test]
    fn credentials_are_taken_out_of_the_url_and_never_shown() {
        let given = url("https://us%40er:p%20w+@example.org/m.gguf?X-Amz-Signature=abc#frag");
        let target = policy(&[], None).target(&given, None).unwrap();
        assert_eq!(target.login, Some(("us@er".to_owned(), "p w+".to_owned())));
        assert_eq!(target.url.as_str(), "https://example.org/m.gguf?X-Amz-Signature=abc");
        assert_eq!(shown(&given), "https://example.org/m.gguf?…");
        let error = Mirror::parse("https://a:secret@b").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
        let mirror = Mirror::parse("https://a=https://u:secret@b").unwrap();
        assert_eq!(format!("{mirror:?}"), "Mirror(https://a = https://b/)");
    }
}
