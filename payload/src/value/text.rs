//! Text from a package or a machine, made safe for a terminal.
//! Colours and progress bars live with the programs that print.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// `text` with every character that a terminal obeys or does not show written as an escape.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_shown(c) { shown.push(c) } else { shown.extend(c.escape_unicode()) }
    }
    shown
}

/// A JSON document that means the same, with such characters in its texts written as JSON's own escapes.
pub fn printable_json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for c in document.chars() {
        if is_shown(c) {
            shown.push(c);
        } else {
            let mut units = [0; 2];
            shown.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    shown
}

/// The same, of a value that becomes its document, in one line, while it is written.
///
/// # Errors
/// It cannot be written.
pub fn write_json(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Visible)).map_err(io::Error::from)
}

struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if is_printable(fragment) {
            writer.write_all(fragment.as_bytes())
        } else {
            writer.write_all(printable_json(fragment).as_bytes())
        }
    }
}

/// Whether every character of `text` can be seen for what it is.
pub fn is_printable(text: &str) -> bool {
    text.chars().all(is_shown)
}

/// Controls, spaces that look like another, and what has no shape of its own: the Unicode categories Cc, Cf, Zl, Zp and
/// Zs, fillers, variation selectors and tags (Unicode 16).
fn is_shown(c: char) -> bool {
    let hidden = matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{0600}'..='\u{0605}' | '\u{061c}' | '\u{06dd}' | '\u{070f}'
        | '\u{0890}'..='\u{0891}' | '\u{08e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    c == ' ' || !(hidden || c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_reordering_are_shown_not_obeyed() {
        assert_eq!(printable("ok ü\x1b[2J"), "ok ü\\u{1b}[2J");
        assert_eq!(printable("a\u{202e}b\n"), "a\\u{202e}b\\u{a}");
    }

    #[test]
    fn json_means_the_same() {
        let document = "{\"a\u{202e}\":\"\u{202e}\u{e0041}é \\n\\u0007\u{7f}\"}";
        let shown = "{\"a\\u202e\":\"\\u202e\\udb40\\udc41é \\n\\u0007\\u007f\"}";
        assert_eq!(printable_json(document), shown);
        let value: serde_json::Value = serde_json::from_str(document).unwrap();
        let mut written = Vec::new();
        write_json(&mut written, &value).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), shown);
    }

    #[test]
    fn what_cannot_be_seen_is_named() {
        for hidden in
            ['\u{2028}', '\u{200b}', '\u{feff}', '\u{ad}', '\u{e0041}', '\u{a0}', '\u{fe0f}', '\u{3164}', '\u{7f}']
        {
            assert_eq!(printable(&hidden.to_string()), hidden.escape_unicode().to_string());
        }
        assert!(is_printable("Modèle français 模型 е́ $(x) \"quoted\" \\"));
    }
}
