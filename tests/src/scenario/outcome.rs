//! What a program said, and what a test demands of it.
//! Starting programs is in `command.rs`.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::command::{Captured, capture};

/// No program of these tests takes nearly as long; one that hangs is killed.
const BOUND: Duration = Duration::from_secs(600);
/// A file that another thread just wrote may be open in a child that has not called `execve` yet.
const BUSY_TRIES: usize = 1000;

/// The end of a program.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started, or does not end.
pub fn run(command: &mut Command) -> Result<Outcome> {
    let mut tries = 0;
    loop {
        match capture(command, BOUND) {
            Err(error) if tries < BUSY_TRIES && is_busy(&error) => {
                tries += 1;
                std::thread::yield_now();
            }
            Err(error) => return Err(missing_tool(command, error)),
            Ok(said) => {
                ensure!(!said.timed_out, "{command:?} does not end");
                let Captured { code, stdout, stderr, .. } = said;
                return Ok(Outcome { code, stdout, stderr });
            }
        }
    }
}

fn is_busy(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::ExecutableFileBusy)
}

/// Which Debian package brings a tool that is not there.
fn missing_tool(command: &Command, error: anyhow::Error) -> anyhow::Error {
    let package = match command.get_program().to_str().unwrap_or_default() {
        "jq" => "jq",
        "tar" => "tar",
        "xz" => "xz-utils",
        "zstd" => "zstd",
        "zip" => "zip",
        "unshare" | "taskset" => "util-linux",
        _ => return error,
    };
    error.context(format!("the test needs the package {package}"))
}

impl Outcome {
    /// The same, if the exit code is `code`.
    ///
    /// # Errors
    /// It is another one.
    pub fn exits(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "expected exit code {code}: {self}");
        Ok(self)
    }

    /// The same, if one of the streams holds `text`.
    ///
    /// # Errors
    /// None does.
    pub fn says(self, text: &str) -> Result<Self> {
        ensure!(self.stdout.contains(text) || self.stderr.contains(text), "nothing says {text:?}: {self}");
        Ok(self)
    }

    /// The JSON document on stdout, the last one where there are several.
    ///
    /// # Errors
    /// There is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        let last = self.stdout.lines().last().with_context(|| format!("nothing on stdout: {self}"))?;
        serde_json::from_str(last).with_context(|| format!("no JSON: {self}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr)
    }
}
