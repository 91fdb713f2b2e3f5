//! What the user and the environment say about fetching, as values.
//! Reading the environment and the terminal is the program's business (`command.rs`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::fetch::error::SourceError;
use crate::fetch::net::http::Timeouts;
use crate::fetch::net::policy::Mirror;
use crate::fetch::net::proxy::ProxySettings;
use crate::fetch::net::retry::RetryPolicy;
use crate::fetch::transfer::space::{SpaceProbe, free_space};
use crate::small_file;

/// What the user says about fetching.
#[derive(Debug, Clone, Default)]
pub struct SourceSettings {
    pub lock_mode: LockMode,
    /// Use the cache and local files only; make no request.
    pub offline: bool,
    pub mirrors: Vec<Mirror>,
    /// How many files are fetched at once; 0 is the usual number.
    pub jobs: usize,
    /// Where downloads are kept, if not in the user's cache directory.
    pub cache_dir: Option<PathBuf>,
}

/// What the environment says; `from_vars` names the variables.
#[derive(Clone, Default)]
pub struct SourceEnvironment {
    pub cache_home: Option<PathBuf>,
    pub config_home: Option<PathBuf>,
    pub docker_config: Option<PathBuf>,
    pub github_token: Option<String>,
    pub proxies: ProxySettings,
}

/// When the lock file is followed and when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LockMode {
    /// A build: entries are followed, missing ones are added, none is changed.
    #[default]
    Follow,
    /// `builder lock`: the same, and content without any checksum is trusted now.
    Record,
    /// `--locked`: any difference is an error.
    Locked,
    /// `--update-lock`: everything is resolved again.
    Update,
}

/// Everything `acquire` needs to know beside the manifest.
#[derive(Clone)]
pub struct SourceOptions {
    pub cache_dir: PathBuf,
    pub lock_mode: LockMode,
    pub offline: bool,
    pub mirrors: Vec<Mirror>,
    /// How many files are fetched at once.
    pub jobs: usize,
    pub github_token: Option<String>,
    /// Docker's `config.json`, for private registries.
    pub docker_config: Option<PathBuf>,
    pub proxies: ProxySettings,
    pub timeouts: Timeouts,
    pub retry: RetryPolicy,
    pub free_space: SpaceProbe,
    /// Takes weights whose digest the lock file or the cache knows without reading them. Whoever packs them compares them,
    /// and acquires again without this when they are other ones.
    pub unread: bool,
}

impl std::fmt::Debug for SourceOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token stays out of every message.
        f.debug_struct("SourceOptions").field("cache_dir", &self.cache_dir).finish_non_exhaustive()
    }
}

impl SourceEnvironment {
    /// Reads the variables through `var`.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |names: &[&str]| names.iter().filter_map(|name| var(name)).find(|value| !value.trim().is_empty());
        let home = set(&["HOME"]).map(PathBuf::from);
        let below_home = |name: &str, sub: &str| {
            let given = set(&[name]).map(PathBuf::from).filter(|path| path.is_absolute());
            given.or_else(|| home.as_ref().map(|home| home.join(sub)))
        };
        Self {
            cache_home: below_home("XDG_CACHE_HOME", ".cache"),
            config_home: below_home("XDG_CONFIG_HOME", ".config"),
            docker_config: below_home("DOCKER_CONFIG", ".docker").map(|dir| dir.join("config.json")),
            github_token: set(&["GITHUB_TOKEN"]).map(|token| token.trim().to_owned()),
            proxies: ProxySettings {
                http: set(&["http_proxy", "HTTP_PROXY"]),
                https: set(&["https_proxy", "HTTPS_PROXY"]),
                all: set(&["all_proxy", "ALL_PROXY"]),
                bypass: set(&["no_proxy", "NO_PROXY"]),
            },
        }
    }

    /// The cache directory, unless another is `given`.
    pub fn cache_dir(&self, given: Option<&Path>) -> Result<PathBuf, SourceError> {
        let default = || self.cache_home.as_ref().map(|dir| dir.join("airgap-deploy"));
        given.map(Path::to_owned).or_else(default).ok_or_else(|| SourceError::Settings {
            path: PathBuf::from("~/.cache"),
            problem: "neither HOME nor XDG_CACHE_HOME is set".to_owned(),
            hint: "say where downloads are kept with --cache-dir DIR".to_owned(),
        })
    }
}

