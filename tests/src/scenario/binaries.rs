//! The builder that belongs to the sources as they stand: cargo is asked for it, so that it is never an old one.
//! What is done with it is in `scenario.rs`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, anyhow};

static BUILDER: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();

/// The path of the builder.
///
/// # Errors
/// Cargo cannot build it.
pub fn builder() -> Result<&'static Path> {
    let built = BUILDER.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow!("the builder cannot be built: {error}"))
}

/// Builds it where this test was built: everything it needs is compiled there already.
fn build() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).ok_or_else(|| anyhow!("{} is in no target directory", test.display()))?;
    let run = escargot::CargoBuild::new()
        .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../builder/Cargo.toml"))
        .bin("builder")
        // With the features that a build of everything has: after one, nothing is left to compile here.
        .arg("--workspace")
        .target_dir(target)
        .current_release()
        .run()?;
    Ok(run.path().to_owned())
}
