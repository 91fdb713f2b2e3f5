//! A model below the root of a target: the store as Ollama wants it, without a second copy, and what the package shows
//! of it. The documents themselves are tested in the builder; that Ollama answers from them, in the acceptance.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use e2e::scenario::tree::{Kind, Tree, digest};
use e2e::scenario::{Scenario, package, package_below, sample};
use serde_json::Value;

const STORE: &str = "opt/ollama/models";

fn read_json(path: &Path) -> Result<Value> {
    serde_json::from_slice(&fs::read(path)?).with_context(|| path.display().to_string())
}

fn blob(root: &Path, layer: &Value) -> Result<std::path::PathBuf> {
    let digest = layer["digest"].as_str().context("no digest")?;
    Ok(root.join(STORE).join("blobs").join(digest.replace(':', "-")))
}

#[test]
fn a_gguf_is_registered_in_the_store_and_is_there_once() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    package_below(&run, &root, &["--install"])?.exits(0)?;

    let manifest = read_json(&root.join(STORE).join("manifests/registry.ollama.ai/library/llama2-7b/latest"))?;
    assert_eq!(manifest["schemaVersion"], 2);
    let layers = manifest["layers"].as_array().context("no layers")?;
    for entry in layers.iter().chain([&manifest["config"]]) {
        let path = blob(&root, entry)?;
        assert_eq!(digest(&path)?.to_string(), entry["digest"].as_str().context("no digest")?);
        assert_eq!(fs::metadata(&path)?.len(), entry["size"].as_u64().context("no size")?, "{}", path.display());
    }
    let of =
        |kind: &str| layers.iter().find(|layer| layer["mediaType"] == format!("application/vnd.ollama.image.{kind}"));
    let text = |kind: &str| -> Result<String> { Ok(fs::read_to_string(blob(&root, of(kind).context("no layer")?)?)?) };
    assert_eq!(text("system")?, "You answer briefly.");
    assert_eq!(text("license")?, "For tests.");
    assert!(text("template")?.contains("<|im_start|>"), "the chat template was not recognised");

    let weights = fs::metadata(blob(&root, of("model").context("no weights")?)?)?;
    let placed = fs::metadata(root.join(STORE).join("llama2-7b.gguf"))?;
    assert_eq!((weights.ino(), weights.dev(), weights.nlink()), (placed.ino(), placed.dev(), 2), "a second copy");
    assert_eq!(digest(&root.join(STORE).join("llama2-7b.gguf"))?, digest(&scenario.path("inputs/llama2-7b.gguf"))?);
    let blobs = fs::read_dir(root.join(STORE).join("blobs"))?.count();
    assert_eq!(blobs, layers.len() + 1, "blobs that no model needs");
    Ok(())
}

#[test]
fn list_shows_every_path_and_extract_writes_them_without_installing() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let listed = package(&run, &["--list"])?.exits(0)?.stdout;
    let root = scenario.target("root")?;
    package_below(&run, &root, &["--install"])?.exits(0)?;
    let out = scenario.path("extracted");
    package(&run, &["--extract", out.to_str().context("UTF-8")?])?.exits(0)?;

    let (extracted, installed) = (Tree::of(&out)?, Tree::of(&root)?);
    let mut files = 0;
    for (path, node) in extracted.0.iter().filter(|(_, node)| node.kind != Kind::Directory) {
        let path = path.to_str().context("UTF-8")?;
        assert!(listed.contains(&format!("/{path}")), "--list does not show {path}:\n{listed}");
        let twin = installed.get(path).with_context(|| format!("{path} is not installed"))?;
        assert_eq!((&twin.kind, twin.mode), (&node.kind, node.mode), "{path}");
        files += 1;
    }
    assert!(files > 10, "{listed}");
    let inode = |path: String| extracted.get(&path).map(|node| node.inode);
    let digest = digest(&scenario.path("inputs/llama2-7b.gguf"))?;
    let blob = inode(format!("{STORE}/blobs/{}", digest.blob_name()));
    assert!(blob.is_some() && blob == inode(format!("{STORE}/llama2-7b.gguf")), "--extract writes the model twice");
    let state = installed.get("var/lib/airgap-deploy/sample/receipt.json");
    assert!(state.is_some() && extracted.get("var").is_none(), "--extract keeps a receipt");
    Ok(())
}

#[test]
fn extract_into_a_directory_that_holds_something_is_refused() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let out = scenario.target("out")?;
    let before = Tree::of(&out)?;
    package(&run, &["--extract", out.to_str().context("UTF-8")?])?.exits(23)?.says("not empty")?;
    before.equals(&Tree::of(&out)?)
}

/// What somebody did to an installed model, which is one file with two names.
#[derive(Debug, Clone, Copy)]
enum Harm {
    OneByte,
    Shorter,
    FileRemoved,
    BlobRemoved,
    FileReplaced,
    BlobReplaced,
}

fn harm(harm: Harm, file: &Path, blob: &Path) -> Result<()> {
    let replace = |path: &Path| -> Result<()> {
        fs::remove_file(path)?;
        Ok(fs::write(path, "somebody else's")?)
    };
    match harm {
        Harm::OneByte => {
            let mut bytes = fs::read(file)?;
            bytes[4_500_000] ^= 1;
            fs::write(file, bytes)?;
        }
        Harm::Shorter => fs::File::options().write(true).open(file)?.set_len(1000)?,
        Harm::FileRemoved => fs::remove_file(file)?,
        Harm::BlobRemoved => fs::remove_file(blob)?,
        Harm::FileReplaced => replace(file)?,
        Harm::BlobReplaced => replace(blob)?,
    }
    Ok(())
}

