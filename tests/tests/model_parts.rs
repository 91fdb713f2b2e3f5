//! Models of several files, of several names, and of a Modelfile: the example of the manifest's reference, built, shown and
//! installed. What the layers hold is tested in the builder; that `ollama create` makes the same, in `modelfile.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use e2e::scenario::outcome::run;
use e2e::scenario::tree::digest;
use e2e::scenario::{Scenario, gguf, package_below};
use serde_json::Value;

const REFERENCE: &str = include_str!("../../docs/manifest.md");
const STORE: &str = "opt/ollama/models";

/// The fenced block of the reference that begins with `fence` and has `word` in it.
fn example(fence: &str, word: &str) -> Result<&'static str> {
    let blocks = REFERENCE.split(fence).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains(word)).last().with_context(|| format!("no example with {word:?}"))
}

/// The files that the example names, and its manifest.
fn written(scenario: &Scenario) -> Result<&'static str> {
    let weights = [("general.architecture", "llama"), ("general.type", "model")];
    let shape = [("llama.block_count", 2), ("llama.embedding_length", 64), ("llama.attention.head_count", 4)];
    let lora = [("general.architecture", "llama"), ("general.type", "adapter")];
    scenario.write("weights/inspector.gguf", gguf::small(&weights, &shape))?;
    scenario.write("weights/scratches-lora.gguf", gguf::small(&lora, &[]))?;
    let mmproj = [("general.architecture", "clip"), ("general.type", "mmproj")];
    scenario.write("weights/mmproj-inspector.gguf", gguf::small(&mmproj, &[]))?;
    scenario.write("helpdesk/Modelfile", example("```modelfile\n", "FROM")?)?;
    let manifest = example("```toml\n", "modelfile = ")?;
    scenario.write("m.toml", manifest)?;
    Ok(manifest)
}

fn manifest(root: &Path, name: &str) -> Result<Value> {
    let path = root.join(STORE).join("manifests/registry.ollama.ai").join(name);
    serde_json::from_slice(&fs::read(&path).with_context(|| path.display().to_string())?).context("no JSON")
}

fn layers(manifest: &Value) -> Vec<(String, String)> {
    let text = |layer: &Value, key: &str| layer[key].as_str().unwrap_or_default().to_owned();
    let of = |layer: &Value| {
        (text(layer, "mediaType").rsplit('.').next().unwrap_or_default().to_owned(), text(layer, "digest"))
    };
    manifest["layers"].as_array().into_iter().flatten().map(of).collect()
}

