//! The TOML of version 1 of the lock file.
//! What the entries mean is in `lock.rs`.

use payload::Digest;
use payload::index::Arch;
use serde::{Deserialize, Serialize};

use super::{Entries, LockError, LockKey, LockedComponent, LockedFile, LockedSource};

const VERSION: u32 = 1;
const HEADER: &str = "\
# What every source of the manifest was resolved to. Written by `builder`; keep it under version control.
# `builder --locked` refuses any difference; `builder --update-lock` resolves everything again and shows what changes.

";

#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    manifest: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    source: Source,
    files: Vec<Content>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
enum Source {
    GithubRelease { repo: String, tag: String, asset_pattern: String },
    Url { url: String },
    File { path: String },
    OllamaRegistry { model: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    final_host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    size: u64,
    sha256: String,
}

pub(super) fn parse(text: &str) -> Result<Entries, LockError> {
    let syntax = |error: toml::de::Error| LockError::Syntax(error.to_string().trim_end().to_owned());
    let any: AnyVersion = toml::from_str(text).map_err(syntax)?;
    if any.version != VERSION {
        return Err(LockError::Version(any.version));
    }
    let file: File = toml::from_str(text).map_err(syntax)?;
    let mut entries = Entries::new();
    for component in file.components {
        let target = component.target.as_deref().map(str::parse::<Arch>).transpose().map_err(LockError::Syntax)?;
        let key = LockKey { name: component.name.clone(), target };
        let shown = key.to_string();
        if entries.insert((component.manifest.clone(), key), component.try_into()?).is_some() {
            return Err(LockError::Syntax(format!("component {shown:?} is there twice")));
        }
    }
    Ok(entries)
}

pub(super) fn print(entries: &Entries) -> Result<String, LockError> {
    let component = |((manifest, key), entry): (&(String, LockKey), &LockedComponent)| Component {
        manifest: manifest.clone(),
        name: key.name.clone(),
        target: key.target.map(|target| target.to_string()),
        source: Source::from(&entry.source),
        files: entry.files.iter().map(Content::from).collect(),
    };
    let components = entries.iter().map(component).collect();
    let body = toml::to_string(&File { version: VERSION, components });
    body.map(|body| format!("{HEADER}{body}")).map_err(|error| LockError::Syntax(error.to_string()))
}

impl TryFrom<Component> for LockedComponent {
    type Error = LockError;

    fn try_from(component: Component) -> Result<Self, LockError> {
        if component.files.is_empty() {
            return Err(LockError::Syntax(format!("component {:?} has no files", component.name)));
        }
        let files = component.files.into_iter().map(LockedFile::try_from).collect::<Result<_, _>>()?;
        Ok(Self { source: component.source.into(), files })
    }
}

impl From<&LockedFile> for Content {
    fn from(file: &LockedFile) -> Self {
        Self {
            url: file.url.clone(),
            final_host: file.final_host.clone(),
            media_type: file.media_type.clone(),
            size: file.size,
            sha256: file.sha256.hex(),
        }
    }
}

impl TryFrom<Content> for LockedFile {
    type Error = LockError;

    fn try_from(content: Content) -> Result<Self, LockError> {
        let sha256: Digest = content.sha256.parse().map_err(|error| LockError::Syntax(format!("{error}")))?;
        let Content { url, final_host, media_type, size, .. } = content;
        Ok(Self { url, final_host, media_type, size, sha256 })
    }
}

impl From<&LockedSource> for Source {
    fn from(source: &LockedSource) -> Self {
        match source.clone() {
            LockedSource::GithubRelease { repo, tag, asset_pattern } => {
                Self::GithubRelease { repo, tag, asset_pattern }
            }
            LockedSource::Url { url } => Self::Url { url },
            LockedSource::File { path } => Self::File { path },
            LockedSource::OllamaRegistry { model } => Self::OllamaRegistry { model },
        }
    }
}

impl From<Source> for LockedSource {
    fn from(source: Source) -> Self {
        match source {
            Source::GithubRelease { repo, tag, asset_pattern } => Self::GithubRelease { repo, tag, asset_pattern },
            Source::Url { url } => Self::Url { url },
            Source::File { path } => Self::File { path },
            Source::OllamaRegistry { model } => Self::OllamaRegistry { model },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 1 as first released: it must be readable for ever.
    const FROZEN: &str = include_str!("v1.lock");

    #[test]
    fn the_frozen_file_of_version_1_is_read_and_printed_unchanged() {
        let lock = parse(FROZEN).unwrap();
        assert_eq!(lock.len(), 4);
        assert_eq!(print(&lock).unwrap(), FROZEN);
    }

    #[test]
    fn another_version_is_named_before_anything_else_is_looked_at() {
        let error = parse("version = 2\nnew = 1\n").unwrap_err();
        assert!(matches!(error, LockError::Version(2)), "{error}");
    }

    #[test]
    fn damage_is_an_error() {
        let twice = FROZEN.replace("name = \"nginx.conf\"", "name = \"ollama\"");
        let short = FROZEN.replace("sha256 = \"e3b0", "sha256 = \"");
        let unknown = FROZEN.replace("size = 12", "sizes = 12");
        let target = FROZEN.replace("name = \"ollama\"", "name = \"ollama\"\ntarget = \"arm64\"");
        for text in ["", "version = 1\ncomponents = 3\n", &twice, &short, &unknown, &target] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    /// Both entries of a component whose source has a placeholder.
    const TARGETS: &str = include_str!("v1-targets.lock");

    #[test]
    fn entries_of_two_targets_are_read_and_printed_unchanged() {
        let lock = parse(TARGETS).unwrap();
        let targets: Vec<_> = lock.keys().map(|(_, key)| key.target).collect();
        assert_eq!(targets, [Some(Arch::X86_64), Some(Arch::Aarch64)]);
        assert_eq!(print(&lock).unwrap(), TARGETS);
        let twice = parse(&TARGETS.replace("aarch64", "x86_64")).unwrap_err().to_string();
        assert!(twice.contains("component \"ollama (x86_64)\" is there twice"), "{twice}");
    }
}
