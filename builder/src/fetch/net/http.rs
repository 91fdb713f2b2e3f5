//! One GET request: proxies, redirects held to the policy, credentials that never follow to another host.
//! Retrying lives in `retry.rs`, storing in `transfer.rs`.

use std::io::Read;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use payload::printable;
use ureq::http::Response;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, BodyReader, Proxy};
use url::Url;

use crate::fetch::net::fault::{Challenge, Fault};
use crate::fetch::net::login::Login;
use crate::fetch::net::policy::{Policy, Target, shown};
use crate::fetch::net::proxy::ProxySettings;

const MAX_REDIRECTS: usize = 10;
/// Metadata (release descriptions, manifests, checksum lists) is small.
const MAX_TEXT: u64 = 16 << 20;

/// The time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For name resolution, TCP, proxy and TLS together.
    pub connect: Duration,
    /// Without a single byte.
    pub stall: Duration,
}

/// Makes requests under one policy.
pub(crate) struct Client {
    pub policy: Policy,
    proxies: ProxySettings,
    direct: Agent,
    /// A proxy variable that cannot be used is an error when it is needed.
    http: Result<Agent, String>,
    https: Result<Agent, String>,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Get {
    pub url: Url,
    pub headers: Vec<(&'static str, String)>,
    /// Sent to the host of `url` alone.
    pub authorization: Option<Authorization>,
    /// Answers a challenge (401) of that host; `None` does not answer.
    pub login: Option<Login>,
}

/// A value of the header `Authorization`.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub value: String,
    /// The mirror of the host gave it out itself; any other stays away from mirrors.
    pub for_mirror: bool,
}

/// A successful answer, its body still to be read.
pub(crate) struct Reply {
    pub status: u16,
    pub final_host: String,
    /// A mirror was on the way here.
    pub mirrored: bool,
    pub headers: ureq::http::HeaderMap,
    pub body: BodyReader<'static>,
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization(…)")
    }
}

impl Get {
    /// A request without headers.
    pub(crate) fn new(url: Url) -> Self {
        Self { url, headers: Vec::new(), authorization: None, login: None }
    }

    /// The same with a header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Reply {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the server says that this is a web page.
    pub(crate) fn is_web_page(&self) -> bool {
        self.header(CONTENT_TYPE.as_str()).is_some_and(|value| value.trim_start().starts_with("text/html"))
    }

    /// The whole body, which must be small.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        self.body.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_TEXT {
            return Err(Fault::Fatal(format!("the answer is larger than {MAX_TEXT} bytes")));
        }
        Ok(bytes)
    }
}

impl Client {
    /// A client whose proxies are `proxies`.
    pub(crate) fn new(policy: Policy, proxies: ProxySettings, timeouts: Timeouts, agent: &str) -> Self {
        let direct = Agent::new_with_config(config(None, timeouts, agent));
        let through = |scheme| match proxies.for_scheme(scheme) {
            Some(text) => parse_proxy(text).map(|proxy| Agent::new_with_config(config(Some(proxy), timeouts, agent))),
            None => Ok(direct.clone()),
        };
        Self { http: through("http"), https: through("https"), direct, policy, proxies }
    }

    /// Follows redirects to an answer, and answers one challenge; every status but 2xx is a fault.
    /// `authorization` is changed to what the host accepted.
    pub(crate) fn get_authorized(&self, request: &mut Get) -> Result<Reply, Fault> {
        let challenged = match self.get(request) {
            Err(Fault::Status { code: 401, challenge: Some(challenge), .. }) => challenge,
            other => return other,
        };
        request.authorization = Some(crate::fetch::net::auth::answer(self, request, &challenged)?);
        self.get(request)
    }

    /// Follows redirects to an answer; every status but 2xx is a fault.
    pub(crate) fn get(&self, request: &Get) -> Result<Reply, Fault> {
        let mut url = request.url.clone();
        let mut previous = None;
        let mut mirrored = false;
        for _ in 0..=MAX_REDIRECTS {
            let target = self.policy.target(&url, previous.as_ref()).map_err(Fault::Refused)?;
            mirrored |= target.mirrored;
            let response = self.send(request, &target)?;
            log::debug!("GET {}: {}", shown(&target.url), response.status());
            if !is_redirect(response.status().as_u16()) {
                return finish(response, &target, mirrored, previous.is_none());
            }
            url = redirected(&response, &target.url)?;
            previous = Some(target.url);
        }
        Err(Fault::Fatal(format!("more than {MAX_REDIRECTS} redirects, the last one to {}", shown(&url))))
    }

