//! For every rule a change of an honest index that is refused, and for every limit one that is still accepted.
//! What is done with the machine is tested with the real programs.

mod honest;
mod places;

use std::cell::{Cell, RefCell};

use super::check;
use super::lookalikes;
use crate::format::index::{Component, Document, Elf, Encoding, File, Index, Link, LinkKind, OnlyFor, Role};
use crate::{CHUNK_SIZE, Digest, Owner};
use honest::{add, directory, file, good, owner, raw, symbolic};

thread_local! {
    /// What was refused by the cases that ran on this thread.
    static REFUSALS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// How many were accepted.
    static ACCEPTED: Cell<usize> = const { Cell::new(0) };
}

fn refusal(change: impl FnOnce(&mut Index)) -> Option<String> {
    let mut index = good();
    change(&mut index);
    let problem = check(&index).err().map(|error| error.to_string());
    match &problem {
        Some(problem) => REFUSALS.with_borrow_mut(|refusals| refusals.push(problem.clone())),
        None => ACCEPTED.set(ACCEPTED.get() + 1),
    }
    problem
}

#[track_caller]
fn refused(says: &str, change: impl FnOnce(&mut Index)) {
    let problem = refusal(change).expect("it was accepted");
    assert!(problem.contains(says), "it says: {problem}");
}

#[track_caller]
fn accepted(change: impl FnOnce(&mut Index)) {
    assert_eq!(refusal(change), None);
}

/// One of each kind of what cannot be seen: separators, format characters, fillers, variation selectors, tags.
const HIDDEN: &str =
    "\u{7f}\u{85}\u{a0}\u{ad}\u{200b}\u{2028}\u{2029}\u{202e}\u{3164}\u{fe0f}\u{feff}\u{e0041}\u{e007f}";

/// All cases: a rule that none of them meets is found by [`every_rule_has_a_case`].
const CASES: [fn(); 14] = [
    an_honest_index_is_accepted,
    paths_stand_once_below_directories_that_are_listed_before_them,
    paths_can_be_seen,
    entries_are_counted,
    links_lead_to_something_inside,
    a_chain_of_links_is_followed_as_the_kernel_does,
    chains_of_links_have_a_limit,
    contents_belong_to_files_and_files_have_content,
    sizes_have_limits,
    documents_begin_with_the_manifest,
    units_lie_where_systemd_reads_them,
    texts_can_be_seen,
    whatever_is_left_out_the_rest_fits_together,
    places::cases,
];

#[test]
fn an_honest_index_is_accepted() {
    accepted(|_| ());
    accepted(|index| index.install.account = None);
    for path in ["usr/local/bin/tool", "etc/cron.d/x", "usr/bin/tool", "srv/x/data", "usr/lib/udev/rules.d/9.rules"] {
        accepted(|index| add(index, path, Role::Config));
    }
}

#[test]
fn paths_stand_once_below_directories_that_are_listed_before_them() {
    accepted(|index| index.links.push(symbolic("opt/x/bin/y", "x")));
    accepted(|index| index.directories.push(directory("opt/x/y")));
    refused("listed twice", |index| index.directories.push(directory("opt/x")));
    refused("listed twice", |index| index.files.insert(0, index.files[0].clone()));
    refused("listed twice", |index| index.links.push(symbolic("opt/x/bin/x", "l.so")));
    refused("listed twice", |index| index.links.push(index.links[0].clone()));
    refused("not listed before it", |index| index.directories.retain(|entry| entry.path.as_str() != "opt"));
    refused("not listed before it", |index| index.directories.reverse());
    refused("not listed before it", |index| index.links.push(symbolic("opt/x/none/l", "../bin")));
    refused("which is no directory", |index| index.files.push(file("opt/x/bin/x/y", b"unit", Role::Unit)));
    refused("which is no directory", |index| index.links.push(symbolic("opt/x/lib/l.so/y", "l.so.1")));
    refused("not listed before it", |index| index.files.push(file("opt/x/lib/l.so/y", b"unit", Role::Unit)));
}

#[test]
fn paths_can_be_seen() {
    for path in HIDDEN.chars().map(|hidden| format!("opt/x/a{hidden}b")) {
        // Control characters are no path at all.
        let Ok(path) = path.parse::<crate::RelPath>() else { continue };
        refused("cannot be seen", |index| index.directories.push(directory(path.as_str())));
        refused("cannot be seen", |index| index.files.push(file(path.as_str(), b"unit", Role::Unit)));
        refused("cannot be seen", |index| index.links.push(symbolic(path.as_str(), "bin")));
    }
    for name in ["Modèle", "Mode\u{300}le", "模型", "with space", "🦙", "-x", "$(x)", "\\", "\"", "a\u{301}\u{302}"]
    {
        accepted(|index| add(index, &format!("opt/x/{name}/{name}"), Role::Unit));
    }
}

