//! The package of the use case, made by the real builder from a real server: manifest, server, one `.run` file.
//! What a machine does with the file is in `tests/acceptance.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::command::{Captured, argv, capture};
use crate::server::Server;
use crate::{cache, model, ollama};

/// The use case's manifest, word for word.
const MANIFEST: &str = include_str!("../acceptance/AirGapDeploy.ollama.toml");
const ARCHIVE: &str = "ollama-linux-amd64.tar.zst";
const MODEL: &str = "llama2-7b.gguf";
const OPTIONAL_MODEL: &str = "mistral-7b.gguf";
/// The name of the package file on the stick.
pub const RUN: &str = "ollama-deploy.run";
const BUILT_WITHIN: Duration = Duration::from_secs(15 * 60);

/// A built package on a directory that stands for a USB stick.
#[derive(Debug)]
pub struct Package {
    stick: TempDir,
    /// The manifest as it was built.
    pub manifest: String,
    /// What the builder was called with, and said.
    pub typed: String,
    pub said: Captured,
    /// What it asked the server for.
    pub requests: String,
}

impl Package {
    /// Serves the inputs on loopback and runs the builder on them, with an empty download cache of its own.
    pub fn build(builder: &Path) -> Result<Self> {
        if !builder.exists() {
            bail!("{} does not exist; build it, or set AIRGAP_DEPLOY_BUILDER", builder.display());
        }
        let (binary, (gguf, gguf_digest)) = (ollama::provide()?, model::INSTRUCT.provide()?);
        let server = Server::start()?;
        ollama::pack(&binary, &server.files().join(ARCHIVE))?;
        fs::copy(gguf, server.files().join(MODEL))?;
        let archive_digest = cache::sha256(&server.files().join(ARCHIVE))?;
        let manifest = fill_in(&server, &archive_digest, &gguf_digest)?;

        let stick = tempfile::Builder::new().prefix("airgap-deploy-stick-").tempdir_in("/var/tmp")?;
        fs::set_permissions(stick.path(), fs::Permissions::from_mode(0o755))?;
        let work = tempfile::Builder::new().prefix("airgap-deploy-builder-").tempdir_in("/var/tmp")?;
        fs::write(work.path().join("AirGapDeploy.ollama.toml"), &manifest)?;
        let run = stick.path().join(RUN);
        let mut command = argv(&[&builder.to_string_lossy(), "--manifest", "AirGapDeploy.ollama.toml", "--output"])?;
        command.arg(&run).current_dir(work.path()).env("XDG_CACHE_HOME", work.path().join("cache"));
        let said = capture(&mut command, BUILT_WITHIN)?;
        let typed = format!("builder --manifest AirGapDeploy.ollama.toml --output {}", run.display());
        Ok(Self { stick, manifest, typed, said, requests: server.requests() })
    }

    /// The directory with the `.run` file in it, and what the builder put beside it.
    pub fn stick(&self) -> PathBuf {
        self.stick.path().to_owned()
    }

    /// Bytes of the `.run` file.
    pub fn size(&self) -> Result<u64> {
        Ok(fs::metadata(self.stick.path().join(RUN)).context("the builder left no .run file")?.len())
    }
}

/// URLs and checksums, and nothing else.
fn fill_in(server: &Server, archive_digest: &str, model_digest: &str) -> Result<String> {
    let release = concat!(
        "source.type = \"github-release\"\n",
        "source.repo = \"ollama/ollama\"\n",
        "source.tag = \"v0.15.0\"\n",
        "source.asset_pattern = \"ollama-linux-amd64\"\n"
    );
    let archive = format!(
        "source.type = \"url\"\nsource.url = \"{}\"\nsource.checksum = \"sha256:{archive_digest}\"\n",
        server.url(ARCHIVE)
    );
    let mut text = replace_once(MANIFEST, release, &archive)?;
    for (name, placeholder) in [(MODEL, "sha256:abc123..."), (OPTIONAL_MODEL, "sha256:def456...")] {
        text = replace_once(&text, &format!("https://ollama.ai/download/{name}"), &server.url(name))?;
        text = replace_once(&text, placeholder, &format!("sha256:{model_digest}"))?;
    }
    Ok(text)
}

fn replace_once(text: &str, from: &str, to: &str) -> Result<String> {
    match text.matches(from).count() {
        1 => Ok(text.replacen(from, to, 1)),
        count => bail!("the manifest of the use case has {from:?} {count} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_that_is_not_unique_is_refused() {
        assert_eq!(replace_once("a b", "b", "c").unwrap(), "a c");
        assert!(replace_once("a b b", "b", "c").is_err());
        assert!(replace_once("a", "b", "c").is_err());
    }
}
