//! Receipts and journals on a target that a newer installer, or nobody, wrote: refused with exit code 12, unchanged.
//! The frozen fixtures themselves are read in `stub/tests/formats.rs`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::crash::program::Run;
use e2e::crash::{directory, sample};
use e2e::tree::Tree;

const ON_JOURNALS: [&str; 3] = ["--install", "--recover", "--uninstall"];
const ON_RECEIPTS: [&str; 4] = ["--install", "--uninstall", "--dry-run", "--status"];

fn refused(name: &str, content: &[u8], actions: &[&str], expected: &str) -> Result<()> {
    let scratch = directory()?;
    let (root, run) = (scratch.path().join("root"), scratch.path().join("x.run"));
    sample::target(&root, false)?;
    sample::first(false)?.write(&run)?;
    ensure!(Run::new(&run, &root, &["--install"]).end().code == Some(0), "cannot install");
    fs::write(root.join("var/lib/airgap-deploy/demo").join(name), content)?;
    let before = Tree::read(&root)?;
    for action in actions {
        let ended = Run::new(&run, &root, &[action]).end();
        ensure!(ended.code == Some(12), "{name}, {action}: {ended:?}");
        ensure!(ended.text.contains(expected), "{name}, {action}: the text does not say {expected:?}: {ended:?}");
        let difference = before.difference(&Tree::read(&root)?);
        ensure!(difference.is_empty(), "{name}, {action}, and yet:\n{difference}");
    }
    Ok(())
}

fn fixture(name: &str) -> Result<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stub/tests/fixtures").join(name);
    fs::read(&path).with_context(|| format!("{}", path.display()))
}

#[test]
fn a_newer_receipt_is_left_to_the_newer_installer() -> Result<()> {
    refused("receipt.json", &fixture("receipt-v2.json")?, &ON_RECEIPTS, "use the newer installer")
}

#[test]
fn a_newer_journal_is_left_to_the_newer_installer() -> Result<()> {
    refused("journal", &fixture("journal-v2")?, &ON_JOURNALS, "use the newer installer")
}

#[test]
fn what_is_no_receipt_or_journal_is_not_acted_on() -> Result<()> {
    for content in [&b""[..], b"\n", b"{}", b"{}\n", b"null\n", b"\xff\xfe\n", b"{\"journal\":1,\"receipt\":1}\n"] {
        refused("journal", content, &ON_JOURNALS, "journal")?;
        refused("receipt.json", content, &ON_RECEIPTS, "receipt")?;
    }
    Ok(())
}

/// Bytes that no program takes for a package teach a fuzzer little.
#[test]
fn the_seed_of_the_fuzz_target_for_packages_is_one() -> Result<()> {
    let scratch = directory()?;
    let run = scratch.path().join("seed.run");
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/package");
    for name in ["sample", "sample-repaired"] {
        let seed = fs::read(seeds.join(name)).with_context(|| format!("{name} in {}", seeds.display()))?;
        let mut bytes = sample::first(false)?.program().to_vec();
        bytes.resize(4096, 0);
        bytes.extend(&seed[1..]);
        fs::write(&run, bytes)?;
        let ended = Run::new(&run, scratch.path(), &["--verify"]).end();
        ensure!(ended.code == Some(0), "{name}: {ended:?}");
    }
    Ok(())
}
