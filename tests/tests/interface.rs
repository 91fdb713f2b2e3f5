//! The interface for programs: every document of a tour through the use case against the published schema of its kind.
//! A real validator looks at them in the ignored test, which `make acceptance` runs.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::command::{argv, capture, succeed};
use e2e::crash::program::Run;
use e2e::crash::stage::Stage;
use e2e::crash::workspace;
use e2e::packages::{Need, install};
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::{Scenario, package_below, sample};
use serde_json::Value;

const BOUND: Duration = Duration::from_secs(300);
const VENV: &[Need] = &[Need { file: "/usr/lib/python3.11/ensurepip/__init__.py", package: "python3-venv" }];
const VALIDATOR: &str = "jsonschema==4.26.0";
/// Each argument is a schema and a document. Schemas leave room for later keys; what is printed today has none of them.
const VALIDATE: &str = "import json, sys
from jsonschema import Draft202012Validator as Validator
def close(schema):
    if isinstance(schema, dict):
        if 'properties' in schema and 'object' in schema.get('type', ''):
            schema.setdefault('additionalProperties', False)
        for value in schema.values(): close(value)
    elif isinstance(schema, list):
        for value in schema: close(value)
for pair in sys.argv[1:]:
    schema, document = [json.load(open(path)) for path in pair.split('=')]
    Validator.check_schema(schema)
    Validator(schema).validate(document)
    close(schema)
    Validator(schema).validate(document)";

