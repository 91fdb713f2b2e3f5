//! Typed access to one TOML table: what is missing or of the wrong type is reported, and reading goes on.
//! Which keys exist lives in `vocabulary.rs`; what their values mean lives with the parts of the manifest.

use std::ops::Range;
use std::str::FromStr;

use payload::index::Arch;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Findings, Reported};
use super::vocabulary::{Vocabulary, elsewhere, nearest};

/// One table of the manifest.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    table: &'a DeTable<'a>,
    start: usize,
    end: usize,
    vocabulary: &'static Vocabulary,
    pub(super) findings: &'a Findings,
    /// What placeholders stand for.
    pub(super) target: Arch,
}

/// A value that was read, and where it stands.
pub(super) type Read<T> = Result<Spanned<T>, Reported>;

impl<'a> Reader<'a> {
    /// `span` is where the table is introduced: its header, or its key.
    pub(super) fn new(
        table: &'a DeTable<'a>,
        span: Range<usize>,
        vocabulary: &'static Vocabulary,
        findings: &'a Findings,
        target: Arch,
    ) -> Self {
        Self { table, start: span.start, end: span.end, vocabulary, findings, target }
    }

    /// Where the table is introduced.
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// All entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Range<usize>, &'a Spanned<DeValue<'a>>)> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
    }

    /// The value of `key`, of whatever type.
    pub(super) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries().find(|(name, _, _)| *name == key).map(|(_, _, value)| value)
    }

    /// Where `key` itself stands.
    pub(super) fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.entries().find(|(name, _, _)| *name == key).map(|(_, span, _)| span)
    }

    /// Reports that `key` is not there; not again when it is only misspelt.
    pub(super) fn missing(&self, key: &str, help: &str) -> Reported {
        self.misspelt(key).unwrap_or_else(|| {
            let diagnostic = Diagnostic::absent(Some(self.span()), format!("`{key}` is missing"));
            self.findings.error(diagnostic.label(format!("this needs `{key}`")).help(help))
        })
    }

    /// The report of an unknown key that was meant to be `key`.
    pub(super) fn misspelt(&self, key: &str) -> Option<Reported> {
        let known = |name: &str| self.vocabulary.keys.iter().any(|key| key.name == name);
        let names: Vec<&str> = self.vocabulary.keys.iter().map(|key| key.name).collect();
        let mut unknown = self.entries().map(|(name, _, _)| name).filter(|name| !known(name));
        let misspelt = unknown.any(|name| nearest(name, names.iter().copied()) == Some(key));
        misspelt.then_some(Reported::AS_UNKNOWN_KEY)
    }

    /// A string; `None` when the key is not there.
    pub(super) fn text(&self, key: &str) -> Option<Read<&'a str>> {
        self.get(key).map(|value| self.as_text(value, key))
    }

    /// A string that must be there.
    pub(super) fn required_text(&self, key: &str, help: &str) -> Read<&'a str> {
        self.text(key).unwrap_or_else(|| Err(self.missing(key, help)))
    }

    /// A string that must be there and mean a `T`.
    pub(super) fn required<T: FromStr<Err: ToString>>(&self, key: &str, help: &str) -> Read<T> {
        self.required_text(key, help).and_then(|text| self.convert(&text))
    }

    /// A string that must mean a `T` if it is there.
    pub(super) fn optional<T: FromStr<Err: ToString>>(&self, key: &str) -> Option<Read<T>> {
        self.text(key).map(|text| text.and_then(|text| self.convert(&text)))
    }

    fn convert<T: FromStr<Err: ToString>>(&self, text: &Spanned<&str>) -> Read<T> {
        match text.get_ref().parse() {
            Ok(value) => Ok(Spanned::new(text.span(), value)),
            Err(problem) => Err(self.findings.error(Diagnostic::error(text.span(), problem.to_string()))),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &str) -> Option<Read<bool>> {
        let value = self.get(key)?;
        Some(match value.get_ref() {
            DeValue::Boolean(flag) => Ok(Spanned::new(value.span(), *flag)),
            other => {
                let quoted = other.as_str().filter(|text| matches!(*text, "true" | "false"));
                let help = quoted.map(|text| format!("without quotes: `{key} = {text}`"));
                Err(self.wrong_type(value, key, "true or false", help))
            }
        })
    }

    /// A list of strings.
    pub(super) fn texts(&self, key: &str) -> Option<Result<Vec<Spanned<&'a str>>, Reported>> {
        let value = self.get(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            let help = value.get_ref().as_str().map(|text| format!("write it as a list: `{key} = [{text:?}]`"));
            return Some(Err(self.wrong_type(value, key, "a list of strings", help)));
        };
        let read: Vec<Read<&'a str>> = items.iter().map(|item| self.as_text(item, key)).collect();
        Some(read.into_iter().collect())
    }

    /// A string, or the report that it is something else.
    pub(super) fn as_text(&self, value: &'a Spanned<DeValue<'a>>, key: &str) -> Read<&'a str> {
        if let DeValue::String(text) = value.get_ref() {
            return Ok(Spanned::new(value.span(), text.as_ref()));
        }
        let help = plain(value.get_ref()).map(|text| format!("write it as a string: \"{text}\""));
        Err(self.wrong_type(value, key, "a string", help))
    }

    /// A table below this one, however it is written.
    pub(super) fn table(
        &self,
        key: &str,
        vocabulary: &'static Vocabulary,
        help: &str,
    ) -> Option<Result<Reader<'a>, Reported>> {
        let value = self.get(key)?;
        Some(match value.get_ref() {
            DeValue::Table(table) => Ok(Reader::new(table, value.span(), vocabulary, self.findings, self.target)),
            _ => Err(self.wrong_type(value, key, "a table", Some(help.to_owned()))),
        })
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type(
        &self,
        value: &Spanned<DeValue<'_>>,
        key: &str,
        expected: &str,
        help: Option<String>,
    ) -> Reported {
        let found = kind(value.get_ref());
        let message = format!("`{key}` must be {expected}, not {found}");
        self.findings.error(Diagnostic::error(value.span(), message).label(format!("this is {found}")).maybe_help(help))
    }

    /// Reports every key that the vocabulary does not have, or not for a table of type `kind`.
    pub(super) fn refuse_unknown(&self, kind: Option<&str>) {
        let vocabulary = self.vocabulary;
        for (name, span, _) in self.entries() {
            match vocabulary.keys.iter().find(|key| key.name == name) {
                Some(key) if key.suits(kind) => {}
                Some(key) => {
                    let message = format!("`{name}` does not go with type = {:?}", kind.unwrap_or_default());
                    let types: Vec<String> = key.types.iter().map(|kind| format!("{kind:?}")).collect();
                    let label = format!("it goes with {} alone", types.join(", "));
                    self.findings.error(Diagnostic::error(span, message).label(label));
                }
                None => {
                    let diagnostic = Diagnostic::error(span, format!("unknown key `{name}` in {}", vocabulary.place));
                    self.findings.error(diagnostic.label("not known here").help(unknown_help(name, vocabulary, kind)));
                }
            }
        }
    }
}

fn unknown_help(name: &str, vocabulary: &Vocabulary, kind: Option<&str>) -> String {
    if let Some(place) = elsewhere(name, vocabulary) {
        return place;
    }
    let known: Vec<&str> = vocabulary.keys.iter().filter(|key| key.suits(kind)).map(|key| key.name).collect();
    did_you_mean(name, &known)
}

/// The most likely candidate, or all of them.
pub(super) fn did_you_mean(typed: &str, candidates: &[&str]) -> String {
    match nearest(typed, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean {candidate:?}?"),
        None => format!("possible here: {}", candidates.join(", ")),
    }
}

/// What a value is, in a sentence.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A scalar as it would stand between quotes.
fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(date) => Some(date.to_string()),
        _ => None,
    }
}