#[test]
fn entries_are_counted() {
    let filled = |index: &mut Index, count: usize| {
        let there = index.directories.len() + index.files.len() + index.links.len();
        index.directories.extend((there..count).map(|n| directory(&format!("opt/x/{n}"))));
    };
    accepted(|index| filled(index, 10_000));
    refused("10001 directories, files and links", |index| filled(index, 10_001));
    // Of whatever kind the one too many is.
    refused("10001", |index| {
        filled(index, 10_000);
        index.files.push(file("opt/x/y", b"unit", Role::Unit));
    });
    refused("10001", |index| {
        filled(index, 10_000);
        index.links.push(symbolic("opt/x/y", "bin"));
    });
}

#[test]
fn links_lead_to_something_inside() {
    let change = |target: &'static str| refusal(move |index| index.links.push(symbolic("opt/x/bin/s", target)));
    for good in ["x", "l.so", "../lib/l.so.1", "..", "../bin", "../../x", "../../../opt/x/bin"] {
        assert_eq!(change(good), None, "{good}");
    }
    for bad in [
        "/etc/passwd",
        "/opt/x/bin/x",
        "../../../etc",
        "../../../../etc",
        "../..",
        "nothing",
        "",
        ".",
        "./x",
        "x/",
        "a//b",
        "../lib/../bin/x",
        "s",
        "x/..",
        "X",
        "x ",
        "\0",
        "x\0",
        "x\u{200b}",
    ] {
        assert!(change(bad).is_some(), "{bad:?} was accepted");
    }
    refused("not in the package's prefix", |index| index.links.push(symbolic("etc/l", "systemd")));
    let hard = |index: &mut Index, to: &str, owner: Owner| {
        let kind = LinkKind::Hard { to: to.parse().unwrap() };
        index.links.push(Link { path: "opt/x/h".parse().unwrap(), kind, owner, only_for: OnlyFor::everybody() });
    };
    accepted(|index| hard(index, "opt/x/bin/x", Owner::root()));
    refused("another owner", |index| hard(index, "opt/x/bin/x", owner("x", "root")));
    refused("another owner", |index| hard(index, "opt/x/bin/x", owner("root", "x")));
    for to in ["opt/x/bin", "opt/x/lib/l.so", "opt/x/models/n", "etc/passwd"] {
        refused("no file of the package", |index| hard(index, to, Owner::root()));
    }
}

#[test]
fn a_chain_of_links_is_followed_as_the_kernel_does() {
    accepted(|index| {
        index.directories.push(directory("opt/x/a"));
        index.directories.push(directory("opt/x/a/b"));
        index.links.push(symbolic("opt/x/a/l", "b"));
        index.links.push(symbolic("opt/x/a/s", "../a/l"));
    });
    refused("not relative and normalised", |index| {
        index.directories.push(directory("opt/x/a"));
        index.directories.push(directory("opt/x/a/b"));
        index.links.push(symbolic("opt/x/a/b/l", "../.."));
        index.links.push(symbolic("opt/x/a/b/s", "l/../../etc/shadow"));
    });
    refused("which is not in the package's prefix", |index| {
        index.links.push(symbolic("opt/x/up", "."));
        index.links[3] = symbolic("opt/x/lib/s", "../lib/l.so/x");
    });
    refused("leads to itself", |index| {
        index.links.push(symbolic("opt/x/a", "b"));
        index.links.push(symbolic("opt/x/b", "a"));
    });
    refused("leads to itself", |index| {
        index.links.push(symbolic("opt/x/a", "b"));
        index.links.push(symbolic("opt/x/b", "c"));
        index.links.push(symbolic("opt/x/c", "b"));
    });
}

#[test]
fn chains_of_links_have_a_limit() {
    let chain = |index: &mut Index, length: usize| {
        index.links.push(symbolic("opt/x/c1", "bin"));
        let links = (2..=length).map(|n| symbolic(&format!("opt/x/c{n}"), &format!("c{}", n - 1)));
        index.links.extend(links);
    };
    accepted(|index| chain(index, 8));
    refused("over more than 8 links", |index| chain(index, 9));
    // However they are listed, and however many others there are.
    refused("over more than 8 links", |index| {
        chain(index, 9);
        index.links.reverse();
    });
    accepted(|index| {
        chain(index, 8);
        index.links.extend((0..500).map(|n| symbolic(&format!("opt/x/o{n}"), "bin")));
        index.links.reverse();
    });
}

