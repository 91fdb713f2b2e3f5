//! The licence texts of crates, as one document: words that many of them share stand in it once.
//! Which crates they are is in `crates.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The files in which crates keep the terms they are under.
const FILES: [&str; 4] = ["LICEN", "COPYING", "COPYRIGHT", "NOTICE"];
/// Longer than any licence, in bytes.
const LONGEST: usize = 128 << 10;
/// The texts that the workspace itself is under have the words of most of the others, too.
const APACHE: &str = include_str!("../../LICENSE-APACHE");
const MIT: &str = include_str!("../../LICENSE-MIT");

/// Words that crates repeat, and what stands for them.
struct Shared {
    name: &'static str,
    text: &'static str,
}

/// The texts, and for each the crates that have it.
#[derive(Default)]
pub struct Terms {
    texts: BTreeMap<String, (String, BTreeSet<String>)>,
}

impl Terms {
    /// Takes the texts of one crate in.
    pub fn add(&mut self, name: &str, directory: &Path) {
        let entries: BTreeSet<PathBuf> =
            fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let is_terms = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
            FILES.iter().any(|terms| name.starts_with(terms))
        };
        for path in entries.into_iter().filter(is_terms) {
            let Ok(text) = fs::read_to_string(path) else { continue };
            if text.len() <= LONGEST {
                let text = shared().iter().fold(text.trim_end().replace("\r\n", "\n"), named);
                // The same words in other lines are the same text.
                let words: Vec<&str> = text.split_whitespace().collect();
                self.texts.entry(words.join(" ")).or_insert_with(|| (text, BTreeSet::new())).1.insert(name.to_owned());
            }
        }
    }

    /// Every text once, under the names of the crates that have it, and what they share behind them.
    pub fn write(self, document: &mut String) {
        for (text, names) in self.texts.into_values() {
            let names: Vec<String> = names.into_iter().collect();
            let _ = write!(document, "\n{}\n{}\n\n{}\n", "=".repeat(72), names.join(", "), text.trim_end());
        }
        for Shared { name, text } in shared() {
            let _ = write!(document, "\n{}\n[{name}] stands above for these words:\n\n{text}\n", "=".repeat(72));
        }
    }
}

fn shared() -> [Shared; 4] {
    let part = |text: &'static str, from: &str, to: &str| {
        let start = text.find(from).expect("the licences of the workspace begin as ever");
        let end = start + text[start..].find(to).expect("the licences of the workspace end as ever");
        text[start..end].trim_end()
    };
    let whole = |text: &'static str, from: &str| &text[text.find(from).expect("it is there")..];
    [
        Shared {
            name: "Terms of the Apache License 2.0",
            text: part(APACHE, "TERMS AND CONDITIONS FOR USE", "END OF TERMS AND CONDITIONS"),
        },
        Shared {
            name: "How to apply the Apache License",
            text: part(APACHE, "To apply the Apache License to your work", "Copyright [yyyy]"),
        },
        Shared {
            name: "Notice of the Apache License 2.0",
            text: whole(APACHE, "Licensed under the Apache License, Version 2.0 (the").trim_end(),
        },
        Shared { name: "Permission of the MIT License", text: whole(MIT, "Permission is hereby granted").trim_end() },
    ]
}

/// A text with the name of what it shares in the place of it. Lines, capitals and punctuation may differ.
fn named(mut text: String, shared: &Shared) -> String {
    let wanted: Vec<String> = words(shared.text).into_iter().map(|(word, ..)| word).collect();
    let found = |text: &str| {
        let words = words(text);
        let at = words.windows(wanted.len()).position(|some| some.iter().map(|(word, ..)| word).eq(&wanted))?;
        Some(words[at].1..words[at + wanted.len() - 1].2)
    };
    while let Some(place) = found(&text) {
        text.replace_range(place, &format!("[{}]", shared.name));
    }
    text
}

/// Letters and digits of each word, and where it begins and ends.
fn words(text: &str) -> Vec<(String, usize, usize)> {
    let place = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    let plain = |word: &str| word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let each = text.split_whitespace().map(|word| (plain(word), place(word), place(word) + word.len()));
    each.filter(|(word, ..)| !word.is_empty()).collect()
}
