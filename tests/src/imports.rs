//! Who imports whom: read from the paths in a crate's sources, folder by folder.
//! Which imports are allowed is said by the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The imports of one crate. Its rooms are the folders and files directly below `src/`.
#[derive(Debug, Default)]
pub struct Graph {
    /// From one room to another: the files that import.
    edges: BTreeMap<String, BTreeMap<String, BTreeSet<PathBuf>>>,
}

impl Graph {
    /// Reads all sources below `src`. The files of the crate itself (lib, main) hold the rooms together, and are none; `command/` of a crate
    /// with both belongs to the program.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn of(src: &Path) -> Result<Self> {
        let mut graph = Self::default();
        for path in sources(src)? {
            let relative = path.strip_prefix(src)?;
            let module = module(relative);
            let Some(room) = module.first().cloned() else { continue };
            for target in imports(&fs::read_to_string(&path)?, &module) {
                let rooms = [src.join(&target), src.join(format!("{target}.rs"))];
                if target != room && rooms.iter().any(|path| path.exists()) {
                    let of_room = graph.edges.entry(room.clone()).or_default();
                    of_room.entry(target).or_default().insert(relative.to_owned());
                }
            }
        }
        Ok(graph)
    }

    /// Whether nothing imports anything.
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// Every circle once, beginning with its first room by name, and with a file for each import in it.
    pub fn circles(&self) -> Vec<String> {
        let mut circles = BTreeSet::new();
        for room in self.edges.keys() {
            self.follow(&mut vec![room.clone()], &mut circles);
        }
        circles.into_iter().collect()
    }

    fn follow(&self, way: &mut Vec<String>, circles: &mut BTreeSet<String>) {
        let Some(targets) = way.last().and_then(|last| self.edges.get(last)) else { return };
        for target in targets.keys() {
            if way.first() == Some(target) {
                circles.insert(self.describe(way));
            } else if way.first().is_some_and(|first| first < target) && !way.contains(target) {
                way.push(target.clone());
                self.follow(way, circles);
                way.pop();
            }
        }
    }

    fn describe(&self, way: &[String]) -> String {
        let pairs = way.iter().zip(way.iter().cycle().skip(1));
        let files = pairs.filter_map(|(from, to)| self.edges.get(from)?.get(to)?.iter().next());
        let files: Vec<String> = files.map(|path| path.display().to_string()).collect();
        format!("{} -> {} (in {})", way.join(" -> "), way.first().map_or("", String::as_str), files.join(", "))
    }
}

impl std::fmt::Display for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (room, targets) in &self.edges {
            let targets: Vec<&str> = targets.keys().map(String::as_str).collect();
            writeln!(f, "  {room} -> {}", targets.join(", "))?;
        }
        Ok(())
    }
}

/// All Rust files below `directory`, sorted; what cargo builds there is left out.
///
/// # Errors
/// They cannot be listed.
pub fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The module path of a file: empty for the crate's root.
fn module(relative: &Path) -> Vec<String> {
    let plain = relative.with_extension("");
    let parts: Vec<String> = plain.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts == ["lib"] || parts == ["main"] { Vec::new() } else { parts }
}

/// The rooms that a file's paths begin in: `crate::room…`, and as many `super::` as lead there.
fn imports(text: &str, module: &[String]) -> BTreeSet<String> {
    let code = code(text);
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        rooms.extend(heads(&code[at + "crate::".len()..]));
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| !code[..*at].ends_with("super::")) {
        let mut rest = &code[at..];
        let mut up = 0;
        while let Some(more) = rest.strip_prefix("super::") {
            rest = more;
            up += 1;
        }
        // An inline module, such as `tests`, is one more level: then this names a room that does not exist.
        if up == module.len() {
            rooms.extend(heads(rest));
        }
    }
    rooms
}

/// The first names of a path or of a list of paths in braces.
fn heads(path: &str) -> Vec<String> {
    let Some(list) = path.strip_prefix('{') else { return name(path).into_iter().collect() };
    let (mut heads, mut depth, mut fresh) = (Vec::new(), 0, true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && depth == 0 && !c.is_whitespace() => {
                heads.extend(name(&list[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn name(path: &str) -> Option<String> {
    let end = path.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

/// The text without comments and without what stands in quotes.
fn code(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let mut quoted = false;
        let mut before = ' ';
        for (at, c) in line.char_indices() {
            if !quoted && line[at..].starts_with("//") {
                break;
            }
            if c == '"' && before != '\\' && before != '\'' {
                quoted = !quoted;
            } else if !quoted {
                code.push(c);
            }
            before = c;
        }
        code.push('\n');
    }
    code
}
