//! Answers a registry's challenge: Basic, or a Bearer token from its token endpoint (the Docker token protocol).
//! The logins are read in `login.rs`; which host may see an answer is decided in `http.rs`.

use serde::Deserialize;
use url::Url;

use crate::fetch::net::fault::{Challenge, Fault};
use crate::fetch::net::http::{Authorization, Client, Get};
use crate::fetch::net::login::Login;

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// What to send to the host of `request` after `challenge`.
pub(crate) fn answer(client: &Client, request: &Get, challenge: &Challenge) -> Result<Authorization, Fault> {
    let login = request.login.as_ref().ok_or_else(|| Fault::Fatal("the server wants a login (401)".to_owned()))?;
    // A mirror has its own credentials, in its URL.
    let own = if challenge.mirrored { None } else { login.basic_for(&request.url)? };
    let done = |value| Authorization { value, for_mirror: challenge.mirrored };
    let (scheme, parameters) = challenge.text.split_once(' ').unwrap_or((challenge.text.as_str(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return own.map(done).ok_or_else(|| Fault::Status {
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
    let same_host = realm.host_str() == request.url.host_str() && realm.scheme() == request.url.scheme();
    let value = match login.basic_for(&realm)? {
        None if same_host => login.basic_for(&request.url)?,
        own => own,
    };
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
}
