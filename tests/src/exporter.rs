//! Prometheus' `node_exporter`: built from its Go module, and packed the way its releases are.
//! The manifests that ship it are in `manifests/`; what machines do with it in `tests/fleet.rs`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cache;
use crate::command::{argv, succeed};
use crate::ollama::go;
use crate::packages::say;

const VERSION: &str = "1.12.1";
/// What a release is called.
pub const ARCHIVE: &str = "node_exporter-1.12.1.linux-amd64.tar.gz";
const BUILT_WITHIN: Duration = Duration::from_secs(20 * 60);

/// The archive: the kept one, else a new one (a minute); says what it downloads.
///
/// # Errors
/// It cannot be built.
pub fn release() -> Result<PathBuf> {
    let _lock = cache::lock("node-exporter")?;
    let archive = cache::dir()?.join(ARCHIVE);
    if archive.exists() {
        return Ok(archive);
    }
    let work = tempfile::tempdir_in(cache::dir()?)?;
    let go = go()?;
    say(&format!("node_exporter: {} install …/node_exporter@v{VERSION}", go.display()));
    let name = ARCHIVE.trim_end_matches(".tar.gz");
    let directory = work.path().join(name);
    fs::create_dir(&directory)?;
    let mut install = argv(&[&go.to_string_lossy(), "install", "-trimpath", "-ldflags", "-s -w"])?;
    install.arg(format!("github.com/prometheus/node_exporter@v{VERSION}"));
    succeed(install.env("GOBIN", &directory).env("CGO_ENABLED", "0"), BUILT_WITHIN)?;
    fs::write(directory.join("LICENSE"), "Apache License 2.0\n")?;
    let unfinished = work.path().join("archive");
    let mut tar = argv(&["tar", "--create", "--gzip", "--owner=0", "--group=0", "--file"])?;
    succeed(tar.arg(&unfinished).arg("--directory").arg(work.path()).arg(name), BUILT_WITHIN)?;
    fs::rename(unfinished, &archive)?;
    Ok(archive)
}

/// A manifest that takes the archive from a file beside it, not from the release on the network.
///
/// # Errors
/// The manifest has no such source.
pub fn from_file(manifest: &str) -> Result<String> {
    let (kept, dropped): (Vec<&str>, Vec<&str>) = manifest.lines().partition(|line| !line.starts_with("source."));
    ensure!(dropped.len() == 4, "four lines of the source were expected: {dropped:?}");
    let text = kept.join("\n");
    let local = format!("name = \"node_exporter\"\nsource.type = \"file\"\nsource.path = \"{ARCHIVE}\"");
    Ok(text.replacen("name = \"node_exporter\"", &local, 1) + "\n")
}