#[test]
fn contents_belong_to_files_and_files_have_content() {
    refused("does not have", |index| index.files.push(file("opt/x/y", b"other", Role::Unit)));
    refused("belongs to no file", |index| index.blobs.push(raw(b"other")));
    refused("listed twice", |index| index.blobs.push(raw(b"unit")));
    accepted(|index| index.files.push(file("opt/x/y", b"unit", Role::Unit)));
    refused("two sizes differ", |index| index.blobs[0].size += 1);
    refused("its only chunk", |index| index.blobs[0].chunks = vec![Digest::of(b"other")]);
    refused("its only chunk", |index| {
        // Of an empty one, the digest of nothing.
        index.files.push(file("opt/x/y", b"not nothing", Role::Unit));
        index.blobs.push(raw(b"not nothing"));
        (index.blobs[5].size, index.blobs[5].stored_size, index.blobs[5].chunks) = (0, 0, Vec::new());
    });
    accepted(|index| {
        index.files.push(file("opt/x/y", b"", Role::Unit));
        index.blobs.push(raw(b""));
        index.blobs[5].chunks.clear();
    });
    refused("does not exist", |index| index.files[0].component = 1);
    refused("does not exist", |index| index.files[0].component = usize::MAX);
    refused("order of installation", |index| index.files.reverse());
}

#[test]
fn sizes_have_limits() {
    let xz = |index: &mut Index, size: u64| (index.blobs[0].encoding, index.blobs[0].size) = (Encoding::Xz, size);
    let others: u64 = good().blobs.iter().skip(1).map(|blob| blob.size).sum();
    accepted(|index| xz(index, (1 << 50) - others));
    refused("its blobs are impossibly large", |index| xz(index, (1 << 50) - others + 1));
    for size in [(1 << 50) + 1, u64::MAX] {
        refused("is impossibly large", |index| xz(index, size));
        refused("is impossibly large", |index| index.blobs[0].stored_size = size);
    }
    refused("its blobs are impossibly large", |index| {
        for blob in &mut index.blobs {
            (blob.encoding, blob.size) = (Encoding::Xz, 1 << 49);
        }
    });
    let stored = |index: &mut Index, size: u64, chunks: usize| {
        let blob = &mut index.blobs[0];
        (blob.encoding, blob.size, blob.stored_size) = (Encoding::Xz, size, size);
        blob.chunks = vec![Digest::of(b"one"); chunks];
    };
    for (size, chunks) in [(1, 1), (CHUNK_SIZE, 1), (CHUNK_SIZE + 1, 2), (2 * CHUNK_SIZE, 2)] {
        accepted(|index| stored(index, size, chunks));
        refused("chunks for", |index| stored(index, size, chunks + 1));
        refused("chunks for", |index| stored(index, size, chunks - 1));
    }
}

#[test]
fn documents_begin_with_the_manifest() {
    let document = |name: &str| Document { name: name.parse().unwrap(), size: 1, digest: Digest::of(b"d") };
    accepted(|index| index.documents.push(document("LICENSES/ollama+x")));
    accepted(|index| index.documents.push(document(&"d".repeat(100))));
    refused("first document", |index| index.documents.clear());
    refused("first document", |index| index.documents.insert(0, document("sbom.cdx.json")));
    refused("first document", |index| index.build.manifest = Digest::of(b"other"));
    refused("listed twice", |index| index.documents.push(document("manifest.toml")));
    let long = "d".repeat(101);
    for name in ["index.json", "index.json.minisig", "index.json.sha256", "blobs/x", "blobs", "a b", "ü", "a\\b", &long]
    {
        refused("no document has", |index| index.documents.push(document(name)));
    }
    accepted(|index| index.documents[0].size = 4 << 20);
    refused("larger than", |index| index.documents[0].size = (4 << 20) + 1);
}