impl SourceOptions {
    /// Options with the usual time limits; reads the user's configuration file.
    pub fn new(settings: &SourceSettings, environment: &SourceEnvironment) -> Result<Self, SourceError> {
        let mut options = Self::in_cache(environment.cache_dir(settings.cache_dir.as_deref())?);
        options.lock_mode = settings.lock_mode;
        options.offline = settings.offline;
        options.mirrors.clone_from(&settings.mirrors);
        if settings.jobs > 0 {
            options.jobs = settings.jobs;
        }
        options.github_token.clone_from(&environment.github_token);
        options.docker_config.clone_from(&environment.docker_config);
        options.proxies.clone_from(&environment.proxies);
        if let Some(home) = &environment.config_home {
            options.mirrors.extend(mirrors_from(&home.join("airgap-deploy/config.toml"))?);
        }
        Ok(options)
    }

    /// The defaults, without anything from a command line or an environment.
    pub fn in_cache(cache_dir: PathBuf) -> Self {
        Self {
            cache_dir,
            lock_mode: LockMode::Follow,
            offline: false,
            mirrors: Vec::new(),
            jobs: 4,
            github_token: None,
            docker_config: None,
            proxies: ProxySettings::default(),
            timeouts: Timeouts { connect: Duration::from_secs(30), stall: Duration::from_secs(60) },
            retry: RetryPolicy::default(),
            free_space: Arc::new(free_space),
            unread: false,
        }
    }
}

/// The user's configuration file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserConfig {
    #[serde(default)]
    mirrors: std::collections::BTreeMap<String, String>,
}

/// `[mirrors]` of the configuration file, if there is one. Those of the command line come before them.
fn mirrors_from(path: &Path) -> Result<Vec<Mirror>, SourceError> {
    let wrong = |problem: String| SourceError::Settings {
        path: path.to_owned(),
        problem,
        hint: "write it as: [mirrors], then \"https://github.com\" = \"https://mirror.example/github\"".to_owned(),
    };
    let text = match small_file::read_text(path, small_file::BY_HAND) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SourceError::disk("read", path)(error)),
    };
    let config: UserConfig = toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
    config.mirrors.iter().map(|(from, to)| Mirror::new(from, to).map_err(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_environment_follows_xdg_and_prefers_lower_case_proxies() {
        let environment = SourceEnvironment::from_vars(|name| match name {
            "HOME" => Some("/home/u".to_owned()),
            "XDG_CACHE_HOME" => Some("/var/c".to_owned()),
            "XDG_CONFIG_HOME" => Some("relative".to_owned()),
            "https_proxy" => Some("http://low:1".to_owned()),
            "HTTPS_PROXY" => Some("http://up:1".to_owned()),
            "GITHUB_TOKEN" => Some(" ".to_owned()),
            _ => None,
        });
        assert_eq!(environment.cache_dir(None).unwrap(), Path::new("/var/c/airgap-deploy"));
        assert_eq!(environment.config_home.as_deref(), Some(Path::new("/home/u/.config")));
        assert_eq!(environment.proxies.https.as_deref(), Some("http://low:1"));
        assert_eq!(environment.github_token, None);
    }

    #[test]
    fn mirrors_come_from_the_command_line_first_and_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("airgap-deploy");
        fs::create_dir(&config).unwrap();
        fs::write(config.join("config.toml"), "[mirrors]\n\"https://a.example\" = \"https://m.example/a\"\n").unwrap();
        let environment =
            SourceEnvironment { config_home: Some(dir.path().to_owned()), ..SourceEnvironment::default() };
        let mirror = Mirror::parse("https://a.example=https://n.example").unwrap();
        let cache_dir = Some(dir.path().join("c"));
        let settings = SourceSettings { mirrors: vec![mirror.clone()], cache_dir, ..SourceSettings::default() };
        let options = SourceOptions::new(&settings, &environment).unwrap();
        assert_eq!(options.mirrors[0], mirror);
        assert_eq!(options.mirrors[1], Mirror::parse("https://a.example=https://m.example/a").unwrap());
        fs::write(config.join("config.toml"), "[mirror]\n").unwrap();
        assert_eq!(SourceOptions::new(&settings, &environment).unwrap_err().exit_code(), 40);
    }
}
