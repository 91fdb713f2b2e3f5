//! `AirGapDeploy.lock`: what every source of a manifest was resolved to, with URL, final host, size and SHA-256.
//! When it is consulted and when it changes is decided in `fetch.rs`; its TOML is in `lock/wire.rs`.

mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use payload::Digest;
use payload::index::Arch;

use crate::manifest::{Component, SourceKind};
use crate::small_file;

/// The file's name; it lies beside the manifest.
pub const LOCK_FILE_NAME: &str = "AirGapDeploy.lock";

/// What the lock file says of one manifest.
///
/// Manifests that lie in one directory share the file; each has entries of its own, told apart by its file name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockFile {
    pub components: BTreeMap<LockKey, LockedComponent>,
}

/// Which component an entry is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockKey {
    pub name: String,
    /// The target that it was resolved for, where a placeholder makes the source another one for each; else the entry is for all.
    pub target: Option<Arch>,
}

/// All entries, by manifest and component.
type Entries = BTreeMap<(String, LockKey), LockedComponent>;

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

    /// Reads what the file says of `manifest`; `None` if there is no file.
    pub fn read(path: &Path, manifest: &Path) -> Result<Option<Self>, LockError> {
        let Some(entries) = read(path)? else { return Ok(None) };
        let own = name_of(manifest);
        let own = entries.into_iter().filter(|((manifest, _), _)| *manifest == own);
        Ok(Some(Self { components: own.map(|((_, key), component)| (key, component)).collect() }))
    }

    /// Brings what changed from `old` to `self` into what the file says of `manifest`, in one step. Entries of manifests that are
    /// gone go, too.
    pub fn write(&self, old: &Self, path: &Path, manifest: &Path) -> Result<(), LockError> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let own = name_of(manifest);
        // Read again: another build, such as that for another target, may have written its own entries since.
        let mut entries = read(path)?.unwrap_or_default();
        let is_gone = |key: &LockKey| old.components.contains_key(key) && !self.components.contains_key(key);
        entries.retain(|(manifest, key), _| if *manifest == own { !is_gone(key) } else { dir.join(manifest).exists() });
        let is_new = |(key, component): &(&LockKey, &LockedComponent)| old.components.get(key) != Some(*component);
        let new = self.components.iter().filter(is_new);
        entries.extend(new.map(|(key, component)| ((own.clone(), key.clone()), component.clone())));
        replace(path, dir, &wire::print(&entries)?).map_err(LockError::Write)
    }

    /// The entry that is for this very source: also that of before a placeholder came into the manifest, or went.
    pub fn pinned(&self, key: &LockKey, source: &LockedSource) -> Option<&LockedComponent> {
        let of_source = |entry: &&LockedComponent| entry.source == *source;
        let of_before = || self.components.iter().filter(|(other, _)| other.name == key.name).map(|(_, entry)| entry);
        self.components.get(key).filter(of_source).or_else(|| of_before().find(of_source))
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
        let of = |(key, component): (&LockKey, &LockedComponent)| {
            let name = key.to_string();
            component.files.iter().map(|file| (name.clone(), file.line(&name))).collect::<Vec<_>>()
        };
        self.components.iter().flat_map(of).collect()
    }
}

/// What is typed to write the file for a target.
pub fn command(target: Arch) -> String {
    match target {
        Arch::X86_64 => "builder lock".to_owned(),
        Arch::Aarch64 => format!("builder lock --target {target}"),
    }
}

impl LockKey {
    /// The entry of `component`, when it is built for `target`.
    pub fn of(component: &Component, target: Arch) -> Self {
        let target = component.source().filter(|source| source.per_target).map(|_| target);
        Self { name: component.name.clone(), target }
    }

    /// Whether an entry of this key can be of `component`, for whatever target.
    pub fn suits(&self, component: &Component) -> bool {
        let per_target = component.source().is_some_and(|source| source.per_target);
        self.name == component.name && self.target.is_some() == per_target
    }
}

impl std::fmt::Display for LockKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        self.target.map_or(Ok(()), |target| write!(f, " ({target})"))
    }
}

fn read(path: &Path) -> Result<Option<Entries>, LockError> {
    match small_file::read_text(path, small_file::BY_PROGRAMS) {
        Ok(text) => wire::parse(&text).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LockError::Read(error)),
    }
}

/// Reads the text of a lock file and prints it again.
#[cfg(fuzzing)]
pub(crate) fn reprint(text: &str) -> Result<String, LockError> {
    wire::print(&wire::parse(text)?)
}

