//! Tools of the crash tests: packages made directly, target directories, the program with failpoints, and a loop that
//! kills it at every change. What is asserted stands in `tests/crash_*.rs`, `faults_*.rs` and `property_*.rs`.

pub mod draft;
pub mod foreign;
pub mod living;
pub mod powerloss;
pub mod program;
pub mod sample;
pub mod stage;
pub mod stopped;
pub mod trials;

use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

/// A directory for one test: in memory where the host has that, because the program waits for the disk at every step.
///
/// # Errors
/// It cannot be made.
pub fn directory() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let above = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    Ok(tempfile::Builder::new().prefix("airgap-deploy-crash-").tempdir_in(above)?)
}

/// The directory of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