    fn send(&self, request: &Get, target: &Target) -> Result<Response<Body>, Fault> {
        let mut builder = self.agent(&target.url)?.get(target.url.as_str());
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(value) = authorization(request, target) {
            builder = builder.header(AUTHORIZATION, value);
        }
        Ok(builder.call()?)
    }

    fn agent(&self, url: &Url) -> Result<&Agent, Fault> {
        let agent = match url.scheme() {
            _ if self.proxies.bypassed(url) => return Ok(&self.direct),
            "https" => &self.https,
            _ => &self.http,
        };
        agent.as_ref().map_err(|problem| Fault::Fatal(problem.clone()))
    }
}

fn config(proxy: Option<Proxy>, timeouts: Timeouts, agent: &str) -> ureq::config::Config {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .user_agent(agent)
        // Digests are of the bytes as stored upstream: no encoding on the way.
        .accept_encoding("identity")
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .timeout_connect(Some(timeouts.connect))
        .timeout_resolve(Some(timeouts.connect))
        .timeout_recv_response(Some(timeouts.stall))
        .timeout_per_read(Some(timeouts.stall))
        .timeout_per_write(Some(timeouts.stall))
        .build()
}

fn parse_proxy(text: &str) -> Result<Proxy, String> {
    Proxy::new(text).map_err(|_| {
        "the proxy variable for this URL (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) does not hold http://HOST:PORT".to_owned()
    })
}

/// The request's own credentials stay with its host; a mirror has its own, in its URL.
fn authorization(request: &Get, target: &Target) -> Option<String> {
    if let Some((user, password)) = &target.login {
        return Some(basic(user, password));
    }
    let authorization = request.authorization.as_ref()?;
    let at_mirror = target.mirrored && authorization.for_mirror && target.upstream.origin() == request.url.origin();
    let same_origin = !target.mirrored && request.url.origin() == target.url.origin();
    (at_mirror || same_origin).then(|| authorization.value.clone())
}

/// The value of `Authorization` for a user name and a password.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

fn redirected(response: &Response<Body>, from: &Url) -> Result<Url, Fault> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location else {
        return Err(Fault::Fatal(format!("{} redirects without saying where to", shown(from))));
    };
    from.join(location).map_err(|error| Fault::Fatal(format!("redirected to no URL: {error}")))
}

fn finish(response: Response<Body>, target: &Target, mirrored: bool, first_hop: bool) -> Result<Reply, Fault> {
    let status = response.status().as_u16();
    let (parts, body) = response.into_parts();
    let reply = Reply {
        status,
        final_host: target.url.host_str().unwrap_or_default().to_owned(),
        mirrored,
        headers: parts.headers,
        body: body.into_reader(),
    };
    if (200..300).contains(&status) {
        return Ok(reply);
    }
    let seconds = reply.header(RETRY_AFTER.as_str()).and_then(|value| value.trim().parse().ok());
    Err(Fault::Status {
        code: status,
        retry_after: seconds.map(Duration::from_secs),
        challenge: reply
            .header(WWW_AUTHENTICATE.as_str())
            .filter(|_| first_hop)
            .map(|text| Challenge { text: text.to_owned(), mirrored: target.mirrored }),
        excerpt: excerpt(reply),
    })
}

/// The beginning of an error's text, unless it is a web page.
fn excerpt(reply: Reply) -> String {
    if reply.is_web_page() {
        return String::new();
    }
    let mut bytes = Vec::new();
    // Only for the error message: what cannot be read is left out.
    let _ = reply.body.take(300).read_to_end(&mut bytes);
    printable(String::from_utf8_lossy(&bytes).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, mirrored: bool) -> Target {
        let upstream = Url::parse("https://api.github.com/x").unwrap();
        Target { url: Url::parse(url).unwrap(), upstream, login: None, mirrored }
    }

    #[test]
    fn a_token_stays_with_its_host_and_never_reaches_a_mirror() {
        let mut request = Get::new(Url::parse("https://api.github.com/x").unwrap());
        request.authorization = Some(Authorization { value: "Bearer t".to_owned(), for_mirror: false });
        let sent = |target: &Target| authorization(&request, target);
        assert_eq!(sent(&target("https://api.github.com/y", false)), Some("Bearer t".to_owned()));
        assert_eq!(sent(&target("https://api.github.com/x", true)), None);
        for elsewhere in ["https://cdn.example/x", "https://api.github.com:8443/x", "https://evil.api.github.com/"] {
            assert_eq!(sent(&target(elsewhere, false)), None, "{elsewhere}");
        }
        let mut mirror = target("https://mirror.corp/x", true);
        mirror.login = Some(("u".to_owned(), "p".to_owned()));
        assert_eq!(sent(&mirror), Some("Basic dTpw".to_owned()));
    }
}