#[test]
fn units_lie_where_systemd_reads_them() {
    let unit_at = |path: &str| {
        let path = path.to_owned();
        move |index: &mut Index| {
            add(index, &path, Role::Unit);
            index.units[0].path = path.parse().unwrap();
            index.units[0].name = path.rsplit_once('/').unwrap().1.to_owned();
            index.units[0].drop_in = None;
        }
    };
    for directory in
        ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system", "usr/local/lib/systemd/system"]
    {
        accepted(unit_at(&format!("{directory}/y@1.timer")));
    }
    for directory in ["opt/x", "etc/systemd/system/y.service.d", "usr/lib/systemd/user", "etc/systemd"] {
        refused("not in a directory", unit_at(&format!("{directory}/y.service")));
    }
    for name in ["x;touch pwn;.service", "-x.service", "x", "x.conf", "ü.service", "a b.service"] {
        refused("not the name of a systemd unit", unit_at(&format!("etc/systemd/system/{name}")));
    }
    refused("not in a directory", |index| index.units[0].name = "y.service".to_owned());
    refused("not in a directory", |index| index.units[0].path = "etc/systemd/system/none/x.service".parse().unwrap());
    refused("not in a directory", |index| {
        unit_at("etc/systemd/system/y.service")(index);
        for file in index.files.iter_mut().filter(|file| file.path.name() == "y.service") {
            file.role = Role::Config;
        }
        index.files.sort_by_key(|file| file.role);
    });
    for path in [
        "opt/x/bin/x",
        "etc/systemd/system/x.service",
        "etc/systemd/system/x.service.d/none.conf",
        "etc/systemd/system/y.service.d/10-x.conf",
    ] {
        refused("no drop-in", |index| index.units[0].drop_in = path.parse().ok());
    }
    refused("takes more memory", |index| index.models[0].memory = Some((1 << 50) + 1));
    refused("has no manifest", |index| index.models[0].manifest = "opt/x/bin/x".parse().unwrap());
    refused("has no manifest", |index| index.models[0].manifest = "opt/x/none".parse().unwrap());
}

/// Puts a text into an index.
type Set = fn(&mut Index, String);

#[test]
fn texts_can_be_seen() {
    accepted(|index| index.package.description = "d".repeat(4096));
    refused("description", |index| index.package.description = "d".repeat(4097));
    refused("description", |index| index.package.description.push('\n'));
    // Beside controls a description may hold what letters are joined with.
    accepted(|index| index.package.description = "Modell \u{2764}\u{fe0f}".to_owned());
    let source = |index: &mut Index, text: &str| text.clone_into(&mut index.components[0].sources[0].location);
    accepted(|index| source(index, &"s".repeat(4096)));
    refused("source", |index| source(index, &"s".repeat(4097)));
    let names: [(&str, Set); 5] = [
        ("version", |index, text| index.package.version = text),
        ("builder version", |index, text| index.build.builder_version = text),
        ("component", |index, text| index.components[0].name = text),
        ("model", |index, text| index.models[0].name = text),
        ("processor", |index, text| index.files[0].elf = Some(Elf { machine: text, glibc: None })),
    ];
    for (what, set) in names {
        accepted(|index| set(index, "n".repeat(256)));
        refused(what, |index| set(index, "n".repeat(257)));
        refused(what, |index| set(index, "ü".repeat(129)));
        refused(what, |index| set(index, String::new()));
        refused(what, |index| set(index, "a\nb".to_owned()));
        for hidden in HIDDEN.chars() {
            refused(what, |index| set(index, format!("a{hidden}b")));
            refused("source", |index| source(index, &format!("file:{hidden}")));
        }
    }
}

#[test]
fn names_that_look_alike_are_pointed_out() {
    let pairs = |paths: &[&str]| {
        let mut index = good();
        for path in paths {
            add(&mut index, path, Role::Unit);
        }
        assert!(check(&index).is_ok(), "each of them may be meant");
        lookalikes(&index).len()
    };
    assert_eq!(pairs(&["opt/x/Modèle", "opt/x/modèle", "opt/x/Modele"]), 0);
    assert_eq!(pairs(&["opt/x/\u{e9}", "opt/x/e\u{301}"]), 1, "composed and decomposed");
    assert_eq!(pairs(&["opt/x/\u{fb01}le", "opt/x/file"]), 1, "a ligature and its letters");
    assert_eq!(pairs(&["opt/x/\u{ff42}in/y"]), 1, "a directory in full width and one that is there");
    assert_eq!(pairs(&["opt/x/\u{212b}", "opt/x/\u{c5}", "opt/x/A\u{30a}"]), 2, "three names of one letter");
}

