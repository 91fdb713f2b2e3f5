//! The stub that ships and the one that tests are quick with do the same, to the last byte of what they say and leave; the one
//! that ships is small.
//! What they do is tested everywhere else.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e::scenario::{Scenario, package, sample};
use e2e::tree::Tree;
use payload::Package;
use serde_json::Value;

/// A package, and the stub that its builder put in front of it, as a program of its own.
struct Made {
    scenario: Scenario,
    run: PathBuf,
    stub: PathBuf,
    /// What it states, without the stub.
    index: Value,
}

impl Made {
    fn new(scenario: Scenario) -> Result<Self> {
        let run = sample::build(&scenario)?;
        let opened = Package::open(File::open(&run)?, &payload::Trust::nobody())?;
        let mut index: Value = serde_json::from_slice(&opened.index_json()?)?;
        index["build"]["stub"] = Value::Null;
        index["total_length"] = Value::Null;
        // The bill of materials names the stub's digest.
        if let Some(documents) = index["documents"].as_array_mut() {
            documents.retain(|document| document["name"] != "sbom.cdx.json");
        }
        let stub = scenario.write("stub", opened.stub()?)?;
        fs::set_permissions(&stub, fs::Permissions::from_mode(0o755))?;
        Ok(Self { scenario, run, stub, index })
    }

    /// Every action on `shared` and on a damaged copy of it: what was typed, the exit code, both streams, and the target.
    fn tour(&self, shared: &Path) -> Result<Vec<(String, String, Tree)>> {
        let root = self.scenario.target("root")?;
        let damaged = self.scenario.path("damaged.run");
        fs::copy(shared, &damaged)?;
        let end = fs::metadata(&damaged)?.len();
        File::options().write(true).open(&damaged)?.write_all_at(b"damage", end / 2)?;
        let mut seen = Vec::new();
        let mut go = |payload: &Path, typed: &str| -> Result<()> {
            let (root_text, payload) = (root.to_str().context("UTF-8")?, payload.to_str().context("UTF-8")?);
            let mut arguments = vec!["--payload", payload, "--root", root_text];
            arguments.extend(typed.split_whitespace());
            let outcome = package(&self.stub, &arguments)?;
            let mut said = without_surroundings(&outcome.to_string(), &self.scenario.path(""))?;
            for receipt in RECEIPTS.map(|receipt| root.join(receipt)) {
                if receipt.exists() {
                    said.push_str(&without_stat(serde_json::from_slice(&fs::read(&receipt)?)?).to_string());
                }
            }
            let tree = RECEIPTS.iter().fold(Tree::read(&root)?, |tree, receipt| tree.without(receipt));
            seen.push((typed.to_owned(), said, tree));
            Ok(())
        };
        for typed in BEFORE {
            go(shared, typed)?;
        }
        for typed in ["--verify", "--list", "--dry-run", "--install", "--install --json"] {
            go(&damaged, typed)?;
        }
        for typed in AFTER {
            go(shared, typed)?;
        }
        fs::write(root.join("opt/ollama/share/notes.txt"), "the administrator's own\n")?;
        for typed in CHANGED {
            go(shared, typed)?;
        }
        Ok(seen)
    }
}

/// Of what is installed, and of what an uninstallation left.
const RECEIPTS: [&str; 2] =
    ["var/lib/airgap-deploy/sample/receipt.json", "var/lib/airgap-deploy/sample/leftovers.json"];

/// Inodes and times are those of the one installation.
fn without_stat(mut receipt: Value) -> Value {
    for entries in ["files", "links"] {
        for entry in receipt[entries].as_array_mut().into_iter().flatten() {
            entry.as_object_mut().map(|entry| entry.remove("stat"));
        }
    }
    receipt
}

const BEFORE: [&str; 11] = [
    "",
    "--help",
    "--version",
    "--no-such-option",
    "--list",
    "--list --json",
    "--dry-run",
    "--dry-run --json",
    "--dry-run --verbose",
    "--verify",
    "--verify --json",
];
const AFTER: [&str; 7] =
    ["--status", "--install", "--install", "--status", "--status --json", "--recover", "--dry-run"];
const CHANGED: [&str; 6] =
    ["--status", "--install", "--uninstall", "--uninstall --purge", "--install --json", "--uninstall --json"];

/// Where the test happens to be, and how much space others leave it.
fn without_surroundings(said: &str, directory: &Path) -> Result<String> {
    let directory = directory.to_str().context("UTF-8")?.trim_end_matches('/');
    let lines = said.replace(directory, "HERE");
    Ok(lines.lines().map(without_space).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"))
}

fn without_space(line: &str) -> String {
    if let Some((what, _)) = line.split_once(", ").filter(|_| line.starts_with("Disk space: ")) {
        return what.to_owned();
    }
    // How long it took, and which of the threads came first.
    if let Some((what, _)) = line.split_once(" in ").filter(|_| line.starts_with("placed: ")) {
        return what.to_owned();
    }
    match serde_json::from_str::<Value>(line) {
        Ok(document) if document["event"] == "staged" => String::new(),
        Ok(mut document) if document.get("space").or(document.get("seconds")).is_some() => {
            for differs in ["space", "seconds"] {
                document[differs] = Value::Null;
            }
            document.to_string()
        }
        _ => line.to_owned(),
    }
}

#[test]
fn the_quick_stub_does_what_the_shipped_one_does() -> Result<()> {
    let (quick, shipped) = (Made::new(Scenario::new()?)?, Made::new(Scenario::new()?.shipped())?);
    assert_ne!(fs::read(&quick.stub)?, fs::read(&shipped.stub)?, "there is nothing to compare");
    assert_eq!(quick.index, shipped.index);
    let (one, other) = (quick.tour(&shipped.run)?, shipped.tour(&shipped.run)?);
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one.0, other.0);
        assert_eq!(one.1, other.1, "{}", one.0);
        let difference = other.2.difference(&one.2);
        assert!(difference.is_empty(), "{}:\n{difference}", one.0);
    }
    assert_eq!(one.len(), other.len());
    Ok(())
}

/// What a package may be longer than its content: so much, and the two-thousandth part of that.
const OVERHEAD: u64 = 5 << 19;

#[test]
fn a_package_is_hardly_longer_than_its_content() -> Result<()> {
    let scenario = Scenario::new()?.shipped();
    let run = scenario.build(
        "[package]\nname = \"short\"\nversion = \"1\"\n[install]\nprefix = \"/opt/short\"\n[[components]]\n\
         type = \"config-file\"\nname = \"note\"\ncontent = \"short\"\ninstall_path = \"note\"\n",
    )?;
    let package = Package::open(File::open(&run)?, &payload::Trust::nobody())?;
    let stored: u64 = package.index().blobs.iter().map(|blob| blob.stored_size).sum();
    let beside = fs::metadata(&run)?.len() - stored;
    println!("{beside} bytes beside the content, of which the stub has {}", package.index().build.stub.size);
    assert!(beside <= OVERHEAD + stored / 2000, "{beside} bytes beside {stored} of content");
    Ok(())
}