#[test]
fn the_example_of_the_reference_is_built_shown_and_installed() -> Result<()> {
    let scenario = Scenario::new()?;
    written(&scenario)?;
    run(scenario.builder()?.args(["check", "m.toml"]))?.exits(0)?.says("no errors, no warnings")?;
    run(scenario.builder()?.args(["lock", "m.toml"]))?.exits(0)?;
    let locked = fs::read_to_string(scenario.path("AirGapDeploy.lock"))?;
    for name in ["inspector", "inspector/adapter", "inspector/projector", "helpdesk"] {
        assert!(locked.contains(&format!("name = \"{name}\"")), "{name} is not pinned:\n{locked}");
    }
    run(scenario.builder()?.args(["--manifest", "m.toml", "--locked", "--output", "p.run"]))?.exits(0)?;
    let shown = run(scenario.builder()?.args(["inspect", "p.run"]))?.exits(0)?;
    for name in ["plant/inspector:1.0", "plant/inspector:latest", "helpdesk:latest"] {
        assert!(shown.stdout.contains(&format!("model {name}, about ")), "{shown}");
    }
    assert!(shown.stdout.contains("file:weights/scratches-lora.gguf"), "{shown}");

    let root = scenario.target("root")?;
    package_below(&scenario.path("p.run"), &root, &["--install"])?.exits(0)?;
    let (first, second) = (manifest(&root, "plant/inspector/1.0")?, manifest(&root, "plant/inspector/latest")?);
    assert_eq!(first, second, "two names of one model");
    let layers_of_it = layers(&first);
    let kinds: Vec<&str> = layers_of_it.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["model", "projector", "adapter"]);
    for ((_, of), file) in layers_of_it.iter().zip(["inspector", "mmproj-inspector", "scratches-lora"]) {
        assert_eq!(*of, digest(&scenario.path(&format!("weights/{file}.gguf")))?.to_string(), "{file}");
    }
    let helpdesk = manifest(&root, "library/helpdesk/latest")?;
    let others = layers(&helpdesk);
    let kinds: Vec<&str> = others.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["model", "system", "params", "messages"]);
    assert_eq!(others[0], layers_of_it[0], "the weights are there twice");

    // One blob for each content that a manifest names, and no other.
    let config = |manifest: &Value| manifest["config"]["digest"].as_str().unwrap_or_default().to_owned();
    let named: BTreeSet<String> = layers_of_it
        .into_iter()
        .chain(others)
        .map(|(_, digest)| digest)
        .chain([config(&first), config(&helpdesk)])
        .collect();
    let blobs = fs::read_dir(root.join(STORE).join("blobs"))?;
    let blobs: BTreeSet<String> =
        blobs.map(|entry| Ok(entry?.file_name().to_string_lossy().replace('-', ":"))).collect::<Result<_>>()?;
    assert_eq!(blobs, named);

    let bom: Value = serde_json::from_slice(&fs::read(scenario.path("p.run.cdx.json"))?)?;
    let model = &bom["components"][0];
    let described = model["description"].as_str().context("no description")?;
    assert!(described.contains("plant/inspector:1.0, plant/inspector:latest"), "{model:#}");
    for file in ["scratches-lora", "mmproj-inspector"] {
        let hex = digest(&scenario.path(&format!("weights/{file}.gguf")))?.hex();
        assert!(model["components"].to_string().contains(&hex), "{file} is not in the bill of materials: {model:#}");
    }
    assert!(model["properties"].to_string().contains("model:memory-estimate"), "{model:#}");
    let page = fs::read_to_string(scenario.path("p.run.html"))?;
    assert!(
        page.contains("plant/inspector:latest") && page.contains("scratches-lora.gguf"),
        "the page does not name them"
    );
    package_below(&scenario.path("p.run"), &root, &["--uninstall"])?.exits(0)?;
    assert!(!root.join(STORE).join("manifests/registry.ollama.ai/plant/inspector/1.0").exists());
    Ok(())
}

#[test]
fn parts_that_are_not_what_they_are_called_are_refused_before_anything_is_built() -> Result<()> {
    let scenario = Scenario::new()?;
    let manifest = written(&scenario)?;
    fs::copy(scenario.path("weights/inspector.gguf"), scenario.path("weights/scratches-lora.gguf"))?;
    run(scenario.builder()?.args(["check", "m.toml"]))?.exits(40)?.says("is not a LoRA adapter")?;
    scenario.try_build(manifest)?.exits(40)?.says("is not a LoRA adapter")?;
    fs::remove_file(scenario.path("weights/scratches-lora.gguf"))?;
    run(scenario.builder()?.args(["check", "m.toml"]))?.exits(41)?.says("scratches-lora.gguf")?;
    written(&scenario)?;
    let other = [("general.architecture", "gemma3"), ("general.type", "adapter")];
    scenario.write("weights/scratches-lora.gguf", gguf::small(&other, &[]))?;
    scenario.try_build(manifest)?.exits(40)?.says("for models of the architecture \"gemma3\"")?;
    written(&scenario)?;
    scenario.write("helpdesk/Modelfile", "FROM ../weights/inspector.gguf\nPARAMETR top_k 1\n")?;
    scenario.try_build(manifest)?.exits(40)?.says("helpdesk/Modelfile, line 2: \"PARAMETR\" is no command")?;
    // What the build reads is never replaced by what it makes.
    written(&scenario)?;
    for read in ["helpdesk/Modelfile", "weights/scratches-lora.gguf"] {
        run(scenario.builder()?.args(["--manifest", "m.toml", "--output", read]))?
            .exits(44)?
            .says("this build reads it")?;
    }
    Ok(())
}
