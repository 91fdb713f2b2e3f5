//! The documents of the project, README.md and docs/: what is typed in them, where their links lead, what options they name.
//! Who runs it is `tests/docs.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::crash::workspace;

/// One document.
#[derive(Debug, Default)]
pub struct Page {
    /// From the workspace: `docs/transfer.md`.
    pub name: String,
    pub blocks: Vec<Block>,
    /// Where links and pictures lead, with their lines.
    pub links: Vec<(usize, String)>,
    /// The anchors of its headings.
    pub anchors: BTreeSet<String>,
    /// What stands between backticks in the text, with its lines.
    pub spans: Vec<(usize, String)>,
}

/// A block of code.
#[derive(Debug)]
pub struct Block {
    pub line: usize,
    /// The words behind the fence; empty of a block that is only indented.
    pub words: Vec<String>,
    pub text: String,
}

/// A command in a document.
#[derive(Debug, PartialEq, Eq)]
pub struct Typed {
    pub line: usize,
    pub command: String,
    /// What the document shows of its output; `…` stands for anything.
    pub printed: Vec<String>,
}

/// All documents.
///
/// # Errors
/// One cannot be read.
pub fn pages() -> Result<Vec<Page>> {
    let mut names = vec!["README.md".to_owned()];
    for entry in fs::read_dir(workspace().join("docs"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "md") {
            names.push(path.strip_prefix(workspace())?.display().to_string());
        }
    }
    names.sort();
    names.iter().map(|name| page(name)).collect()
}

/// The document `name`, from the workspace.
///
/// # Errors
/// It cannot be read.
pub fn page(name: &str) -> Result<Page> {
    let text = fs::read_to_string(workspace().join(name)).with_context(|| name.to_owned())?;
    Ok(Page { name: name.to_owned(), ..parse(&text) })
}

fn parse(text: &str) -> Page {
    let mut page = Page::default();
    let (mut heading, mut block): (Option<String>, Option<Block>) = (None, None);
    let mut seen = BTreeMap::new();
    for (event, at) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        let line = text[..at.start].matches('\n').count() + 1;
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let words = match kind {
                    CodeBlockKind::Fenced(info) => info.split_whitespace().map(str::to_owned).collect(),
                    CodeBlockKind::Indented => Vec::new(),
                };
                block = Some(Block { line, words, text: String::new() });
            }
            Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                page.anchors.extend(heading.take().map(|title| anchor(&title, &mut seen)));
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push((line, dest_url.into_string()));
            }
            Event::Text(said) => {
                let into = block.as_mut().map(|block| &mut block.text).or(heading.as_mut());
                if let Some(into) = into {
                    into.push_str(&said);
                }
            }
            Event::Code(said) => {
                if let Some(title) = &mut heading {
                    title.push_str(&said);
                }
                page.spans.push((line, said.into_string()));
            }
            _ => {}
        }
    }
    page
}

/// The anchor of a heading, as GitHub and mdBook make it; of several with one title the later ones are numbered.
fn anchor(title: &str, seen: &mut BTreeMap<String, usize>) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || ['-', '_', ' '].contains(c));
    let name = kept.collect::<String>().to_lowercase().replace(' ', "-");
    let before = seen.entry(name.clone()).or_default();
    *before += 1;
    if *before == 1 { name } else { format!("{name}-{}", *before - 1) }
}

impl Block {
    /// What it is written in: the first word behind the fence.
    pub fn language(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Whether its output was recorded elsewhere, and is not what the commands say here.
    pub fn is_recorded(&self) -> bool {
        self.words.iter().any(|word| word == "recorded")
    }

    /// The commands of a session (`console`: behind `$ ` or `# `) or of a list of commands (`sh`: every line). A line that
    /// ends in a backslash goes on in the next.
    pub fn typed(&self) -> Vec<Typed> {
        let mut typed: Vec<Typed> = Vec::new();
        let mut goes_on = false;
        for (number, line) in (self.line + 1..).zip(self.text.lines()) {
            let command = match self.language() {
                "console" => line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")),
                "sh" => Some(line).filter(|line| !line.starts_with('#') && !line.is_empty()),
                _ => None,
            };
            match (typed.last_mut(), command) {
                (Some(last), _) if goes_on => last.command = format!("{}\n{line}", last.command),
                (_, Some(command)) => {
                    typed.push(Typed { line: number, command: command.to_owned(), printed: Vec::new() });
                }
                (Some(last), None) => last.printed.push(line.to_owned()),
                (None, None) => {}
            }
            goes_on = (goes_on || command.is_some()) && line.ends_with('\\');
        }
        typed
    }
}

impl Typed {
    /// The lines of the document that `said` does not have.
    pub fn unsaid<'a>(&'a self, said: &str) -> Vec<&'a str> {
        let promised = self.printed.iter().map(String::as_str).filter(|line| !line.trim().is_empty());
        promised.filter(|line| !said.lines().any(|said| matches(line, said))).collect()
    }
}

/// Whether `line` is `pattern`, in which `…` stands for anything.
fn matches(pattern: &str, line: &str) -> bool {
    let pieces: Vec<&str> = pattern.trim_end().split('…').collect();
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return false };
    let Some(mut rest) = line.trim_end().strip_prefix(first) else { return false };
    if pieces.len() == 1 {
        return rest.is_empty();
    }
    for piece in &pieces[1..pieces.len() - 1] {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_its_readers_see_it() {
        let page = parse(
            "# The `.run` format\n\n[a](b.md#c) and `--x`\n\n    indented\n\n1. in a list\n\n   ```console recorded\n   $ one \\\n     two\n   said\n\
             \x20  # three\n   ```\n\n## Keys\n\n## Keys\n\n## `--dry-run`\n",
        );
        assert_eq!(page.links, [(3, "b.md#c".to_owned())]);
        assert_eq!(page.spans[1], (3, "--x".to_owned()));
        let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
        assert_eq!(anchors, ["--dry-run", "keys", "keys-1", "the-run-format"]);
        let typed = page.blocks[1].typed();
        assert_eq!((typed[0].line, typed[0].command.as_str()), (10, "one \\\n  two"));
        assert_eq!((typed[0].printed.join("|"), typed[1].command.as_str()), ("said".to_owned(), "three"));
        assert!(page.blocks[1].is_recorded() && page.blocks[0].language().is_empty());
    }

    #[test]
    fn dots_stand_for_anything() {
        assert!(matches("a … c", "a b c") && matches("…", "") && matches("x", "x"));
        assert!(!matches("a … c", "a b d") && !matches("x", "xy") && !matches("a … b … c", "a c"));
    }
}
