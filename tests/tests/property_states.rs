//! Random targets and random packages: what was installed needs no second installation, an upgrade is complete, and
//! an uninstallation leads back to what was there before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Result, ensure};
use e2e::crash::directory;
use e2e::crash::draft::Draft;
use e2e::crash::program::Run;
use e2e::tree::Tree;
use payload::index::Role;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// What a package may have at a path, and what a target may.
#[derive(Debug, Clone)]
enum Item {
    Directory,
    File { content: u8, mode: u32, packed: bool },
    Link(usize),
    HardLink(usize),
}

/// Paths: few, so that packages and targets meet.
const DIRECTORIES: [&str; 5] = ["opt/demo", "opt/demo/a", "opt/demo/b", "opt/demo/a/c", "opt/demo/d"];
const NAMES: [&str; 4] = ["one", "two", "three", "four"];

fn path(place: usize) -> String {
    format!("{}/{}", DIRECTORIES[place / NAMES.len() % DIRECTORIES.len()], NAMES[place % NAMES.len()])
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        1 => Just(Item::Directory),
        5 => (0..4_u8, prop::sample::select(vec![0o644, 0o755, 0o600]), any::<bool>())
            .prop_map(|(content, mode, packed)| Item::File { content, mode, packed }),
        1 => (0..20_usize).prop_map(Item::Link),
        1 => (0..20_usize).prop_map(Item::HardLink),
    ]
}

fn items() -> impl Strategy<Value = BTreeMap<usize, Item>> {
    prop::collection::btree_map(0..20_usize, item(), 0..9)
}

fn content(number: u8) -> Vec<u8> {
    vec![number; usize::from(number) * 5000]
}

fn package(items: &BTreeMap<usize, Item>, version: &str) -> Result<Draft> {
    let mut draft = Draft::new(version, "opt/demo", false)?;
    draft.directory("opt")?;
    for directory in DIRECTORIES {
        // The fourth lies in the second, which is there only when something needs it.
        let needed = items.keys().any(|place| path(*place).starts_with(&format!("{directory}/")));
        if needed || directory == "opt/demo" {
            draft.directory(directory)?;
        }
    }
    for (place, item) in items {
        match item {
            Item::Directory => draft.directory(&path(*place))?,
            Item::File { content: number, mode, packed: true } => {
                draft.packed_file(&path(*place), Role::Program, *mode, &content(*number))?
            }
            Item::File { content: number, mode, packed: false } => {
                draft.file(&path(*place), Role::Config, *mode, &content(*number))?
            }
            Item::Link(_) | Item::HardLink(_) => continue,
        };
    }
    for (place, item) in items {
        let (Item::Link(to) | Item::HardLink(to)) = item else { continue };
        match (item, items.get(to)) {
            (Item::Link(_), Some(Item::File { .. } | Item::Directory)) => {
                draft.symbolic_link(&path(*place), &relative(&path(*place), &path(*to)))?;
            }
            (Item::HardLink(_), Some(Item::File { .. })) => {
                draft.hard_link(&path(*place), &path(*to))?;
            }
            _ => {}
        }
    }
    Ok(draft)
}

fn relative(from: &str, to: &str) -> String {
    let up = from.matches('/').count();
    format!("{}{to}", "../".repeat(up))
}

/// Puts items on a target that is no business of the package.
fn put(items: &BTreeMap<usize, Item>, root: &Path) -> Result<()> {
    fs::create_dir_all(root)?;
    for (place, item) in items {
        let path = root.join(path(*place));
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        match item {
            Item::Directory => fs::create_dir_all(&path)?,
            Item::File { content: number, mode, .. } => {
                fs::write(&path, content(*number))?;
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
            }
            Item::Link(to) => symlink(format!("{to}"), &path)?,
            Item::HardLink(_) => {}
        }
    }
    Ok(())
}

fn run(package: &Path, root: &Path, action: &[&str], may_refuse: bool) -> Result<bool> {
    let before = Tree::read(root)?;
    let ended = Run::new(package, root, action).end();
    match ended.code {
        Some(0) => Ok(true),
        Some(23) if may_refuse => {
            let difference = before.difference(&Tree::read(root)?);
            ensure!(difference.is_empty(), "refused, and yet:\n{difference}");
            Ok(false)
        }
        _ => anyhow::bail!("{action:?}: {ended:?}"),
    }
}

/// A second run changes nothing; it would be killed at its first change.
fn needs_nothing(package: &Path, root: &Path) -> Result<()> {
    let ended = Run::new(package, root, &["--install"]).set("KILL_AT", 1).end();
    ensure!(ended.code == Some(0) && ended.text.contains("installed already"), "{ended:?}");
    Ok(())
}

/// What came of one case.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    installed: u32,
    upgraded: u32,
    refused: u32,
}

fn case(prior: &BTreeMap<usize, Item>, one: &BTreeMap<usize, Item>, two: &BTreeMap<usize, Item>) -> Result<Seen> {
    let scratch = directory()?;
    let (root, first, second) =
        (scratch.path().join("root"), scratch.path().join("x.run"), scratch.path().join("y.run"));
    put(prior, &root)?;
    let before = Tree::read(&root)?;
    package(one, "1")?.write(&first)?;
    package(two, "2")?.write(&second)?;
    let mut seen = Seen::default();
    if !run(&first, &root, &["--install", "--replace"], true)? {
        return Ok(Seen { refused: 1, ..seen });
    }
    seen.installed = 1;
    needs_nothing(&first, &root)?;
    if run(&second, &root, &["--install", "--replace"], true)? {
        seen.upgraded = 1;
        needs_nothing(&second, &root)?;
    } else {
        seen.refused = 1;
    }
    // Where both packages were refused, there is nothing to uninstall.
    let ended = Run::new(&second, &root, &["--uninstall"]).end();
    ensure!(ended.is_done(), "{ended:?}");
    let difference = before.difference(&Tree::read(&root)?);
    ensure!(difference.is_empty(), "an uninstallation does not lead back:\n{difference}");
    Ok(seen)
}

#[test]
fn every_way_there_leads_back() -> Result<()> {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let total = std::cell::Cell::new(Seen::default());
    TestRunner::new(config).run(&(items(), items(), items()), |(prior, one, two)| {
        let seen = case(&prior, &one, &two).map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        let sum = total.get();
        total.set(Seen {
            installed: sum.installed + seen.installed,
            upgraded: sum.upgraded + seen.upgraded,
            refused: sum.refused + seen.refused,
        });
        Ok(())
    })?;
    println!("{cases} random cases: {:?}", total.get());
    ensure!(total.get().upgraded > cases / 10, "hardly anything was installed");
    Ok(())
}
