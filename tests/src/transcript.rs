//! The record of an acceptance run: every step, command, exit code and output, on standard output and in a file.
//! What a step has to show is the test's business.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::Captured;

/// An open transcript.
#[derive(Debug)]
pub struct Transcript {
    file: File,
    path: PathBuf,
    started: Instant,
}

impl Transcript {
    /// Begins anew in `path`.
    pub fn create(path: &Path) -> Result<Self> {
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        let file = File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { file, path: path.to_owned(), started: Instant::now() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The heading of a step, with the seconds since the beginning.
    pub fn step(&mut self, title: &str) -> Result<()> {
        let line = format!("\n== {title} [{:.0} s]\n", self.started.elapsed().as_secs_f32());
        self.write(&line)
    }

    /// A sentence of our own.
    pub fn note(&mut self, text: &str) -> Result<()> {
        self.write(&format!("-- {}\n", text.trim_end().replace('\n', "\n   ")))
    }

    /// A command as typed (`$ ` or `# ` in front), its output, its exit code.
    pub fn command(&mut self, typed: &str, said: &Captured) -> Result<()> {
        let mut text = format!("{typed}\n");
        for stream in [&said.stdout, &said.stderr] {
            text.push_str(stream);
            if !stream.is_empty() && !stream.ends_with('\n') {
                text.push('\n');
            }
        }
        let stopped = match (said.cut, said.timed_out) {
            (true, _) => ", stopped after saying enough",
            (false, true) => ", stopped at its bound",
            (false, false) => "",
        };
        let _ = writeln!(text, "[exit {} after {:.1} s{stopped}]", said.code, said.elapsed.as_secs_f32());
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        print!("{text}");
        std::io::stdout().flush()?;
        self.file.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}
