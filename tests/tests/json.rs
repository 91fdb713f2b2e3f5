//! What is printed with `--json` is what docs/json.md says: one document on each line, and no key that it leaves out.
//! What the values are is tested where they come from.

use std::fs;

use anyhow::{Context, Result};
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::{Scenario, package, package_below, sample};
use serde_json::Value;

const JSON: &str = include_str!("../../docs/json.md");

/// The documents on stdout, all of them JSON.
fn documents(outcome: &Outcome) -> Result<Vec<Value>> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// That one of the documents is of this kind, version 1, and that the page knows all keys of all of them.
fn described(outcome: &Outcome, kind: &str) -> Result<Value> {
    let documents = documents(outcome)?;
    for document in &documents {
        let mut missing = Vec::new();
        unknown_keys(document, &mut missing);
        assert!(missing.is_empty(), "docs/json.md says nothing of {missing:?} in {document:#}");
    }
    let found = documents.into_iter().find(|document| document[kind] == 1);
    found.with_context(|| format!("no {kind}: {outcome}"))
}

fn unknown_keys(value: &Value, missing: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            missing.extend(object.keys().filter(|key| !JSON.contains(&format!("`{key}`"))).cloned());
            object.values().for_each(|value| unknown_keys(value, missing));
        }
        Value::Array(list) => list.iter().for_each(|value| unknown_keys(value, missing)),
        _ => {}
    }
}

#[test]
fn everything_a_package_says_to_programs_is_described() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    // With accounts of its own, a plan has steps of every kind that needs no systemd.
    scenario.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")?;
    scenario.write("root/etc/group", "root:x:0:\n")?;
    let plan = described(&package_below(&path, &root, &["--dry-run", "--json"])?.exits(0)?, "plan")?;
    let actions: Vec<&str> =
        plan["steps"].as_array().context("steps")?.iter().filter_map(|step| step["action"].as_str()).collect();
    for action in ["make-directory", "place-file", "make-hard-link", "make-symbolic-link"] {
        assert!(actions.contains(&action) && JSON.contains(&format!("`{action}`")), "{actions:?}");
    }
    for action in actions {
        assert!(JSON.contains(&format!("`{action}`")), "docs/json.md says nothing of {action}");
    }
    for name in ["passwd", "group"] {
        fs::remove_file(root.join("etc").join(name))?;
    }
    described(&package_below(&path, &root, &["--install", "--json"])?.exits(0)?, "install")?;
    described(&package_below(&path, &root, &["--status", "--json"])?.exits(0)?, "status")?;
    described(&package(&path, &["--verify", "--json"])?.exits(0)?, "verify")?;
    Ok(())
}

#[test]
fn a_refusal_is_a_document_too_and_repeats_the_exit_code() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    scenario.write("root/opt/ollama/bin/ollama", "not ours")?;
    scenario.write("root/opt/ollama/share/notes.txt", "not ours")?;
    for action in ["--dry-run", "--install"] {
        let error = described(&package_below(&path, &root, &[action, "--json"])?.exits(23)?, "error")?;
        assert_eq!(error["exit_code"], 23);
        assert_eq!(error["findings"].as_array().map(Vec::len), Some(2), "{error:#}");
        assert_eq!(error["state"], "nothing was changed");
    }
    let plan = described(&package_below(&path, &root, &["--dry-run", "--replace", "--json"])?.exits(0)?, "plan")?;
    let steps = plan["steps"].as_array().context("steps")?;
    assert_eq!(steps.iter().filter(|step| step["backup"].is_string()).count(), 2);
    Ok(())
}

#[test]
fn everything_the_builder_says_to_programs_is_described() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let path = path.to_str().context("UTF-8")?;
    let say = |arguments: &[&str]| -> Result<Outcome> { run(scenario.builder()?.args(arguments).arg("--json")) };
    described(&say(&["--manifest", "AirGapDeploy.toml"])?.exits(0)?, "built")?;
    described(&say(&["check", "AirGapDeploy.toml"])?.exits(0)?, "check")?;
    described(&say(&["lock", "--manifest", "AirGapDeploy.toml"])?.exits(0)?, "lock")?;
    described(&say(&["verify", path])?.exits(0)?, "verify")?;
    scenario.write("bad.toml", sample::MANIFEST.replace("prefix", "prefx"))?;
    let error = described(&say(&["check", "bad.toml"])?.exits(40)?, "error")?;
    assert_eq!((&error["details"][0]["line"], &error["details"][0]["column"]), (&7.into(), &1.into()), "{error:#}");
    Ok(())
}
