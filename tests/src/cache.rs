//! Where expensive inputs are kept between runs, outside the work tree, and how they are checked before reuse.
//! What is kept there is the business of `ollama`, `model` and `base`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{argv, succeed};

/// `${XDG_CACHE_HOME:-$HOME/.cache}/airgap-deploy/acceptance`, made if missing.
pub fn dir() -> Result<PathBuf> {
    let above = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => {
            PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache")
        }
    };
    let dir = above.join("airgap-deploy").join("acceptance");
    fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    Ok(dir)
}

/// Keeps other runs from preparing the same thing at the same time, until it is dropped.
pub fn lock(name: &str) -> Result<File> {
    let path = dir()?.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    file.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
    Ok(file)
}

/// The SHA-256 of a file as 64 lower-case hexadecimal digits, by `sha256sum`: nothing of the product vouches for itself.
pub fn sha256(path: &Path) -> Result<String> {
    let mut command = argv(&["sha256sum", "--binary", "--"])?;
    let said = succeed(command.arg(path), Duration::from_secs(10 * 60))?;
    Ok(said.stdout.trim_start_matches('\\').chars().take_while(char::is_ascii_hexdigit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_published_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(sha256(file.path()).unwrap(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
