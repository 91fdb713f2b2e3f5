//! `AirGapDeploy.lock`: what every source of a manifest was resolved to, with URL, final host, size and SHA-256.
//! When it is consulted and when it changes is decided in `source.rs`; its TOML is in `lock/wire.rs`.

mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use payload::Digest;

use crate::manifest::SourceKind;

/// The file's name; it lies beside the manifest.
pub const LOCK_FILE_NAME: &str = "AirGapDeploy.lock";

/// The lock file's content, by component name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockFile {
    pub components: BTreeMap<String, LockedComponent>,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedComponent {
    /// The source as the manifest had it; another one makes the entry stale.
    pub source: LockedSource,
    pub files: Vec<LockedFile>,
}

/// A source without its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedSource {
    GithubRelease { repo: String, tag: String, asset_pattern: String },
    Url { url: String },
    File { path: String },
    OllamaRegistry { model: String },
}

/// One file of a component: the only one, or a registry model's manifest, config and layers in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedFile {
    /// Without credentials and before any mirror.
    pub url: String,
    /// The host that sent the bytes after all redirects; `None` for local files, and when a mirror sent them.
    pub final_host: Option<String>,
    pub media_type: Option<String>,
    /// In bytes.
    pub size: u64,
    pub sha256: Digest,
}

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("cannot read it: {0}")]
    Read(#[source] std::io::Error),
    #[error("cannot write it: {0}")]
    Write(#[source] std::io::Error),
    #[error("it is not a lock file: {0}")]
    Syntax(String),
    #[error("its version is {0}, and this builder reads version 1 only")]
    Version(u32),
}

impl LockFile {
    /// The lock file's path for a manifest.
    pub fn beside(manifest: &Path) -> PathBuf {
        manifest.with_file_name(LOCK_FILE_NAME)
    }

    /// Reads the text of a lock file.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        wire::parse(text)
    }

    /// Reads the file; `None` if there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LockError::Read(error)),
        }
    }

    /// Replaces the file in one step.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut options = tempfile::Builder::new();
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let mut file = options.permissions(readable).tempfile_in(dir).map_err(LockError::Write)?;
        file.write_all(self.text()?.as_bytes()).map_err(LockError::Write)?;
        file.as_file().sync_all().map_err(LockError::Write)?;
        file.persist(path).map_err(|error| LockError::Write(error.error))?;
        Ok(())
    }

    /// The bytes of the file: the same content always gives the same text.
    pub fn text(&self) -> Result<String, LockError> {
        wire::print(self)
    }

    /// What would change from `self` to `new`, as lines that begin with `-` and `+`. Empty when nothing does.
    pub fn diff(&self, new: &Self) -> Vec<String> {
        let (old, new) = (self.lines(), new.lines());
        let gone = old.iter().filter(|line| !new.contains(line)).map(|line| ("-", line));
        let come = new.iter().filter(|line| !old.contains(line)).map(|line| ("+", line));
        let mut changes: Vec<_> = gone.chain(come).collect();
        // Old before new, component by component.
        changes.sort_by(|a, b| (&a.1.0, a.0 == "+").cmp(&(&b.1.0, b.0 == "+")));
        changes.into_iter().map(|(sign, (_, text))| format!("{sign} {text}")).collect()
    }

    fn lines(&self) -> Vec<(String, String)> {
        let of = |(name, component): (&String, &LockedComponent)| {
            component.files.iter().map(|file| (name.clone(), file.line(name))).collect::<Vec<_>>()
        };
        self.components.iter().flat_map(of).collect()
    }
}

impl LockedFile {
    fn line(&self, component: &str) -> String {
        let mut text = format!("{component}: {} {} bytes {}", self.url, self.size, self.sha256);
        if let Some(host) = &self.final_host {
            // Writing to a String does not fail.
            let _ = write!(text, " from {host}");
        }
        text
    }
}

impl From<&SourceKind> for LockedSource {
    fn from(kind: &SourceKind) -> Self {
        match kind {
            SourceKind::GithubRelease { repo, tag, asset_pattern } => {
                Self::GithubRelease { repo: repo.clone(), tag: tag.clone(), asset_pattern: asset_pattern.clone() }
            }
            SourceKind::Url { url } => Self::Url { url: crate::source::without_credentials(url).to_string() },
            SourceKind::File { path } => Self::File { path: path.display().to_string() },
            SourceKind::OllamaRegistry { model } => Self::OllamaRegistry { model: full_name(model) },
        }
    }
}

fn full_name(model: &crate::manifest::ModelName) -> String {
    format!("{}/{}/{}:{}", model.host, model.namespace, model.model, model.tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(url: &str, content: &[u8]) -> LockedFile {
        LockedFile {
            url: url.to_owned(),
            final_host: Some("cdn.example".to_owned()),
            media_type: None,
            size: content.len() as u64,
            sha256: Digest::of(content),
        }
    }

    fn lock(entries: &[(&str, &[u8])]) -> LockFile {
        let component = |(name, content): &(&str, &[u8])| {
            let url = format!("https://example.org/{name}");
            let files = vec![file(&url, content)];
            ((*name).to_owned(), LockedComponent { source: LockedSource::Url { url }, files })
        };
        LockFile { components: entries.iter().map(component).collect() }
    }

    #[test]
    fn what_was_written_is_read_again_and_order_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let path = LockFile::beside(&dir.path().join("m.toml"));
        assert!(LockFile::read(&path).unwrap().is_none());
        let written = lock(&[("b", b"1"), ("a", b"2")]);
        written.write(&path).unwrap();
        assert_eq!(LockFile::read(&path).unwrap().unwrap(), written);
        assert_eq!(written.text().unwrap(), lock(&[("a", b"2"), ("b", b"1")]).text().unwrap());
    }

    #[test]
    fn a_difference_shows_old_and_new_of_what_changed_alone() {
        let diff =
            lock(&[("a", b"1"), ("b", b"1"), ("c", b"1")]).diff(&lock(&[("a", b"1"), ("b", b"22"), ("d", b"1")]));
        let starts: Vec<_> = diff.iter().map(|line| line.split("://").next().unwrap()).collect();
        assert_eq!(starts, ["- b: https", "+ b: https", "- c: https", "+ d: https"]);
        assert!(lock(&[("a", b"1")]).diff(&lock(&[("a", b"1")])).is_empty());
    }
}
