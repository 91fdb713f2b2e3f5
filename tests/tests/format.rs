//! The `.run` format as a third party sees it: taken apart with standard tools, and by the rules of docs/format.md.
//! What the product's own reader makes of it is tested in the crate `payload`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::docs::{Block, Typed, page};
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::tree::{Kind, Tree, digest};
use e2e::scenario::{Scenario, package, sample};
use serde_json::Value;

const FORMAT: &str = include_str!("../../docs/format.md");

/// What is typed in the document's session, and what is printed.
fn session() -> Result<Vec<Typed>> {
    Ok(page("docs/format.md")?.blocks.iter().flat_map(Block::typed).collect())
}

fn shell(directory: &Path, script: &str) -> Result<Outcome> {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(directory).stdin(Stdio::null());
    run(&mut command)
}

fn require_tools() -> Result<()> {
    for (tool, package) in [
        ("tail", "coreutils"),
        ("sha256sum", "coreutils"),
        ("tar", "tar"),
        ("xz", "xz-utils"),
        ("jq", "jq"),
        ("readelf", "binutils"),
    ] {
        let found = Command::new(tool).arg("--version").stdout(Stdio::null()).status();
        ensure!(found.is_ok_and(|status| status.success()), "the test needs {tool}, from the package {package}");
    }
    Ok(())
}

#[test]
fn the_documents_session_takes_a_package_apart_and_gets_every_file_back() -> Result<()> {
    require_tools()?;
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let work = scenario.directory("apart")?;
    fs::copy(&run, work.join("ollama-deploy.run"))?;
    let session = session()?;
    let commands: String = session.iter().flat_map(|typed| [&typed.command, "\n"]).collect();
    for tool in ["tail", "tar", "sha256sum", "jq", "xz"] {
        assert!(commands.contains(tool), "the session does without {tool}");
    }
    let runs_it = commands.lines().any(|line| line.starts_with("./") || line.starts_with("builder"));
    assert!(!runs_it, "it runs the product:\n{commands}");
    let said = shell(&work, &commands)?.exits(0)?;
    for typed in &session {
        assert!(typed.unsaid(&said.stdout).is_empty(), "the document promises {:?}: {said}", typed.printed);
    }

    // What the session rebuilt is what the package itself extracts: names, contents, links and modes.
    let extracted = scenario.path("extracted");
    package(&run, &["--extract", extracted.to_str().context("UTF-8")?])?.exits(0)?;
    let (rebuilt, extracted) = (Tree::of(&work.join("files"))?, Tree::of(&extracted)?);
    let seen = |tree: &Tree| -> Vec<(std::path::PathBuf, Kind, Option<u32>)> {
        let mode = |node: &e2e::scenario::tree::Node| matches!(node.kind, Kind::File(_)).then_some(node.mode);
        tree.0.iter().map(|(path, node)| (path.clone(), node.kind.clone(), mode(node))).collect()
    };
    assert_eq!(seen(&rebuilt), seen(&extracted), "{said}");
    let inode = |path| rebuilt.get(path).map(|node| node.inode);
    let index: Value = serde_json::from_slice(&fs::read(work.join("payload/index.json"))?)?;
    for link in index["links"].as_array().context("links")?.iter().filter(|link| link["hard"].is_string()) {
        let (path, to) = (link["path"].as_str().context("path")?, link["hard"].as_str().context("hard")?);
        assert!(inode(path).is_some() && inode(path) == inode(to), "{path} is no second name of {to}");
    }
    // And against the inputs, past the product altogether.
    for (path, input) in [
        ("opt/ollama/bin/ollama", "inputs/ollama/bin/ollama"),
        ("opt/ollama/models/llama2-7b.gguf", "inputs/llama2-7b.gguf"),
        ("opt/ollama/share/notes.txt", "inputs/notes.txt"),
    ] {
        assert_eq!(digest(&work.join("files").join(path))?, digest(&scenario.path(input))?, "{path}");
    }
    Ok(())
}

#[test]
fn members_lie_where_the_document_says() -> Result<()> {
    let scenario = Scenario::new()?;
    let bytes = fs::read(sample::build(&scenario)?)?;
    let number = |at: usize, length: usize| -> Result<usize> {
        let mut field = [0; 8];
        field[..length].copy_from_slice(bytes.get(at..at + length).context("short")?);
        Ok(usize::try_from(u64::from_le_bytes(field))?)
    };
    // e_shoff, e_shentsize and e_shnum: the stub's section header table is its end.
    let end = number(0x28, 8)? + number(0x3a, 2)? * number(0x3c, 2)?;
    let start = end.next_multiple_of(4096);
    assert!(bytes[end..start].iter().all(|byte| *byte == 0), "the padding is not zero");
    let (mut at, mut names, mut blobs) = (start, Vec::new(), 0);
    while bytes.get(at).is_some_and(|byte| *byte != 0) {
        assert_eq!(&bytes[at + 257..at + 265], b"ustar\x0000", "no ustar header at {at}");
        let text =
            |from: usize, length: usize| String::from_utf8_lossy(&bytes[at + from..at + from + length]).into_owned();
        let size = usize::from_str_radix(text(124, 11).trim_end_matches('\0'), 8)?;
        let kind = bytes[at + 156];
        for (from, length) in [(108, 7), (116, 7), (136, 11)] {
            assert_eq!(text(from, length).trim_matches('0'), "", "an owner or a time at {at}");
        }
        let data = at + 512;
        if kind == b'x' {
            let records = String::from_utf8_lossy(&bytes[data..data + size]).into_owned();
            assert!(records.contains(" comment="), "{records:?}");
        } else {
            assert_eq!(kind, b'0');
            let name = text(0, 100).trim_end_matches('\0').to_owned();
            if name.starts_with("blobs/") {
                assert_eq!(data % 4096, 0, "{name} starts at {data}");
                blobs += 1;
            }
            names.push(name);
        }
        at = (data + size).next_multiple_of(512);
    }
    assert_eq!(names[..4], ["index.json", "index.json.sha256", "manifest.toml", "sbom.cdx.json"]);
    let after = names[4..].iter().skip_while(|name| name.starts_with("LICENSES/"));
    assert!(blobs > 5 && after.clone().count() == blobs, "{names:?}");
    assert!(after.clone().all(|name| name.starts_with("blobs/sha256-")), "{names:?}");
    assert_eq!(bytes.len() - at, 1024, "more or less than two zero blocks at the end");
    assert!(bytes[at..].iter().all(|byte| *byte == 0));
    Ok(())
}

#[test]
fn both_encodings_and_several_chunks_are_in_the_sample() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let index = package(&run, &["--list", "--json"])?.exits(0)?.json()?;
    let blobs = index["blobs"].as_array().context("blobs")?;
    let of = |encoding: &str| blobs.iter().filter(|blob| blob["encoding"] == encoding).count();
    assert!(of("raw") > 0 && of("xz") > 0, "{blobs:#?}");
    assert!(blobs.iter().any(|blob| blob["chunks"].as_array().is_some_and(|chunks| chunks.len() > 1)));
    Ok(())
}

#[test]
fn every_key_of_the_index_is_in_the_document() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let index = package(&run, &["--list", "--json"])?.exits(0)?.json()?;
    let mut keys = Vec::new();
    collect_keys(&index, &mut keys);
    assert!(keys.len() > 40, "{keys:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !FORMAT.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/format.md says nothing of {missing:?}");
    Ok(())
}

fn collect_keys(value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
            collect_keys(value, keys);
        }),
        Value::Array(list) => list.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}
