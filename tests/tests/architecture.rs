//! The rooms of the code: the map in ARCHITECTURE.md against the tree, imports without circles, signposts that lead
//! somewhere, files of a size that can be read. What the code does is tested elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::crash::workspace;
use e2e::imports::{Graph, sources};

const CRATES: [&str; 3] = ["payload", "builder", "stub"];
/// Longer files want splitting. Tests may be longer: a table of cases has no rooms.
const MAX_LINES: usize = 400;

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// What stands in backticks in the first column of the map's tables, below the heading that names a crate's sources.
fn map() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let document = text(&workspace().join("ARCHITECTURE.md"))?;
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut root = String::new();
    for row in document.lines().filter_map(|line| line.strip_prefix('|')) {
        let first = row.split('|').next().unwrap_or_default();
        let names: Vec<&str> = first.split('`').skip(1).step_by(2).collect();
        match names.as_slice() {
            [only] if only.ends_with("/src/") => (*only).clone_into(&mut root),
            _ if first.trim() == "elsewhere" => root.clear(),
            names => places.entry(root.clone()).or_default().extend(names.iter().map(|name| (*name).to_owned())),
        }
    }
    Ok(places)
}

#[test]
fn the_map_is_the_tree() -> Result<()> {
    let map = map()?;
    for (root, names) in &map {
        for name in names {
            ensure!(
                workspace().join(root).join(name).exists(),
                "ARCHITECTURE.md names {root}{name}, which is not there"
            );
        }
    }
    for name in CRATES {
        let root = format!("{name}/src/");
        let named = map.get(&root).with_context(|| format!("ARCHITECTURE.md has no table for {root}"))?;
        for entry in fs::read_dir(workspace().join(&root))? {
            let path = entry?.path();
            let file = path.file_name().context("a name")?.to_string_lossy().into_owned();
            let shown = if path.is_dir() { format!("{file}/") } else { file.clone() };
            // A folder's own file is named with the folder; the crate's root holds the rooms together.
            let needs_no_name = path.with_extension("").is_dir() || ["lib.rs", "main.rs"].contains(&file.as_str());
            let is_named = named.contains(&shown) || (path.is_file() && needs_no_name);
            ensure!(is_named, "ARCHITECTURE.md does not name {root}{shown}");
        }
    }
    Ok(())
}

#[test]
fn no_two_rooms_import_each_other_even_over_others() -> Result<()> {
    for name in CRATES {
        let graph = Graph::of(&workspace().join(name).join("src"))?;
        ensure!(!graph.is_empty(), "nothing was read of {name}");
        let circles = graph.circles();
        ensure!(circles.is_empty(), "{name}: rooms import each other in a circle:\n{}", circles.join("\n"));
    }
    Ok(())
}

#[test]
fn the_command_line_stays_out_of_the_library() -> Result<()> {
    let src = workspace().join("builder/src");
    for path in sources(&src)?.iter().filter(|path| !path.starts_with(src.join("command"))) {
        ensure!(!text(path)?.contains("clap::"), "{} knows clap: only builder/src/command/ does", path.display());
    }
    Ok(())
}

#[test]
fn the_graph_sees_circles_nested_imports_and_super() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let write = |name: &str, text: &str| -> Result<()> {
        let path = scratch.path().join(name);
        fs::create_dir_all(path.parent().context("a file")?)?;
        Ok(fs::write(path, text)?)
    };
    write("lib.rs", "mod a;\nmod b;\nmod c;\nuse crate::a::x;\n")?;
    write("a.rs", "//! crate::c is only mentioned.\nmod x;\nuse crate::{b::{one, two}, a::x::y};\n")?;
    write("a/x.rs", "// crate::c\nuse super::z;\nconst TEXT: &str = \"crate::c::d\";\n")?;
    write("b.rs", "fn f() { crate::c::g(); }\n")?;
    write("c.rs", "mod deep;\n")?;
    write("c/deep.rs", "use super::super::a::x;\n")?;
    let circles = Graph::of(scratch.path())?.circles();
    ensure!(circles.len() == 1 && circles[0].contains("a -> b -> c -> a"), "{circles:?}");
    write("c/deep.rs", "use super::other;\n")?;
    ensure!(Graph::of(scratch.path())?.circles().is_empty());
    Ok(())
}

fn is_test(path: &Path) -> bool {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    parts.iter().any(|part| part == "tests.rs" || part == "testing.rs")
        || parts.windows(2).any(|pair| pair[0] == "tests" && pair[1] != "src")
}

/// Every Rust file of the workspace, relative to it.
fn all_sources() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in ["payload", "builder", "stub", "tests", "fuzz/fuzz_targets"] {
        files.extend(sources(&workspace().join(name))?);
    }
    files.iter().map(|path| Ok(path.strip_prefix(workspace())?.to_owned())).collect()
}

#[test]
fn files_can_be_read_at_one_sitting_and_begin_by_saying_what_they_are() -> Result<()> {
    for path in all_sources()? {
        let content = text(&workspace().join(&path))?;
        let lines = content.lines().count();
        ensure!(is_test(&path) || lines <= MAX_LINES, "{} has {lines} lines: split it", path.display());
        let opening: Vec<&str> = content.lines().filter(|line| !line.trim().is_empty()).take(2).collect();
        ensure!(
            opening.len() == 2 && opening.iter().all(|line| line.starts_with("//!")),
            "{} does not begin with two lines on what lives there and what does not",
            path.display()
        );
    }
    Ok(())
}

#[test]
fn signposts_lead_somewhere() -> Result<()> {
    let mut followed = 0;
    for path in all_sources()? {
        let content = text(&workspace().join(&path))?;
        let comments = content.lines().filter(|line| line.trim_start().starts_with("//"));
        for name in comments.flat_map(|line| line.split('`').skip(1).step_by(2)).filter(|name| names_a_source(name)) {
            ensure!(leads_somewhere(&path, name), "{}: `{name}` is not there", path.display());
            followed += 1;
        }
    }
    ensure!(followed > 200, "only {followed} signposts were found");
    Ok(())
}

fn names_a_source(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_./".contains(c));
    plain && Path::new(name).extension().is_some_and(|extension| extension == "rs")
}

/// From the file's own folder, from the folder of the same name, from the crate's sources, or from the workspace.
fn leads_somewhere(path: &Path, name: &str) -> bool {
    let here = workspace().join(path);
    let ancestors = here.ancestors().skip(1).take_while(|directory| directory.starts_with(workspace()));
    ancestors
        .chain([here.with_extension("").as_path()])
        .any(|directory| directory.join(name).is_file() || directory.join("src").join(name).is_file())
}
