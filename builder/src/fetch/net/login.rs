//! Docker's logins for registries: from its `config.json`, and from the credential helpers that this names.
//! Which challenge a login answers is decided in `auth.rs`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use docker_credential::{CredentialRetrievalError as Failure, DockerCredential, get_credential_from_reader};
use url::Url;

use crate::fetch::net::fault::Fault;
use crate::fetch::net::http::basic;
use crate::small_file;

/// What Docker knows of registries. A helper is asked once for each host, and only when the host wants a login.
#[derive(Clone, Default)]
pub(crate) struct Login {
    /// Docker's `config.json`; empty where there is none.
    config: Arc<[u8]>,
    answers: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

/// What a helper says, with another exit code than 0, of a host that it has nothing for.
const NOT_FOUND: &str = "credentials not found";

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

impl Login {
    /// Reads Docker's `config.json`, as `docker login` writes it. A missing file is no login.
    pub(crate) fn from_docker_config(path: &Path) -> Result<Self, String> {
        let text = match small_file::read(path, small_file::BY_PROGRAMS) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::FileTooLarge) => {
                return Err(error.to_string());
            }
            Err(_) => return Ok(Self::default()),
        };
        serde_json::from_slice::<serde_json::Value>(&text).map_err(|error| error.to_string())?;
        Ok(Self { config: text.into(), ..Self::default() })
    }

    /// The value of `Authorization: Basic` for the host of `url`, if there is a login for it.
    pub(crate) fn basic_for(&self, url: &Url) -> Result<Option<String>, Fault> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for server in names(url) {
            let answer = match answers.get(&server) {
                Some(known) => known.clone(),
                None => self.look_up(&server)?,
            };
            answers.insert(server, answer.clone());
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }

    fn look_up(&self, server: &str) -> Result<Option<String>, Fault> {
        if self.config.is_empty() {
            return Ok(None);
        }
        let fatal = |problem: String| Err(Fault::Fatal(format!("Docker's login for {server}: {problem}")));
        match get_credential_from_reader(&*self.config, server) {
            // What a helper stores of an identity token.
            Ok(DockerCredential::UsernamePassword(user, _)) if user == "<token>" => fatal(IDENTITY.to_owned()),
            Ok(DockerCredential::IdentityToken(_)) => fatal(IDENTITY.to_owned()),
            Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some(basic(&user, &password))),
            Err(Failure::NoCredentialConfigured | Failure::CredentialDecodingError) => Ok(None),
            Err(Failure::HelperFailure { stdout, stderr, .. }) if (stdout.clone() + &stderr).contains(NOT_FOUND) => {
                Ok(None)
            }
            Err(Failure::HelperFailure { helper, stdout, stderr }) => {
                let said = stderr.lines().chain(stdout.lines()).find(|line| !line.trim().is_empty());
                fatal(format!("{helper} failed: {}", payload::printable(said.unwrap_or("it said nothing"))))
            }
            Err(Failure::HelperCommunicationError) => {
                fatal("its credential helper (docker-credential-…) cannot be started".to_owned())
            }
            Err(error) => fatal(error.to_string()),
        }
    }
}

const IDENTITY: &str = "it is an identity token, which only Docker can use; log in with a user name and a password";

/// What Docker may call the host of `url`: with its port, and without it where that is the usual one.
fn names(url: &Url) -> Vec<String> {
    let Some(host) = url.host_str() else { return Vec::new() };
    let plain = url.port().is_none().then(|| host.to_owned());
    let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
    plain.into_iter().chain(with_port).collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn dockers_logins_are_for_their_host_and_port() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let auth = STANDARD.encode("user:pa:ss");
        let text = format!(r#"{{"auths": {{"https://r.example/v1/": {{"auth": "{auth}"}}, "h.example:5000": {{}}}}}}"#);
        std::fs::write(&path, text).unwrap();
        let login = Login::from_docker_config(&path).unwrap();
        let sent = |text: &str| login.basic_for(&Url::parse(text).unwrap()).unwrap();
        assert_eq!(sent("https://r.example/v2/"), Some(basic("user", "pa:ss")));
        assert_eq!(sent("https://r.example:5000/v2/"), None);
        assert_eq!(sent("https://evil.r.example/v2/"), None);
    }
}
