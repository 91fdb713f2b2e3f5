//! A model below the root of a target: the store as Ollama wants it, without a second copy, and what the package shows
//! of it. The documents themselves are tested in the builder; that Ollama answers from them, in the acceptance.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use e2e::scenario::outcome::run;
use e2e::scenario::tree::{Kind, Tree, digest};
use e2e::scenario::{Scenario, gguf, package, package_below, sample};
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
        assert_eq!(status.stderr.contains("move away"), is_away(one) || is_away(other), "{}", case());
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

/// A package of all models, from which each target chooses: `a` and `b` share their weights and what is said about them.
fn choice(scenario: &Scenario, version: &str) -> Result<std::path::PathBuf> {
    let mut manifest = format!(
        "{}{}",
        sample::HEAD.replace("1.2.3", version),
        "[[components]]\ntype = \"config-file\"\nname = \"notes\"\ncontent = \"n\"\ninstall_path = \"share/notes\"\n"
    );
    for (name, weights) in [("a", "shared"), ("b", "shared"), ("c", "own")] {
        scenario.write(&format!("inputs/{weights}.gguf"), gguf::noise(weights, 1 << 16))?;
        let component = format!(
            "[[components]]\ntype = \"model-file\"\nname = \"{name}\"\nrequired = false\nlicense = \"For {weights}.\"\n\
             source = {{ type = \"file\", path = \"inputs/{weights}.gguf\" }}\ninstall_path = \"models/{name}.gguf\"\n"
        );
        manifest.push_str(&component);
    }
    let manifest = scenario.write("AirGapDeploy.toml", manifest)?;
    let output = scenario.path(&format!("choice-{version}.run"));
    let include = ["--include", "a", "--include", "b", "--include", "c"];
    run(scenario.builder()?.arg("--manifest").arg(manifest).arg("--output").arg(&output).args(include))?.exits(0)?;
    Ok(output)
}

/// The names of models and weights below the store; its blobs are those that the models name. A directory of a model that
/// went stays, as at every upgrade.
fn standing(root: &Path, foreign: usize) -> Result<Vec<String>> {
    let tree = Tree::of(&root.join(STORE))?;
    let paths: Vec<&str> = tree.0.keys().filter_map(|path| path.to_str()).filter(|path| !path.is_empty()).collect();
    let mut needed = BTreeSet::new();
    for manifest in paths.iter().filter(|path| path.ends_with("/latest")) {
        let manifest = read_json(&root.join(STORE).join(manifest))?;
        let layers = manifest["layers"].as_array().context("no layers")?;
        for entry in layers.iter().chain([&manifest["config"]]) {
            needed.insert(blob(root, entry)?);
        }
    }
    let (blobs, names): (Vec<&str>, Vec<&str>) = paths.into_iter().partition(|path| path.starts_with("blobs/"));
    assert!(needed.iter().all(|path| path.exists()), "a blob is missing: {needed:?}");
    assert_eq!(blobs.len(), needed.len() + foreign, "blobs that no model needs: {blobs:?}");
    let store = "manifests/registry.ollama.ai/library/";
    let names = names.iter().map(|path| path.strip_prefix(store).unwrap_or(path));
    let names = names.filter(|path| path.ends_with("/latest") || path.contains(".gguf"));
    Ok(names.map(str::to_owned).collect())
}

#[test]
fn a_target_gets_the_models_that_it_chose_and_nothing_of_the_others() -> Result<()> {
    let scenario = Scenario::new()?;
    let (one, two) = (choice(&scenario, "1")?, choice(&scenario, "2")?);
    let root = scenario.target("root")?;
    let act = |run: &Path, options: &[&str]| package_below(run, &root, options)?.exits(0);
    let holds = |names: &[&str], foreign: usize| -> Result<()> {
        let (mut expected, mut found) = (names.to_vec(), standing(&root, foreign)?);
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        Ok(())
    };
    let plan = act(&one, &["--dry-run", "--json", "--include", "b"])?.json()?;
    let whole = act(&one, &["--dry-run", "--json"])?.json()?;
    let needed = |plan: &Value| plan["space"][0]["needed"].as_u64().unwrap_or(0);
    assert!(needed(&plan) + (1 << 16) <= needed(&whole), "what is left out is counted: {plan} {whole}");
    let installed = act(&one, &["--install", "--include", "b", "--json"])?.json()?;
    assert_eq!(installed["optional"]["included"], serde_json::json!(["b"]), "{installed:#}");
    // The weights are a file of `a` in the package: nothing of it is there by name.
    let of_b = ["b.gguf", "b/latest"];
    holds(&of_b, 0)?;
    let optional = |options: &[&str]| -> Result<Value> { Ok(act(&one, options)?.json()?["optional"].clone()) };
    let chosen = serde_json::json!({"rule": "include", "names": ["b"], "included": ["b"], "left_out": ["a", "c"]});
    assert_eq!(optional(&["--status", "--json"])?, chosen);
    act(&one, &["--status"])?.says("Optional components: b; left out: a, c")?;

    // What was chosen stays chosen, for this package and the next one.
    let again = act(&one, &["--install", "--json"])?.json()?;
    assert_eq!((&again["changed"], &again["optional"]), (&Value::Bool(false), &chosen));
    act(&two, &["--dry-run"])?.says("left out: a, c; --include all installs everything")?;
    act(&two, &["--install"])?;
    holds(&of_b, 0)?;

    // Another choice adds and removes as an upgrade does; what was not the package's stays.
    scenario.write(&format!("root/{STORE}/blobs/sha256-{}", "1".repeat(64)), "of somebody else")?;
    act(&two, &["--install", "--exclude", "b"])?;
    holds(&["a.gguf", "a/latest", "c.gguf", "c/latest"], 1)?;
    act(&two, &["--status"])?.says("Optional components: a, c; left out: b")?;
    // The weights that `a` and `b` share stand there under other names, and are not written again.
    act(&two, &["--install", "--include", "b"])?;
    let plan = act(&two, &["--dry-run", "--json", "--include", "a,b"])?.json()?;
    let steps = plan["steps"].as_array().context("no steps")?;
    let large = |step: &Value| step["action"] == "place-file" && step["size"].as_u64() >= Some(1 << 16);
    assert!(!steps.is_empty() && !steps.iter().any(large), "what stands there is written again: {plan}");
    act(&two, &["--install", "--include", "a,b"])?;
    holds(&["a.gguf", "a/latest", "b.gguf", "b/latest"], 1)?;
    act(&two, &["--install", "--include", "none", "--verify-installed"])?;
    holds(&[], 1)?;
    assert!(root.join("opt/ollama/share/notes").exists(), "what is required went, too");
    act(&two, &["--install", "--include", "all"])?;
    holds(&["a.gguf", "a/latest", "b.gguf", "b/latest", "c.gguf", "c/latest"], 1)?;

    let before = Tree::of(&root)?;
    let refused = |options: &[&str], says: &str| package_below(&two, &root, options)?.exits(2)?.says(says);
    refused(&["--install", "--include", "a,d"], "no component called \"d\"")?
        .says("its optional components: a, b, c")?;
    refused(&["--dry-run", "--exclude", "notes"], "\"notes\" is required")?;
    refused(&["--install", "--include", "a", "--exclude", "b"], "cannot be used with")?;
    refused(&["--verify", "--include", "a"], "cannot be used with")?;
    before.equals(&Tree::of(&root)?)?;
    package_below(&two, &root, &["--uninstall"])?.exits(32)?;
    holds(&[], 1)
}
