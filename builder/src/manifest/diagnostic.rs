//! What is said about a manifest: errors and warnings with the place they are about.
//! How they are drawn for a terminal lives in `render.rs`; what is wrong is decided where each part is read.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::render;

/// How bad it is: an error stops the build, a warning does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One thing that is wrong with a manifest. Spans are byte offsets in its text, a byte order mark not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub message: String,
    /// `None` when it is about the file as a whole.
    pub span: Option<Range<usize>>,
    /// What stands below the marked text.
    pub label: String,
    /// A second place that matters, such as the first of two duplicates, and what to say about it.
    pub related: Option<(Range<usize>, String)>,
    /// What to type instead.
    pub help: Option<String>,
    /// Something is missing; after a syntax error it may be there all the same.
    pub(super) absence: bool,
}

impl Diagnostic {
    /// An error about the text at `span`.
    pub fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span: Some(span),
            label: String::new(),
            related: None,
            help: None,
            absence: false,
        }
    }

    /// A warning about the text at `span`.
    pub fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// An error about the file as a whole: something that it ought to have and has not.
    pub(super) fn absent(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self { span, absence: true, ..Self::error(0..0, message) }
    }

    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(super) fn maybe_help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    pub(super) fn related(self, span: Range<usize>, label: impl Into<String>) -> Self {
        Self { related: Some((span, label.into())), ..self }
    }
}

/// Proof that an error was recorded: whoever holds one need not explain anything any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported(());

impl Reported {
    /// For an unknown key, which is recorded for every table, before or after this.
    pub(super) const AS_UNKNOWN_KEY: Self = Self(());
}

/// Collects what is found while a manifest is read, so that reading goes on after an error.
#[derive(Default)]
pub(super) struct Findings(RefCell<Vec<Diagnostic>>);

impl Findings {
    /// Records an error.
    pub(super) fn error(&self, diagnostic: Diagnostic) -> Reported {
        self.0.borrow_mut().push(diagnostic);
        Reported(())
    }

    /// Records a warning.
    pub(super) fn warn(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    /// Everything that was recorded, in the order of the text.
    pub(super) fn into_sorted(self) -> Vec<Diagnostic> {
        let mut list = self.0.into_inner();
        list.sort_by_key(|found| found.span.as_ref().map_or(0, |span| span.start));
        list
    }
}

/// A diagnostic as `--json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    pub message: String,
    /// What stands below the marked text; may be empty.
    pub label: String,
    pub help: Option<String>,
}

/// A manifest that cannot be used, and everything that was found wrong with it, warnings included.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} has {}; nothing was fetched or written", payload::printable(&file.display().to_string()), count(diagnostics))]
pub struct ManifestErrors {
    pub diagnostics: Vec<Diagnostic>,
    file: PathBuf,
    text: String,
}

impl ManifestErrors {
    /// `text` is what was read from `file`; the spans of `diagnostics` point into it.
    pub fn new(file: &Path, text: &[u8], diagnostics: Vec<Diagnostic>) -> Self {
        let text = String::from_utf8_lossy(text);
        let text = text.strip_prefix(super::BYTE_ORDER_MARK).unwrap_or(&text).to_owned();
        Self { diagnostics, file: file.to_owned(), text }
    }

    /// All of it as text for people: file, line, column, the offending line, and what to type instead.
    pub fn render(&self, colour: bool) -> String {
        render::render(&self.file, &self.text, &self.diagnostics, colour)
    }

    /// All of it as data for programs.
    pub fn findings(&self) -> Vec<Finding> {
        findings(&self.file, &self.text, &self.diagnostics)
    }

    /// 40: manifest invalid.
    pub fn exit_code(&self) -> u8 {
        40
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        "correct the manifest and run the same command again; docs/manifest.md explains every key".to_owned()
    }
}

impl Serialize for ManifestErrors {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.findings().serialize(serializer)
    }
}

fn count(diagnostics: &[Diagnostic]) -> String {
    match diagnostics.iter().filter(|found| found.severity == Severity::Error).count() {
        1 => "1 error".to_owned(),
        errors => format!("{errors} errors"),
    }
}

/// Diagnostics as data.
pub(super) fn findings(file: &Path, text: &str, diagnostics: &[Diagnostic]) -> Vec<Finding> {
    let finding = |found: &Diagnostic| {
        let (line, column) = position(text, found.span.as_ref().map_or(0, |span| span.start));
        Finding {
            severity: found.severity,
            file: file.display().to_string(),
            line,
            column,
            message: found.message.clone(),
            label: found.label.clone(),
            help: found.help.clone(),
        }
    };
    diagnostics.iter().map(finding).collect()
}

/// Line and column of a byte offset, both counted from 1, the column in characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
