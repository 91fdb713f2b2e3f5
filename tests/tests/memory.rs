//! What a model takes while it answers, as the builder estimates it and the package compares it with the machine's memory.
//! The formula is tested in the builder, what Ollama really takes nowhere.

use anyhow::{Context, Result};
use e2e::scenario::{Scenario, gguf, outcome, package, package_below};
use serde_json::Value;

/// A package with one model whose cache takes 3 MiB for each token of the context.
fn built(scenario: &Scenario, context: u64) -> Result<std::path::PathBuf> {
    let numbers = [("llama.block_count", 96), ("llama.embedding_length", 8192), ("llama.attention.head_count", 64)];
    scenario.write("inputs/m.gguf", gguf::small(&[("general.architecture", "llama")], &numbers))?;
    scenario.build(&format!(
        "[package]\nname = \"memory\"\nversion = \"1\"\n[install]\nprefix = \"/opt/memory-test\"\n[[components]]\n\
         type = \"model-file\"\nname = \"thirsty\"\nsource = {{ type = \"file\", path = \"inputs/m.gguf\" }}\n\
         install_path = \"models/m.gguf\"\ntemplate = \"\"\nparams = {{ num_ctx = {context} }}\n"
    ))
}

fn plan(said: &str) -> Result<Value> {
    serde_json::from_str(said.lines().next().context("no plan")?).context("the plan is no JSON")
}

#[test]
fn a_model_that_takes_more_memory_than_the_machine_has_is_a_warning() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = built(&scenario, 1 << 20)?;
    let said = package(&run, &["--dry-run"])?.exits(0)?;
    said.says("warning: the model thirsty:latest takes about 3.4 TB of memory while it answers, this machine has")?;
    let json = plan(&package(&run, &["--dry-run", "--json"])?.exits(0)?.stdout)?;
    assert!(json["warnings"][0]["what"].as_str().is_some_and(|what| what.contains("thirsty:latest")), "{json}");
    assert!(json["warnings"][0]["hint"].as_str().is_some_and(|hint| hint.contains("num_ctx")), "{json}");
    let needed = json["memory"]["models"][0]["needed"].as_u64().context("no estimate")?;
    assert!(json["memory"]["available"].as_u64().is_some_and(|available| available < needed), "{json}");
    // Another root is another machine: nobody knows its memory.
    let root = scenario.target("root")?;
    let json = plan(&package_below(&run, &root, &["--dry-run", "--json"])?.exits(0)?.stdout)?;
    assert_eq!((&json["warnings"], &json["memory"]["available"]), (&serde_json::json!([]), &Value::Null));
    package_below(&run, &root, &["--install"])?.exits(0)?;
    let inspected = outcome::run(scenario.builder()?.arg("inspect").arg(&run))?.exits(0)?;
    inspected.says("model thirsty:latest, about 3.4 TB of memory")?;
    Ok(())
}

#[test]
fn a_model_that_fits_is_none() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = built(&scenario, 4)?;
    let said = package(&run, &["--dry-run"])?.exits(0)?;
    said.says("Memory: thirsty:latest takes about 13.1 MB while it answers; this machine has ")?;
    let json = plan(&package(&run, &["--dry-run", "--json"])?.exits(0)?.stdout)?;
    assert_eq!(json["warnings"], serde_json::json!([]));
    Ok(())
}
