//! Draws diagnostics the way a compiler does: file, line, column, the offending line, a mark and a suggestion.
//! What is wrong with a manifest is not decided here.

use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use payload::printable;

use super::diagnostic::{Diagnostic, Severity};

/// More would scroll the first ones, which often cause the others, out of sight.
const MAX_DRAWN: usize = 20;

/// The diagnostics as text, a blank line between two of them; credentials in URLs are masked.
pub(super) fn render(file: &Path, text: &str, diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let (file, text) = (printable(&file.display().to_string()), harmless(&mask_credentials(text)));
    let more = diagnostics.len().saturating_sub(MAX_DRAWN);
    let mut drawn: Vec<String> =
        diagnostics.iter().take(MAX_DRAWN).map(|found| renderer.render(&[group(&file, &text, found)]) + "\n").collect();
    if more > 0 {
        drawn.push(format!("… and {more} more; correct these first (--json lists all)\n"));
    }
    drawn.join("\n")
}

fn group<'a>(file: &'a str, text: &'a str, found: &'a Diagnostic) -> Group<'a> {
    let level = match found.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let place: Element<'a> = match &found.span {
        None => Origin::path(file).into(),
        Some(span) => snippet(file, text, span, found).into(),
    };
    let group = level.primary_title(printable(&found.message)).element(place);
    match &found.help {
        Some(help) => group.element(Level::HELP.message(printable(help))),
        None => group,
    }
}

fn snippet<'a>(
    file: &'a str,
    text: &'a str,
    span: &Range<usize>,
    found: &'a Diagnostic,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let mut primary = AnnotationKind::Primary.span(on_one_line(text, span));
    if !found.label.is_empty() {
        primary = primary.label(printable(&found.label));
    }
    let related = found
        .related
        .iter()
        .map(|(span, label)| AnnotationKind::Context.span(on_one_line(text, span)).label(printable(label)));
    Snippet::source(text).path(file).annotation(primary).annotations(related)
}

/// The part of `span` on its first line, moved to where characters begin: long strings would fill the screen.
fn on_one_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let start = boundary(span.start);
    let end = boundary(span.end).max(start);
    let line = text[start..end].split(['\r', '\n']).next().unwrap_or_default().len();
    start..start + line
}

/// Characters that a terminal would obey instead of show, and that the renderer leaves, are replaced by others of the
/// same length, so that every offset stays what it was.
fn harmless(text: &str) -> String {
    let obeyed = |c: char| printable(c.encode_utf8(&mut [0; 4])) != c.to_string();
    let shown = |c: char| match c.len_utf8() {
        2 if obeyed(c) => '\u{bf}',
        3 if obeyed(c) => char::REPLACEMENT_CHARACTER,
        _ => c,
    };
    text.chars().map(shown).collect()
}

/// User names and passwords in URLs become asterisks; every offset stays what it was.
fn mask_credentials(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let (before, after) = rest.split_at(scheme + 3);
        let authority = after.find(|c: char| c.is_whitespace() || "/?#\"'\\".contains(c)).unwrap_or(after.len());
        let secret = after[..authority].rfind('@').unwrap_or(0);
        masked.push_str(before);
        masked.push_str(&"*".repeat(secret));
        rest = &after[secret..];
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_masked_and_nothing_moves() {
        let text = "u = 'https://bob:pä@ss@h/x@y' v = \"https://h/a@b\" w=http://t@h";
        let masked = mask_credentials(text);
        assert_eq!(masked, "u = 'https://**********@h/x@y' v = \"https://h/a@b\" w=http://*@h");
        assert_eq!(masked.len(), text.len());
    }

    #[test]
    fn what_a_terminal_obeys_is_replaced_and_nothing_moves() {
        assert_eq!(harmless("ä\u{9b}2J\u{202e}x"), "ä\u{bf}2J\u{fffd}x");
    }

    #[test]
    fn a_long_string_is_marked_on_its_first_line_only() {
        assert_eq!(on_one_line("a = 'x\r\ny'", &(4..9)), 4..6);
        assert_eq!(on_one_line("ä", &(1..9)), 0..2);
        assert_eq!(on_one_line("ä", &(7..9)), 2..2);
    }
}
