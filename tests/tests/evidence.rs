//! What lies beside a package, and in it, for those who approve and audit it: digest, bill of materials, inventory.
//! A real validator and a real browser look at them in the ignored test, which `make acceptance` runs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::command::{argv, capture, succeed};
use e2e::packages::{Need, install};
use e2e::scenario::outcome::run;
use e2e::scenario::{Scenario, package, sample};
use serde_json::{Value, json};

const BROWSER: &[Need] = &[
    Need { file: "/usr/bin/chromium", package: "chromium" },
    Need { file: "/usr/bin/zbarimg", package: "zbar-tools" },
    Need { file: "/usr/bin/pdfinfo", package: "poppler-utils" },
    Need { file: "/usr/lib/python3.11/ensurepip/__init__.py", package: "python3-venv" },
];
const VALIDATOR: &str = "cyclonedx-python-lib[json-validation]==11.12.0";
const VALIDATE: &str = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(str(problem) if problem else 0)";
const BOUND: Duration = Duration::from_secs(300);

fn beside(package: &Path, suffix: &str) -> std::path::PathBuf {
    package.with_file_name(format!("package.run.{suffix}"))
}

fn component<'a>(materials: &'a Value, name: &str) -> Result<&'a Value> {
    let all = materials["components"].as_array().context("there are no components")?;
    all.iter().find(|component| component["name"] == name).with_context(|| format!("there is no {name}"))
}

#[test]
fn the_digest_beside_a_package_is_what_sha256sum_wants() -> Result<()> {
    let scenario = Scenario::new()?;
    let package = sample::build(&scenario)?;
    let check = |code| -> Result<()> {
        let mut sums = Command::new("sha256sum");
        let outcome = run(sums.args(["-c", "package.run.sha256"]).current_dir(scenario.path("")))?;
        assert_eq!(outcome.code, code, "{outcome}");
        Ok(())
    };
    check(0)?;
    let mut bytes = fs::read(&package)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&package, bytes)?;
    check(1)
}

#[test]
fn the_bill_of_materials_is_the_same_inside_and_beside_and_names_what_is_shipped() -> Result<()> {
    let scenario = Scenario::new()?;
    let file = sample::build(&scenario)?;
    let bytes = fs::read(beside(&file, "cdx.json"))?;
    let index: Value = serde_json::from_str(&package(&file, &["--list", "--json"])?.stdout)?;
    let document = index["documents"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "sbom.cdx.json"));
    assert_eq!(document.context("it is not in the package")?["digest"], payload::Digest::of(&bytes).to_string());
    let materials: Value = serde_json::from_slice(&bytes)?;
    assert_eq!(materials["specVersion"], "1.6");

    let ollama = component(&materials, "ollama")?;
    assert_eq!(ollama["licenses"], json!([{"license": {"id": "MIT"}}]));
    let library =
        ollama["components"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "libggml-base.so.0"));
    let library = library.context("the library is missing")?;
    assert_eq!(library["type"], "library");
    let digest = payload::Digest::of(&fs::read(scenario.path("inputs/ollama/lib/ollama/libggml-base.so.0"))?);
    assert_eq!(library["hashes"], json!([{"alg": "SHA-256", "content": digest.hex()}]));
    let path = "/opt/ollama/lib/ollama/libggml-base.so.0";
    assert_eq!(library["properties"], json!([{"name": "airgap-deploy:path", "value": path}]));

    let model = component(&materials, "llama2-7b")?;
    let weights = payload::Digest::of(&fs::read(scenario.path("inputs/llama2-7b.gguf"))?);
    assert_eq!(model["type"], "machine-learning-model");
    assert_eq!(model["hashes"], json!([{"alg": "SHA-256", "content": weights.hex()}]));
    assert_eq!(model["licenses"], json!([{"license": {"name": "For tests."}}]));
    assert_eq!(component(&materials, "clap")?["licenses"], json!([{"expression": "MIT OR Apache-2.0"}]));
    assert!(component(&materials, "ureq").is_err(), "the stub has no crate that opens sockets");

    // Who holds the rights to each crate is said, and the words that they share are said once.
    let opened = payload::Package::open(fs::File::open(&file)?, &payload::Trust::nobody())?;
    let documents = &opened.index().documents;
    let at = documents.iter().position(|document| document.name.as_str() == "LICENSES/stub-crates");
    let terms = String::from_utf8(opened.document(at.context("there are no licence texts")?)?)?;
    for holder in ["Copyright (c) 2014 Alex Crichton", "Copyright (c) 2017 Armin Ronacher", "sha2 0."] {
        assert!(terms.contains(holder), "{holder}");
    }
    for shared in
        ["Permission is hereby granted, free of charge, to any person obtaining a copy\nof this", "1. Definitions.\n"]
    {
        assert_eq!(terms.matches(shared).count(), 1, "{shared}");
    }
    Ok(())
}

