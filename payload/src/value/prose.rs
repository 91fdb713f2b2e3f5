//! A line for people on a terminal: broken between words, so that it is no wider than that, and its label in colour.
//! Whether there is a terminal, how wide it is and whether it wants colours is the programs' business.

use anstyle::{AnsiColor, Style};
use textwrap::{Options, WordSeparator, WordSplitter};

/// The words that begin a line, and say what kind of line it is.
const LABELS: [(&str, Style); 7] = [
    ("error:", AnsiColor::Red.on_default().bold()),
    ("WARNING:", AnsiColor::Yellow.on_default().bold()),
    ("warning:", AnsiColor::Yellow.on_default().bold()),
    ("note:", AnsiColor::Cyan.on_default().bold()),
    ("state:", Style::new().bold()),
    ("next:", AnsiColor::Green.on_default().bold()),
    ("Problems:", AnsiColor::Red.on_default().bold()),
];

/// How lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prose {
    /// Of the terminal; `None` where there is none, such as in a file, where a line stays one.
    pub columns: Option<usize>,
    pub colour: bool,
}

impl Prose {
    /// `text` as it is shown, each line of it by itself. What goes on in the next row stands two columns further in; a word,
    /// such as a path, is never broken, so that it can be copied.
    pub fn shown(self, text: &str) -> String {
        let lines: Vec<String> = text.split('\n').map(|line| self.line(line)).collect();
        lines.join("\n")
    }

    fn line(self, line: &str) -> String {
        let indent: String = line.chars().take_while(|c| " │├└─".contains(*c)).collect();
        let text = &line[indent.len()..];
        let wrapped = match self.columns.filter(|columns| *columns > 0) {
            Some(columns) => {
                let further = format!("{}  ", below(&indent));
                let text = one_word_each(text);
                let options = Options::new(columns)
                    .initial_indent(&indent)
                    .subsequent_indent(&further)
                    .word_separator(WordSeparator::AsciiSpace)
                    .word_splitter(WordSplitter::NoHyphenation)
                    .break_words(false);
                textwrap::wrap(&text, options).join("\n").replace(GLUE, " ")
            }
            None => line.to_owned(),
        };
        if self.colour { coloured(&wrapped, indent.len()) } else { wrapped }
    }
}

/// Stands for a space that is not to be broken; no printable text has it.
const GLUE: char = '\u{a0}';
const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "s"];

/// Numbers together with their units.
fn one_word_each(text: &str) -> String {
    let mut words = text.split(' ');
    let mut glued = words.next().unwrap_or_default().to_owned();
    for word in words {
        let unit = word.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let is_unit = glued.ends_with(|c: char| c.is_ascii_digit()) && UNITS.contains(&unit);
        glued.push(if is_unit { GLUE } else { ' ' });
        glued.push_str(word);
    }
    glued
}

/// What stands in front of the next row of an entry of a tree, or of any other line.
fn below(indent: &str) -> String {
    indent.chars().map(|c| if c == '├' || c == '│' { '│' } else { ' ' }).collect()
}

fn coloured(line: &str, indent: usize) -> String {
    let (indent, text) = line.split_at(indent.min(line.len()));
    let label = LABELS.iter().find(|(label, _)| text.starts_with(label));
    label.map_or_else(
        || line.to_owned(),
        |(label, style)| format!("{indent}{style}{label}{style:#}{}", &text[label.len()..]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Prose = Prose { columns: Some(40), colour: false };

    #[test]
    fn a_long_line_is_broken_between_words_and_goes_on_further_in() {
        let line = "  next: copy the package again from where it was built, then compare with --verify";
        let shown = PLAIN.shown(line);
        assert_eq!(
            shown,
            "  next: copy the package again from\n    where it was built, then compare\n    with --verify"
        );
        assert_eq!(Prose { columns: None, ..PLAIN }.shown(line), line);
    }

    #[test]
    fn a_path_that_is_longer_than_the_terminal_stays_whole() {
        let path = format!("/opt/{}", "x".repeat(60));
        let shown = PLAIN.shown(&format!("place {path} (1 kB)"));
        assert_eq!(shown, format!("place\n  {path}\n  (1 kB)"));
        assert_eq!(PLAIN.shown("sha256-with-hyphens-is-one-word a-b"), "sha256-with-hyphens-is-one-word a-b");
    }

    #[test]
    fn no_row_is_wider_than_any_terminal_and_no_word_is_lost() {
        let line = "    error: ü 模型 is not what  was expected, and nobody changed /opt/x: run it again";
        for columns in 0..100 {
            let shown = Prose { columns: Some(columns), colour: false }.shown(line);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&shown), words(line));
            let fits = |row: &str| row.chars().count() <= columns || row.split_whitespace().count() == 1;
            assert!(columns == 0 || shown.lines().all(fits), "{columns}: {shown}");
        }
    }

    #[test]
    fn a_number_keeps_its_unit_and_a_tree_its_branches() {
        assert_eq!(
            PLAIN.shown("the package of today takes about 98 765.4 MB, no more"),
            "the package of today takes about 98\n  765.4 MB, no more"
        );
        let tree = "  │   ├── llama2-7b.gguf (65.9 kB, ollama:ollama, 0644)";
        assert_eq!(PLAIN.shown(tree), "  │   ├── llama2-7b.gguf (65.9 kB,\n  │   │     ollama:ollama, 0644)");
        let last = "  └── llama2-7b.gguf (65.9 kB, ollama:ollama, 0644)";
        assert_eq!(PLAIN.shown(last), "  └── llama2-7b.gguf (65.9 kB,\n        ollama:ollama, 0644)");
    }

    #[test]
    fn only_a_label_is_coloured() {
        let colour = Prose { colour: true, ..PLAIN };
        assert_eq!(colour.shown("error: no error: here"), "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m no error: here");
        assert_eq!(colour.shown("nothing was changed"), "nothing was changed");
        assert!(colour.shown("  next:  type it").starts_with("  \u{1b}["));
    }
}