fn replace(path: &Path, dir: &Path, text: &str) -> std::io::Result<()> {
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut file = tempfile::Builder::new().permissions(readable).tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn name_of(manifest: &Path) -> String {
    manifest.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl LockedFile {
    fn line(&self, component: &str) -> String {
        let mut text = format!("{component}: {} {} {}", self.url, payload::size(self.size), self.sha256);
        if let Some(host) = &self.final_host {
            // Writing to a String does not fail.
            let _ = write!(text, " from {host}");
        }
        text
    }
}

impl LockedSource {
    /// The source `kind` of the manifest at `manifest`, the same in every directory.
    pub fn of(kind: &SourceKind, manifest: &Path) -> Self {
        match kind {
            SourceKind::GithubRelease { repo, tag, asset_pattern } => {
                Self::GithubRelease { repo: repo.clone(), tag: tag.clone(), asset_pattern: asset_pattern.clone() }
            }
            SourceKind::Url { url } => Self::Url { url: crate::manifest::login::without_login(url).0.to_string() },
            SourceKind::File { path } => Self::File { path: as_given(path, manifest).display().to_string() },
            SourceKind::OllamaRegistry { model } => Self::OllamaRegistry { model: full_name(model) },
        }
    }
}

/// `path` without the manifest's own directory, where it is an absolute path below it: the same on every machine.
pub(crate) fn as_given<'a>(path: &'a Path, manifest: &Path) -> &'a Path {
    let directory = manifest.parent().filter(|_| path.is_absolute());
    directory.and_then(|directory| path.strip_prefix(directory).ok()).unwrap_or(path)
}

fn full_name(model: &crate::manifest::ModelName) -> String {
    format!("{}/{}/{}:{}", model.host, model.namespace, model.model, model.tag)
}

#[cfg(test)]
mod tests {
    use std::fs;

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
            let key = LockKey { name: (*name).to_owned(), target: None };
            (key, LockedComponent { source: LockedSource::Url { url }, files })
        };
        LockFile { components: entries.iter().map(component).collect() }
    }

    #[test]
    fn what_was_written_is_read_again_and_order_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = dir.path().join("m.toml");
        let path = LockFile::beside(&manifest);
        assert!(LockFile::read(&path, &manifest).unwrap().is_none());
        let written = lock(&[("b", b"1"), ("a", b"2")]);
        written.write(&LockFile::default(), &path, &manifest).unwrap();
        assert_eq!(LockFile::read(&path, &manifest).unwrap().unwrap(), written);
        let text = fs::read(&path).unwrap();
        lock(&[("a", b"2"), ("b", b"1")]).write(&LockFile::default(), &path, &manifest).unwrap();
        assert_eq!(fs::read(&path).unwrap(), text);
    }

    #[test]
    fn manifests_in_one_directory_keep_their_own_entries() {
        let dir = tempfile::tempdir().unwrap();
        let [full, update, gone] = ["full.toml", "update.toml", "gone.toml"].map(|name| dir.path().join(name));
        for manifest in [&full, &update] {
            fs::write(manifest, "").unwrap();
        }
        let path = LockFile::beside(&full);
        lock(&[("a", b"0")]).write(&LockFile::default(), &path, &gone).unwrap();
        lock(&[("a", b"1")]).write(&LockFile::default(), &path, &full).unwrap();
        lock(&[("a", b"2")]).write(&LockFile::default(), &path, &update).unwrap();
        assert_eq!(LockFile::read(&path, &full).unwrap().unwrap(), lock(&[("a", b"1")]));
        assert_eq!(LockFile::read(&path, &update).unwrap().unwrap(), lock(&[("a", b"2")]));
        assert!(LockFile::read(&path, &gone).unwrap().unwrap().components.is_empty());
    }

    #[test]
    fn builds_for_two_targets_at_once_keep_each_others_entries() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = dir.path().join("m.toml");
        let path = LockFile::beside(&manifest);
        let both = lock(&[("model", b"1"), ("gone", b"1")]);
        both.write(&LockFile::default(), &path, &manifest).unwrap();
        let of = |target| {
            let mut after = lock(&[("model", b"1")]);
            let component = lock(&[("program", b"2")]).components.into_values().next().unwrap();
            after.components.insert(LockKey { name: "program".to_owned(), target: Some(target) }, component);
            after
        };
        for target in [Arch::X86_64, Arch::Aarch64] {
            of(target).write(&both, &path, &manifest).unwrap();
        }
        let read = LockFile::read(&path, &manifest).unwrap().unwrap();
        let keys: Vec<String> = read.components.keys().map(ToString::to_string).collect();
        assert_eq!(keys, ["model", "program (x86_64)", "program (aarch64)"]);
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