/// The sentences of a source file: texts of more than one word, outside of comments.
fn sentences(source: &str) -> Vec<String> {
    let lines = source.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#'));
    let texts = lines.flat_map(|line| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    texts.filter(|text| text.trim().contains(' ')).collect()
}

/// Whether a problem was said with this sentence, whatever was filled in.
fn is_said_by(sentence: &str, problem: &str) -> bool {
    let parts = sentence
        .split('{')
        .enumerate()
        .map(|(n, part)| if n == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) });
    let mut rest = problem;
    parts.into_iter().all(|part| {
        let found = rest.find(part);
        rest = found.map_or("", |at| &rest[at + part.len()..]);
        found.is_some()
    })
}

#[test]
fn every_rule_has_a_case() {
    let mut problems = Vec::new();
    for (number, case) in CASES.into_iter().enumerate() {
        case();
        let refused = REFUSALS.take();
        // The first case is the honest package.
        assert!(ACCEPTED.take() > 0 && (number == 0 || !refused.is_empty()), "case {number} shows one side only");
        problems.extend(refused);
    }
    let sources = [
        include_str!("contents.rs"),
        include_str!("entries.rs"),
        include_str!("links.rs"),
        include_str!("optional.rs"),
        include_str!("places.rs"),
        include_str!("texts.rs"),
        include_str!("units.rs"),
    ];
    let rules: Vec<String> = sources.into_iter().flat_map(sentences).collect();
    assert!(rules.len() > 30, "only {} rules were found in the sources", rules.len());
    let untried: Vec<&String> =
        rules.iter().filter(|rule| !problems.iter().any(|problem| is_said_by(rule, problem))).collect();
    assert!(untried.is_empty(), "no case is refused with {untried:#?}");
}

/// Two optional components, and a file of each beside the required one's.
fn with_options(index: &mut Index) {
    for name in ["a", "b"] {
        index.components.push(Component { name: name.to_owned(), required: false, ..index.components[0].clone() });
        add(index, &format!("opt/x/only/{name}"), Role::Config);
    }
    for directory in index.directories.iter_mut().filter(|entry| entry.path.as_str() == "opt/x/only") {
        directory.only_for = OnlyFor::of(vec![1, 2]);
    }
    for file in &mut index.files {
        let component = ["opt/x/only/a", "opt/x/only/b"].iter().position(|path| *path == file.path.as_str());
        if let Some(component) = component {
            (file.component, file.only_for) = (component + 1, OnlyFor::of(vec![component + 1]));
        }
    }
}

/// The same after a change of it.
fn options(change: impl FnOnce(&mut Index)) -> impl FnOnce(&mut Index) {
    move |index| {
        with_options(index);
        change(index);
    }
}

fn only_for<'a>(index: &'a mut Index, path: &str) -> &'a mut OnlyFor {
    let directories = index.directories.iter_mut().map(|entry| (&entry.path, &mut entry.only_for));
    let files = index.files.iter_mut().map(|entry| (&entry.path, &mut entry.only_for));
    directories.chain(files).find(|(found, _)| found.as_str() == path).unwrap().1
}

#[test]
fn whatever_is_left_out_the_rest_fits_together() {
    let to_a = |positions: Vec<usize>| {
        let only_for = OnlyFor::of(positions);
        options(|index| index.links.push(Link { only_for, ..symbolic("opt/x/l", "only/a") }))
    };
    let says = |path: &'static str, positions: Vec<usize>| {
        options(move |index| *only_for(index, path) = OnlyFor::of(positions))
    };
    accepted(options(|_| ()));
    // Shared: each of the two needs it.
    accepted(says("opt/x/only/a", vec![1, 2]));
    accepted(to_a(vec![1]));
    refused("that only/a is not there for", to_a(vec![1, 2]));
    refused("that only/a is not there for", to_a(Vec::new()));
    for positions in [vec![0], vec![3], vec![1, 1], vec![2, 1]] {
        refused("each once and in their order", says("opt/x/only", positions));
    }
    refused("the directory above it", says("opt/x/only", vec![1]));
    refused("the directory above it", says("opt/x/only/a", Vec::new()));
    refused("that it belongs to", says("opt/x/only/a", vec![2]));
    refused(
        "not there for the same components",
        options(|index| {
            let unit = |file: &&mut File| file.path.as_str() == "etc/systemd/system/x.service";
            let unit = index.files.iter_mut().find(unit).unwrap();
            (unit.component, unit.only_for) = (1, OnlyFor::of(vec![1]));
        }),
    );
    let called = |name: &'static str| options(move |index| name.clone_into(&mut index.components[1].name));
    accepted(called("c"));
    for name in ["all", "none"] {
        refused("can be called", called(name));
    }
    for name in ["b", "x"] {
        refused("as another component is", called(name));
    }
}