/// Documents with the name of their schema.
#[derive(Default)]
struct Tour(Vec<(&'static str, Value)>);

/// The key that tells what a document is, and its schema.
const KINDS: [(&str, &str); 23] = [
    ("plan", "plan"),
    ("install", "install"),
    ("verify", "verify"),
    ("status", "status"),
    ("about", "about"),
    ("uninstall", "uninstall"),
    ("recover", "recover"),
    ("explain", "explain"),
    ("format", "index"),
    ("receipt", "receipt"),
    ("report", "report"),
    ("build_report", "build-report"),
    ("built", "built"),
    ("event", "event"),
    ("check", "check"),
    ("keygen", "keygen"),
    ("lock", "lock"),
    ("inspect_model", "inspect-model"),
    ("list_installed", "list-installed"),
    ("history", "history"),
    ("split", "split"),
    ("join", "join"),
    ("cache_pruned", "cache-pruned"),
];

impl Tour {
    fn add(&mut self, document: Value) -> Result<()> {
        let by_builder = document.get("details").is_some();
        let schema = match document.get("error").and_then(Value::as_u64) {
            Some(_) if by_builder => "builder-error",
            Some(_) => "error",
            None => {
                let says = |key: &&str| document[*key] == 1 || *key == "event" && document[*key].is_string();
                KINDS.iter().find(|(key, _)| says(key)).with_context(|| document.to_string())?.1
            }
        };
        self.0.push((schema, document));
        Ok(())
    }

    fn said(&mut self, outcome: &Outcome) -> Result<()> {
        outcome.stdout.lines().try_for_each(|line| self.add(serde_json::from_str(line).context(line.to_owned())?))
    }

    fn file(&mut self, path: &std::path::Path) -> Result<()> {
        self.add(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// The target's side of the use case.
    fn target(&mut self, scenario: &Scenario) -> Result<()> {
        let path = sample::build(scenario)?;
        let root = scenario.target("root")?;
        scenario.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")?;
        scenario.write("root/etc/group", "root:x:0:\n")?;
        fs::create_dir_all(root.join("var/log"))?;
        let report = scenario.path("report.json");
        let mut act = |arguments: &[&str], code: i32| -> Result<()> {
            let unreported = ["--list", "--list-installed", "--history", "--version", "--explain"];
            let reported = !arguments.iter().any(|word| unreported.contains(word));
            let extra = if reported { vec!["--report", report.to_str().context("UTF-8")?] } else { Vec::new() };
            self.said(&package_below(&path, &root, &[arguments, &["--json"], &extra].concat())?.exits(code)?)?;
            if reported { self.file(&report) } else { Ok(()) }
        };
        act(&["--dry-run"], 0)?;
        act(&["--status"], 41)?;
        fs::remove_file(root.join("etc/passwd"))?;
        fs::remove_file(root.join("etc/group"))?;
        scenario.write("root/opt/ollama/share/notes.txt", "somebody else's")?;
        act(&["--install"], 23)?;
        act(&["--install", "--replace"], 0)?;
        act(&["--install"], 0)?;
        act(&["--verify"], 0)?;
        act(&["--list"], 0)?;
        act(&["--version"], 0)?;
        act(&["--explain", "22"], 0)?;
        act(&["--status"], 0)?;
        act(&["--list-installed"], 0)?;
        act(&["--history"], 0)?;
        act(&["--recover", "--dry-run"], 0)?;
        act(&["--recover"], 0)?;
        act(&["--uninstall", "--dry-run"], 0)?;
        self.file(&root.join("var/lib/airgap-deploy/sample/receipt.json"))?;
        let mut act = |arguments: &[&str], code: i32| -> Result<()> {
            let report = report.to_str().context("UTF-8")?;
            self.said(
                &package_below(&path, &root, &[arguments, &["--json", "--report", report]].concat())?.exits(code)?,
            )
        };
        act(&["--uninstall"], 0)?;
        self.file(&report)
    }

    /// What becomes of failures and kills.
    fn mishaps(&mut self) -> Result<()> {
        let stage = Stage::new(false)?;
        let report = stage.path().join("report.json");
        let path = report.to_str().context("UTF-8")?;
        let install = ["--install", "--report", path];
        Run::new(&stage.first, &stage.bare, &install).set("FAIL_AT", "110:5").end();
        self.file(&report)?;
        Run::new(&stage.first, &stage.bare, &install).set("KILL_AT", 170).end();
        self.file(&report)?;
        for arguments in [&["--recover", "--dry-run"][..], &["--recover"]] {
            Run::new(&stage.first, &stage.bare, &[arguments, &["--report", path]].concat()).end();
            self.file(&report)?;
        }
        Ok(())
    }

    fn builder(&mut self, scenario: &Scenario) -> Result<()> {
        let report = scenario.path("build.json");
        let mut say = |code: i32, arguments: &[&str]| -> Result<()> {
            self.said(&run(scenario.builder()?.args(arguments).arg("--json"))?.exits(code)?)
        };
        say(0, &["--manifest", "AirGapDeploy.toml", "--output", "package.run", "--report", "build.json"])?;
        say(0, &["keygen", "site.key", "--no-password"])?;
        let signed = ["--sign-key", "site.key", "--output", "signed.run"];
        say(0, &[&["--manifest", "AirGapDeploy.toml"][..], &signed, &["--report", "build.json"]].concat())?;
        say(0, &["verify", "signed.run", "--trusted-key", "site.pub"])?;
        say(0, &["check", "AirGapDeploy.toml"])?;
        say(0, &["lock", "--manifest", "AirGapDeploy.toml"])?;
        say(0, &["verify", "package.run"])?;
        say(0, &["inspect", "package.run"])?;
        say(0, &["inspect", "inputs/llama2-7b.gguf"])?;
        say(0, &["split", "package.run", "--chunk-size", "8MB", "--output", "volumes"])?;
        say(0, &["join", "volumes/package.run", "--output", "joined.run"])?;
        say(0, &["explain", "42"])?;
        say(0, &["cache", "prune"])?;
        self.file(&report)?;
        scenario.write("bad.toml", sample::MANIFEST.replace("prefix", "prefx"))?;
        let outcome = run(scenario.builder()?.args(["bad.toml", "--json", "--report", "build.json"]))?.exits(40)?;
        self.said(&outcome)?;
        self.file(&report)
    }

    fn whole() -> Result<(Self, Scenario)> {
        let scenario = Scenario::new()?;
        let mut tour = Self::default();
        tour.target(&scenario)?;
        tour.builder(&scenario)?;
        tour.mishaps()?;
        Ok((tour, scenario))
    }
}

fn schemas() -> Result<BTreeMap<String, Value>> {
    let mut schemas = BTreeMap::new();
    for entry in fs::read_dir(workspace().join("docs/schemas"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".schema.json"));
        let name = name.with_context(|| format!("{} is no schema", path.display()))?;
        schemas.insert(name.to_owned(), serde_json::from_slice(&fs::read(&path)?)?);
    }
    Ok(schemas)
}

fn keys(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.extend(object.keys().cloned());
            object.values().for_each(|value| keys(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn every_document_of_a_tour_has_a_schema_that_knows_all_its_keys() -> Result<()> {
    let schemas = schemas()?;
    let page = fs::read_to_string(workspace().join("docs/interface.md"))?;
    for name in schemas.keys() {
        ensure!(page.contains(&format!("(schemas/{name}.schema.json)")), "docs/interface.md does not lead to {name}");
    }
    let (tour, _scenario) = Tour::whole()?;
    for (name, document) in &tour.0 {
        let schema = schemas.get(*name).with_context(|| format!("there is no schema of {name}"))?;
        let (mut known, mut used) = (Vec::new(), Vec::new());
        keys(schema, &mut known);
        let mut document = document.clone();
        if *name == "report" {
            // A document of its own, with a schema of its own, which the tour meets elsewhere.
            document["result"] = Value::Null;
        }
        keys(&document, &mut used);
        used.retain(|key| !known.contains(key));
        ensure!(used.is_empty(), "the schema of {name} says nothing of {used:?} in {document:#}");
        for key in schema["required"].as_array().context("required")?.iter().filter_map(Value::as_str) {
            ensure!(document.get(key).is_some(), "{name} lacks {key}: {document:#}");
        }
    }
    for (_, name) in KINDS {
        ensure!(tour.0.iter().any(|(met, _)| *met == name), "the tour does not meet {name}");
    }
    Ok(())
}

#[test]
#[ignore = "installs a validator: make acceptance"]
fn a_real_validator_takes_every_document_and_can_say_no() -> Result<()> {
    if !capture(&mut argv(&["python3", "-m", "venv", "--help"])?, BOUND)?.ok() {
        install(VENV)?;
    }
    let (tour, scenario) = Tour::whole()?;
    let said = |path: &str| scenario.path(path).display().to_string();
    succeed(&mut argv(&["python3", "-m", "venv", &said("venv")])?, BOUND)?;
    succeed(&mut argv(&[&said("venv/bin/pip"), "install", "--quiet", VALIDATOR])?, BOUND)?;
    let schema = |name: &str| workspace().join(format!("docs/schemas/{name}.schema.json")).display().to_string();
    let mut pairs = Vec::new();
    for (number, (name, document)) in tour.0.iter().enumerate() {
        let path = scenario.write(&format!("documents/{number}.json"), document.to_string())?;
        pairs.push(format!("{}={}", schema(name), path.display()));
    }
    let program = [said("venv/bin/python"), "-c".to_owned(), VALIDATE.to_owned()];
    let validate = |pairs: &[String]| -> Result<_> {
        let words: Vec<&str> = program.iter().chain(pairs).map(String::as_str).collect();
        capture(&mut argv(&words)?, BOUND)
    };
    let verdict = validate(&pairs)?;
    ensure!(verdict.ok(), "{}", verdict.describe());
    println!("{} documents of {} kinds are valid", pairs.len(), KINDS.len());
    // A wrong type, a key that is missing, and one that nobody knows.
    let (_, report) = tour.0.iter().find(|(name, _)| *name == "report").context("a report")?;
    for (key, value) in [("exit_code", Some(Value::from("zero"))), ("host", None), ("unknown", Some(Value::Null))] {
        let mut broken = report.clone();
        match value {
            Some(value) => broken[key] = value,
            None => drop(broken.as_object_mut().context("an object")?.remove(key)),
        }
        let path = scenario.write("broken.json", broken.to_string())?;
        ensure!(!validate(&[format!("{}={}", schema("report"), path.display())])?.ok(), "{key} is taken");
    }
    Ok(())
}
