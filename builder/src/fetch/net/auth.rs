//! Answers a registry's challenge: Basic, or a Bearer token from its token endpoint (the Docker token protocol).
//! Which host may see an answer is decided in `http.rs`.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use url::Url;

use crate::fetch::net::fault::{Challenge, Fault};
use crate::fetch::net::http::{Authorization, Client, Get, basic};

/// The users and passwords known for registry hosts.
#[derive(Clone, Default)]
pub(crate) struct Login(Vec<(String, String, String)>);

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    auth: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login of {} hosts", self.0.len())
    }
}

impl Login {
    /// Reads the `auths` of Docker's `config.json`, as `docker login` writes them. A missing file is no login.
    pub(crate) fn from_docker_config(path: &Path) -> Result<Self, String> {
        let Ok(text) = fs::read(path) else { return Ok(Self::default()) };
        let config: DockerConfig = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let entry = |(host, auth): (String, DockerAuth)| {
            let decoded = String::from_utf8(STANDARD.decode(auth.auth?).ok()?).ok()?;
            let (user, password) = decoded.split_once(':')?;
            let host = host.split_once("://").map_or(host.as_str(), |(_, rest)| rest);
            let host = host.split('/').next().unwrap_or_default();
            Some((host.to_owned(), user.to_owned(), password.to_owned()))
        };
        Ok(Self(config.auths.into_iter().filter_map(entry).collect()))
    }

    fn basic_for(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?;
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        let found =
            self.0.iter().find(|(name, ..)| name == host && url.port().is_none() || Some(name) == with_port.as_ref());
        found.map(|(_, user, password)| basic(user, password))
    }
}

/// What to send to the host of `request` after `challenge`.
pub(crate) fn answer(client: &Client, request: &Get, challenge: &Challenge) -> Result<Authorization, Fault> {
    let login = request.login.as_ref().ok_or_else(|| Fault::Fatal("the server wants a login (401)".to_owned()))?;
    // A mirror has its own credentials, in its URL.
    let basic = login.basic_for(&request.url).filter(|_| !challenge.mirrored);
    let done = |value| Authorization { value, for_mirror: challenge.mirrored };
    let (scheme, parameters) = challenge.text.split_once(' ').unwrap_or((challenge.text.as_str(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return basic.map(done).ok_or_else(|| Fault::Status {
            code: 401,
            retry_after: None,
            challenge: None,
            excerpt: "it wants a user name and a password".to_owned(),
        });
    }
    let realm = parameter(parameters, "realm").and_then(|realm| Url::parse(&realm).ok());
    let Some(realm) = realm.filter(|_| scheme.eq_ignore_ascii_case("bearer")) else {
        return Err(Fault::Fatal(format!("the server wants an unknown kind of login: {scheme}")));
    };
    token(client, login, request, realm, parameters).map(|token| done(format!("Bearer {token}")))
}

fn token(client: &Client, login: &Login, request: &Get, mut realm: Url, parameters: &str) -> Result<String, Fault> {
    for name in ["service", "scope"] {
        if let Some(value) = parameter(parameters, name) {
            for word in value.split(' ') {
                realm.query_pairs_mut().append_pair(name, word);
            }
        }
    }
    // Docker's login for the registry is for its own token endpoint; another host sees only a login of its own.
    let value = login.basic_for(&realm).or_else(|| {
        let same_host = realm.host_str() == request.url.host_str() && realm.scheme() == request.url.scheme();
        login.basic_for(&request.url).filter(|_| same_host)
    });
    let mut get = Get::new(realm);
    get.authorization = value.map(|value| Authorization { value, for_mirror: false });
    let bytes = client.get(&get)?.bytes()?;
    let token: Token = serde_json::from_slice(&bytes)
        .map_err(|error| Fault::Fatal(format!("the token endpoint's answer is not understood: {error}")))?;
    token.token.or(token.access_token).ok_or_else(|| Fault::Fatal("the token endpoint gave no token".to_owned()))
}

/// A parameter of `WWW-Authenticate` (RFC 9110, section 11.2), quoted or not.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if key.trim_matches([' ', ',']).eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_parameters_are_quoted_or_not() {
        let text = r#"realm="https://auth.example/token?a=b",service=registry, scope="repository:x:pull,push""#;
        assert_eq!(parameter(text, "realm").unwrap(), "https://auth.example/token?a=b");
        assert_eq!(parameter(text, "Service").unwrap(), "registry");
        assert_eq!(parameter(text, "scope").unwrap(), "repository:x:pull,push");
        assert_eq!(parameter(text, "error"), None);
    }

    #[test]
    fn dockers_logins_are_for_their_host_and_port() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let auth = STANDARD.encode("user:pa:ss");
        let text = format!(r#"{{"auths": {{"https://r.example/v1/": {{"auth": "{auth}"}}, "h.example:5000": {{}}}}}}"#);
        fs::write(&path, text).unwrap();
        let login = Login::from_docker_config(&path).unwrap();
        let sent = |text: &str| login.basic_for(&Url::parse(text).unwrap());
        assert_eq!(sent("https://r.example/v2/"), Some(basic("user", "pa:ss")));
        assert_eq!(sent("https://r.example:5000/v2/"), None);
        assert_eq!(sent("https://evil.r.example/v2/"), None);
    }
}