/// Whether a file in one of the two directories has these bytes.
fn is_kept(bytes: &[u8], one: &Path, other: &Path) -> Result<bool> {
    for directory in [one.parent(), other.parent()].into_iter().flatten() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_file() && fs::read(path)? == bytes {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[test]
fn a_damaged_model_is_repaired_as_the_advice_says_and_is_one_file_again() -> Result<()> {
    use Harm::{BlobRemoved, BlobReplaced, FileRemoved, FileReplaced, OneByte, Shorter};
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let content = digest(&scenario.path("inputs/llama2-7b.gguf"))?;
    for how in [OneByte, Shorter, FileRemoved, BlobRemoved, FileReplaced, BlobReplaced] {
        let root = scenario.target(&format!("{how:?}"))?;
        package_below(&run, &root, &["--install"])?.exits(0)?;
        let file = root.join(STORE).join("llama2-7b.gguf");
        let blob = root.join(STORE).join("blobs").join(content.blob_name());
        harm(how, &file, &blob)?;
        let found: Vec<Vec<u8>> = [&file, &blob].into_iter().filter_map(|path| fs::read(path).ok()).collect();
        package_below(&run, &root, &["--status"])?.exits(23).with_context(|| format!("{how:?}"))?.says("--replace")?;
        package_below(&run, &root, &["--install", "--replace"])?.exits(0).with_context(|| format!("{how:?}"))?;
        package_below(&run, &root, &["--status"])?.exits(0).with_context(|| format!("{how:?}"))?;
        assert_eq!(fs::metadata(&file)?.ino(), fs::metadata(&blob)?.ino(), "{how:?}: the model is there twice");
        assert_eq!(digest(&file)?, content);
        for bytes in found {
            assert!(is_kept(&bytes, &file, &blob)?, "{how:?}: bytes of somebody else are lost");
        }
        package_below(&run, &root, &["--install"])?.exits(0)?.says("installed already")?;
    }
    Ok(())
}

/// What somebody made of one of the two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Nothing,
    Edited,
    Removed,
    Replaced,
    Copied,
    Link,
    Directory,
}

const ALL_MADE: [Made; 7] =
    [Made::Nothing, Made::Edited, Made::Removed, Made::Replaced, Made::Copied, Made::Link, Made::Directory];

fn make(made: Made, path: &Path, content: &[u8]) -> Result<()> {
    match made {
        Made::Nothing => return Ok(()),
        Made::Edited => {
            // What was a link or a directory by now is nothing that can be written into.
            let file = fs::OpenOptions::new().write(true).open(path)?;
            return Ok(std::os::unix::fs::FileExt::write_all_at(&file, b"edited", 64)?);
        }
        _ => fs::remove_file(path)?,
    }
    match made {
        Made::Replaced => fs::write(path, "another file")?,
        Made::Copied => fs::write(path, content)?,
        Made::Link => std::os::unix::fs::symlink("/nowhere", path)?,
        Made::Directory => fs::create_dir(path)?,
        Made::Nothing | Made::Edited | Made::Removed => {}
    }
    Ok(())
}

#[test]
fn whatever_was_made_of_its_two_names_the_advice_works() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let content = fs::read(scenario.path("inputs/llama2-7b.gguf"))?;
    let wanted = digest(&scenario.path("inputs/llama2-7b.gguf"))?;
    let installed = scenario.target("installed")?;
    package_below(&run, &installed, &["--install"])?.exits(0)?;
    for (one, other) in ALL_MADE.iter().flat_map(|one| ALL_MADE.iter().map(move |other| (*one, *other))) {
        let case = || format!("the file: {one:?}, the blob: {other:?}");
        let root = scenario.path("root");
        let _ = fs::remove_dir_all(&root);
        e2e::tree::copy(&installed, &root)?;
        let file = root.join(STORE).join("llama2-7b.gguf");
        let blob = root.join(STORE).join("blobs").join(wanted.blob_name());
        // An edit reaches both names, if the other one has not become another file before.
        make(one, &file, &content)?;
        make(other, &blob, &content)?;
        let right = [one, other].iter().all(|made| matches!(made, Made::Nothing | Made::Copied));
        let status = package_below(&run, &root, &["--status"])?.exits(if right { 0 } else { 23 }).with_context(case)?;
        let is_away = |made| matches!(made, Made::Link | Made::Directory);
        assert_eq!(status.stderr.contains("out of the way"), is_away(one) || is_away(other), "{}", case());
        for (made, path) in [(one, &file), (other, &blob)] {
            if is_away(made) {
                fs::rename(path, path.with_extension("away"))?;
            }
        }
        package_below(&run, &root, &["--install", "--replace"])?.exits(0).with_context(case)?;
        package_below(&run, &root, &["--status"])?.exits(0).with_context(case)?;
        assert_eq!(digest(&file)?, wanted, "{}", case());
        assert_eq!(digest(&blob)?, wanted, "{}", case());
        let one_file = fs::metadata(&file)?.ino() == fs::metadata(&blob)?.ino();
        assert!(one_file || right, "{}: the model is there twice", case());
    }
    Ok(())
}