#[test]
fn what_no_builder_wrote_is_not_written_over() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::write_inputs(&scenario)?;
    for suffix in ["sha256", "cdx.json", "html"] {
        let path = scenario.write(&format!("package.run.{suffix}"), "somebody's notes\n")?;
        let outcome = scenario.try_build(sample::MANIFEST)?;
        assert_eq!(outcome.code, 44, "{outcome}");
        assert_eq!(fs::read_to_string(&path)?, "somebody's notes\n");
        assert!(!scenario.path("package.run").exists(), "{suffix}: the package was written");
        fs::remove_file(path)?;
    }
    // What a builder wrote gives way to the next one.
    for _ in 0..2 {
        let outcome = scenario.try_build(sample::MANIFEST)?;
        assert_eq!(outcome.code, 0, "{outcome}");
    }
    Ok(())
}

#[test]
fn text_of_a_manifest_is_never_markup_in_the_inventory() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::write_inputs(&scenario)?;
    let evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\\\" 'quoted' & more";
    let file = scenario.build(&sample::MANIFEST.replacen("Something of everything", evil, 1))?;
    let page = fs::read_to_string(beside(&file, "html"))?;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "the description is missing");
    for markup in ["<script", "<img", "<link", "<iframe", "<a ", "url(", "@import"] {
        assert!(!page.contains(markup), "the page contains {markup}");
    }
    Ok(())
}

#[test]
#[ignore = "installs a browser and a validator: make acceptance"]
fn a_real_validator_and_a_real_browser_take_what_lies_beside_a_package() -> Result<()> {
    install(&BROWSER[..3])?;
    if !capture(&mut argv(&["python3", "-m", "venv", "--help"])?, BOUND)?.ok() {
        install(&BROWSER[3..])?;
    }
    let scenario = Scenario::new()?;
    let file = sample::build(&scenario)?;
    let said = |path: &str| scenario.path(path).display().to_string();

    succeed(&mut argv(&["python3", "-m", "venv", &said("venv")])?, BOUND)?;
    succeed(&mut argv(&[&said("venv/bin/pip"), "install", "--quiet", VALIDATOR])?, BOUND)?;
    let materials = beside(&file, "cdx.json").display().to_string();
    succeed(&mut argv(&[&said("venv/bin/python"), "-c", VALIDATE, &materials])?, BOUND)?;
    // The validator can say no.
    let broken = fs::read_to_string(&materials)?.replacen("\"machine-learning-model\"", "\"oracle\"", 1);
    let broken = scenario.write("broken.json", broken)?.display().to_string();
    assert!(!capture(&mut argv(&[&said("venv/bin/python"), "-c", VALIDATE, &broken])?, BOUND)?.ok());

    let page = format!("file://{}", beside(&file, "html").display());
    let profile = format!("--user-data-dir={}", said("profile"));
    let browser = |options: &[&str]| -> Result<String> {
        let fixed = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
        let quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", &profile];
        Ok(succeed(&mut argv(&[&fixed[..], &quiet, options, &[&page]].concat())?, BOUND)?.stdout)
    };
    let seen = browser(&["--dump-dom"])?;
    assert!(seen.contains("Content-Security-Policy") && seen.contains("llama2-7b:latest"), "{seen}");
    browser(&["--window-size=900,1200", &format!("--screenshot={}", said("page.png"))])?;
    let index = serde_json::from_str::<Value>(&package(&file, &["--verify", "--json"])?.stdout)?["index"].clone();
    let code = succeed(&mut argv(&["zbarimg", "--quiet", "--raw", &said("page.png")])?, BOUND)?.stdout;
    assert_eq!(json!(code.trim()), index, "what a camera reads");
    browser(&["--no-pdf-header-footer", &format!("--print-to-pdf={}", said("page.pdf"))])?;
    let facts = succeed(&mut argv(&["pdfinfo", &said("page.pdf")])?, BOUND)?.stdout;
    let pages = facts.lines().find_map(|line| line.strip_prefix("Pages:")).map(str::trim);
    assert_eq!(pages, Some("1"), "{facts}");
    Ok(())
}
