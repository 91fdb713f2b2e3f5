//! The built book: what its pages load, and where their links lead.
//! What is written in it is looked at in `docs.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What a page refers to by an attribute of one of its tags.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    pub tag: String,
    pub to: String,
}

impl Reference {
    /// Whether whoever opens the page loads it: of links that is what is clicked, and nothing else.
    pub fn is_loaded(&self) -> bool {
        self.tag != "a"
    }

    /// Whether it leads to another machine.
    pub fn is_remote(&self) -> bool {
        self.to.contains("://") || self.to.starts_with("//")
    }
}

/// All HTML pages below a directory, with their text.
///
/// # Errors
/// They cannot be read.
pub fn pages(directory: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            pages.extend(self::pages(&path)?);
        } else if path.extension().is_some_and(|kind| kind == "html") {
            let text = fs::read_to_string(&path)?;
            pages.insert(path, text);
        }
    }
    Ok(pages)
}

/// What the tags of a page refer to.
pub fn references(html: &str) -> Vec<Reference> {
    let attributes = ["href", "src", "srcset", "poster", "data", "action"];
    tags(html)
        .flat_map(|(name, rest)| {
            let found = attributes.iter().filter_map(move |attribute| value(rest, attribute));
            found.map(move |to| Reference { tag: name.to_owned(), to: to.to_owned() })
        })
        .collect()
}

/// The names that links to a page may have behind their `#`.
pub fn anchors(html: &str) -> BTreeSet<&str> {
    tags(html).filter_map(|(_, rest)| value(rest, "id")).collect()
}

/// The name of each tag, and its attributes.
fn tags(html: &str) -> impl Iterator<Item = (&str, &str)> {
    html.split('<').skip(1).filter_map(|piece| {
        let tag = piece.split('>').next()?;
        let name = tag.split(|c: char| c.is_whitespace()).next()?;
        Some((name, &tag[name.len()..]))
    })
}

fn value<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = attributes.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

/// What style sheets load: `url(…)` and `@import`.
pub fn of_style(css: &str) -> Vec<Reference> {
    let urls = css.split("url(").skip(1).filter_map(|rest| rest.split(')').next());
    let imports = css.split("@import").skip(1).filter_map(|rest| rest.split(';').next());
    let quotes = ['"', '\'', ' '];
    urls.chain(imports)
        .map(|to| Reference { tag: "style".to_owned(), to: to.trim_matches(quotes).to_owned() })
        .filter(|reference| !reference.to.starts_with("data:"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_is_told_from_what_is_linked() {
        let page = "<head><link rel=\"x\" href=\"https://a/b.css\"></head><p id=\"p\">\n<a title=\"t\" href=\"https://c\">d</a><img\n src=\"e.png\">";
        let found = references(page);
        let told: Vec<_> = found.iter().map(|to| (to.to.as_str(), to.is_loaded(), to.is_remote())).collect();
        assert_eq!(told, [("https://a/b.css", true, true), ("https://c", false, true), ("e.png", true, false)]);
        assert!(anchors(page).contains("p"));
        assert!(of_style("@import '//x/y.css'; a { b: url(\"https://z\") }").iter().all(Reference::is_remote));
    }
}
