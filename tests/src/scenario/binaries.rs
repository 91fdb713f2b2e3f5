//! The builders that belong to the sources as they stand: cargo is asked for them, so that they are never old ones.
//! What is done with them is in `scenario.rs`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use escargot::CargoBuild;

type Built = OnceLock<std::result::Result<PathBuf, String>>;

static QUICK: Built = OnceLock::new();
static SHIPPED: Built = OnceLock::new();

/// The path of a builder that carries a stub compiled quickly: for tests of what builder and stub do.
///
/// # Errors
/// Cargo cannot build it.
pub fn quick() -> Result<&'static Path> {
    // With the features that a build of everything has: after one, nothing is left to compile here.
    once(&QUICK, |debug| debug.arg("--workspace"))
}

/// The path of the builder that ships, with the stub that ships: for tests of what these two are.
///
/// # Errors
/// Cargo cannot build it.
pub fn shipped() -> Result<&'static Path> {
    // As `make build` does: after that, nothing is left to compile here.
    once(&SHIPPED, CargoBuild::release)
}

fn once(built: &'static Built, choose: fn(CargoBuild) -> CargoBuild) -> Result<&'static Path> {
    let built = built.get_or_init(|| build(choose).map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow!("the builder cannot be built: {error}"))
}

/// Builds it in the target directory that this test was built in.
fn build(choose: fn(CargoBuild) -> CargoBuild) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).ok_or_else(|| anyhow!("{} is in no target directory", test.display()))?;
    let mut command = CargoBuild::new()
        .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../builder/Cargo.toml"))
        .bin("builder")
        .target_dir(target);
    // What cargo tells a test of its package: build scripts of crates that look at it would run again, there and back.
    let told = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in told.filter(|name| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")) {
        command = command.env_remove(name);
    }
    Ok(choose(command).run()?.path().to_owned())
}
