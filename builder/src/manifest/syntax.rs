//! From bytes to a tree of TOML values, with every syntax error explained.
//! What the values mean is not known here.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Findings, Reported, Severity};

/// What could be read of a TOML document.
pub(super) struct Document<'a> {
    pub(super) root: Spanned<DeTable<'a>>,
    /// The values that contain syntax errors.
    broken: Vec<Range<usize>>,
    /// Tables and keys are all where their author put them.
    pub(super) intact: bool,
}

/// The text, or the report that it is not text.
pub(super) fn text<'a>(bytes: &'a [u8], findings: &Findings) -> Result<&'a str, Reported> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let byte = bytes.get(at).copied().unwrap_or_default();
        let span = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
        let diagnostic = Diagnostic::error(span, "the manifest is not UTF-8 text");
        findings.error(
            diagnostic.label(format!("the byte 0x{byte:02x} has no meaning here")).help("save the file as UTF-8"),
        )
    })
}

/// Reads a document; after an error, what can still be told apart is returned all the same.
pub(super) fn document<'a>(text: &'a str, findings: &Findings) -> Document<'a> {
    let (root, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let values = leaf_values(root.get_ref());
    let mut document = Document { root, broken: Vec::new(), intact: true };
    let mut last_line = None;
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        if document.breaks(&span) {
            continue;
        }
        let line = text.get(..span.start).unwrap_or_default().matches('\n').count();
        if error.message() == "duplicate key" {
            if document.intact && last_line != Some(line) {
                findings.error(duplicate(&document.root, text, span));
            }
            continue;
        }
        let value = values.iter().find(|value| touches(value, &span));
        match value {
            Some(value) => document.broken.push(value.clone()),
            None => document.intact = false,
        }
        if last_line.replace(line) != Some(line) {
            let unclosed = value.filter(|value| errors.iter().any(|error| is_unclosed(error, value)));
            findings.error(match unclosed {
                Some(value) => Diagnostic::error(value.start..value.start + 1, "not valid TOML: this is not closed")
                    .label("what begins here has no end"),
                None => explained(error.message(), text, span),
            });
        }
    }
    document
}

impl Document<'_> {
    /// Whether a diagnostic still means something in the presence of syntax errors.
    pub(super) fn keeps(&self, diagnostic: &Diagnostic) -> bool {
        let clean = self.intact && self.broken.is_empty();
        let about_broken = diagnostic.span.as_ref().is_some_and(|span| self.breaks(span));
        clean || self.intact && !diagnostic.absence && !about_broken && diagnostic.severity == Severity::Error
    }

    fn breaks(&self, span: &Range<usize>) -> bool {
        self.broken.iter().any(|value| touches(value, span))
    }
}

/// Of a list without its `]`, everything inside is reported; of a string without its `"""`, the end of the file.
fn is_unclosed(error: &toml::de::Error, value: &Range<usize>) -> bool {
    let span = error.span().unwrap_or_default();
    let of_list = error.message().starts_with("unclosed ") && touches(value, &span);
    of_list || error.message().starts_with("invalid multi-line ") && span.start == value.end
}

fn touches(value: &Range<usize>, span: &Range<usize>) -> bool {
    value.start <= span.start && span.start <= value.end
}

/// Where the values stand that are not tables made of several lines.
fn leaf_values(table: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for (key, value) in table {
        let span = value.span();
        match value.get_ref() {
            DeValue::Table(inner) if span.start <= key.span().start => spans.extend(leaf_values(inner)),
            DeValue::Array(items) if span.start <= key.span().start => {
                let tables = items.iter().filter_map(|item| item.get_ref().as_table());
                spans.extend(tables.flat_map(leaf_values));
            }
            _ => spans.push(span),
        }
    }
    spans
}

fn duplicate(root: &Spanned<DeTable<'_>>, text: &str, span: Range<usize>) -> Diagnostic {
    let key = text.get(span.clone()).unwrap_or_default();
    let mut places = Vec::new();
    key_places(root.get_ref(), key.trim_matches(['"', '\'']), &mut places);
    let diagnostic = Diagnostic::error(span.clone(), format!("`{key}` is given twice")).label("here again");
    match places.into_iter().filter(|place| place.start < span.start).max_by_key(|place| place.start) {
        Some(first) => diagnostic.related(first, "here first"),
        None => diagnostic,
    }
}

fn key_places(table: &DeTable<'_>, wanted: &str, places: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if key.get_ref() == wanted {
            places.push(key.span());
        }
        match value.get_ref() {
            DeValue::Table(inner) => key_places(inner, wanted, places),
            DeValue::Array(items) => {
                items
                    .iter()
                    .filter_map(|item| item.get_ref().as_table())
                    .for_each(|inner| key_places(inner, wanted, places));
            }
            _ => {}
        }
    }
}

fn explained(message: &str, text: &str, span: Range<usize>) -> Diagnostic {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let rest = text.get(span.start..).unwrap_or_default().lines().next().unwrap_or_default();
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || "_-./".contains(*c)).collect();
    if what == "unexpected leading zero" {
        let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let diagnostic = Diagnostic::error(span, "not valid TOML: numbers do not begin with a zero");
        return diagnostic.help(format!("write a file mode as a string: \"{number}\""));
    }
    let bare = word.starts_with(|c: char| c.is_alphabetic()) && what.starts_with("invalid ");
    if bare || what == "string values must be quoted" {
        if word.is_empty() {
            return Diagnostic::error(span, "not valid TOML: the value is missing").label("a value belongs here");
        }
        let diagnostic = Diagnostic::error(span, "not valid TOML: strings stand between quotes");
        return diagnostic.help(format!("write \"{word}\""));
    }
    if let Some(version) = version_at(text, span.start) {
        let diagnostic = Diagnostic::error(span, "not valid TOML: this is no number");
        return diagnostic.label("put it in quotes").help(format!("write \"{version}\""));
    }
    let label = match expected {
        "" | "nothing" => String::new(),
        expected => format!("expected {expected}"),
    };
    Diagnostic::error(span, format!("not valid TOML: {what}")).label(label)
}

/// The value that `offset` is in, where somebody wrote a version such as `1.0.0` without quotes.
fn version_at(text: &str, offset: usize) -> Option<&str> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |at| at + 1);
    let (_, value) = text.get(start..)?.lines().next()?.split_once('=')?;
    let value = value.split('#').next()?.trim();
    let word = value.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c));
    (word && value.starts_with(|c: char| c.is_ascii_digit()) && value.matches('.').count() > 1).then_some(value)
}
