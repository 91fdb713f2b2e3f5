//! How much a program read and wrote, and how much memory it took at most: the kernel's own accounts of it.
//! The program `measure` beside this file runs it; another process would not have these accounts to itself.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, run};

/// What the kernel counted.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Used {
    /// Bytes that `read` and its relatives gave, from files, pipes and sockets.
    pub read: u64,
    /// Bytes that `write` and its relatives took.
    pub written: u64,
    /// The largest resident set, in bytes.
    pub resident: u64,
}

/// Runs a program, which must end with exit code 0; `measure` is the path of the program of that name.
///
/// # Errors
/// It failed, or cannot be measured.
pub fn measured(measure: &Path, report: &Path, program: &Path, arguments: &[&str]) -> Result<(Used, Outcome)> {
    let mut command = Command::new(measure);
    command.arg(report).arg(program).args(arguments).stdin(Stdio::null());
    let outcome = run(&mut command)?;
    ensure!(outcome.code == 0, "{arguments:?}: {outcome}");
    let text = std::fs::read(report).with_context(|| format!("no report in {}", report.display()))?;
    Ok((serde_json::from_slice(&text)?, outcome))
}
