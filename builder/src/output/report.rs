//! A report under its name: written at once, over nothing but an earlier report.
//! What it says is in `builder/src/report.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use super::emit::{EmitError, emit_beside, require_free_of_inputs};

const ANOTHER: &str = "name another file, in a directory that exists: --report FILE";
/// Larger than any report, in bytes.
const LIMIT: u64 = 64 << 20;

/// Refuses what is no earlier report, and what the build reads.
///
/// # Errors
/// [`EmitError::Refused`]
pub fn require_ours(path: &Path, inputs: &[PathBuf]) -> Result<(), EmitError> {
    let refused =
        |problem: &str| EmitError::Refused { path: path.to_owned(), problem: problem.to_owned(), hint: ANOTHER };
    if path == Path::new("-") {
        return Err(refused("a report is written to a file; standard output is for --json"));
    }
    require_free_of_inputs(path, inputs, ANOTHER)?;
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let is_ours = || found.len() <= LIMIT && fs::read(path).is_ok_and(|bytes| is_report(&bytes));
    if found.len() == 0 || is_ours() { Ok(()) } else { Err(refused("it is not a report")) }
}

/// Writes a report.
///
/// # Errors
/// [`EmitError::Write`]
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), EmitError> {
    emit_beside(bytes, path)
}

/// Whether a file is a report of a build.
fn is_report(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|value| value["build_report"] == 1)
}
