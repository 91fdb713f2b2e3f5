//! What the program prints: lines, JSON, progress; and the warnings of a manifest, which every command shows alike.
//! What is said lives with those who say it.

use std::io::{IsTerminal, Write};
use std::path::Path;

use builder::manifest::Parsed;
use builder::progress::{Bars, JsonLines, Lines, ProgressSink, Silent};
use builder::{BuildError, read_manifest};
use indicatif::ProgressDrawTarget;

use super::cli::OutputArgs;

/// Colours go to a terminal that wants them (<https://no-color.org>).
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

pub fn say(out: OutputArgs, line: &str) {
    if !out.quiet && !out.json {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

pub fn warn(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

pub fn print_json(value: &serde_json::Value) {
    let _ = writeln!(std::io::stdout().lock(), "{value}");
}

pub fn sink(out: OutputArgs) -> Box<dyn ProgressSink> {
    if out.quiet {
        Box::new(Silent)
    } else if out.json {
        Box::new(JsonLines::new(std::io::stdout()))
    } else if std::io::stderr().is_terminal() {
        Box::new(Bars::new(ProgressDrawTarget::stderr()))
    } else {
        Box::new(Lines::new(std::io::stderr()))
    }
}

pub fn manifest_with_warnings(path: &Path, out: OutputArgs) -> Result<Parsed, BuildError> {
    let parsed = read_manifest(path)?;
    if !out.quiet {
        let warnings = parsed.render_warnings(colour());
        if !warnings.is_empty() {
            warn(warnings.trim_end());
        }
    }
    Ok(parsed)
}
