//! The builder's other commands: `init`, `check`, `inspect`, `verify`, and what they say to programs.
//! Building is what all other tests do; what is wrong with a manifest is tested in the builder.

use std::fs;

use anyhow::{Context, Result};
use e2e::scenario::gguf::noise;
use e2e::scenario::outcome::run;
use e2e::scenario::tree::digest;
use e2e::scenario::{Scenario, package, sample};

#[test]
fn init_writes_manifests_that_check_takes_and_never_overwrites() -> Result<()> {
    let scenario = Scenario::new()?;
    for (kind, name) in [("full", "AirGapDeploy.ollama.toml"), ("update", "AirGapDeploy.ollama-update.toml")] {
        run(scenario.builder()?.args(["init", kind]))?.exits(0)?.says(name)?;
        run(scenario.builder()?.args(["check", name]))?.exits(0)?.says("no errors, no warnings")?;
        let before = fs::read(scenario.path(name))?;
        run(scenario.builder()?.args(["init", kind]))?.exits(44)?.says("--output PATH")?;
        assert_eq!(fs::read(scenario.path(name))?, before);
    }
    Ok(())
}

#[test]
fn check_says_everything_at_once_and_makes_no_request() -> Result<()> {
    let scenario = Scenario::new()?;
    scenario.write("m.toml", sample::MANIFEST)?;
    let outcome = run(scenario.builder()?.args(["check", "--manifest", "m.toml"]))?.exits(41)?;
    for input in ["inputs/ollama", "inputs/llama2-7b.gguf", "inputs/notes.txt"] {
        assert!(outcome.stderr.contains(input), "{outcome}");
    }
    sample::write_inputs(&scenario)?;
    run(scenario.builder()?.args(["check", "m.toml"]))?.exits(0)?;
    let json = run(scenario.builder()?.args(["check", "m.toml", "--json"]))?.exits(0)?.json()?;
    assert_eq!(json, serde_json::json!({"check": 1, "warnings": [], "findings": []}));
    scenario.write("m.toml", sample::MANIFEST.replace("prefix", "prefx"))?;
    run(scenario.builder()?.args(["check", "m.toml"]))?.exits(40)?.says("prefx")?.says("m.toml:7:1")?;
    Ok(())
}

#[test]
fn inspect_and_verify_wait_for_nobody_and_say_what_is_not_there() -> Result<()> {
    let scenario = Scenario::new()?;
    nix::unistd::mkfifo(&scenario.path("fifo"), nix::sys::stat::Mode::S_IRWXU)?;
    for command in ["inspect", "verify"] {
        run(scenario.builder()?.args([command, "fifo"]))?.exits(44)?.says("not a regular file")?;
        run(scenario.builder()?.args([command, "nosuch.run"]))?.exits(41)?.says("nosuch.run")?;
    }
    Ok(())
}

#[test]
fn places_that_every_target_refuses_are_mistakes_of_the_manifest() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::write_inputs(&scenario)?;
    for (from, to, said) in [
        ("prefix = \"/opt/ollama\"", "prefix = \"/etc\"", "m.toml:7:10"),
        ("prefix = \"/opt/ollama\"", "prefix = \"/usr\"", "belongs to the system"),
        ("\"share/notes.txt\"", "\"/etc/sudoers.d/notes\"", "decides who can become root"),
        ("\"share/notes.txt\"", "\"/bin/sh\"", "is a program of the system"),
    ] {
        scenario.write("m.toml", sample::MANIFEST.replace(from, to))?;
        run(scenario.builder()?.args(["check", "m.toml"]))?.exits(40)?.says(said)?;
        run(scenario.builder()?.args(["--manifest", "m.toml"]))?.exits(40)?.says(said)?;
    }
    Ok(())
}

#[test]
fn names_that_look_alike_are_pointed_out() -> Result<()> {
    let scenario = Scenario::new()?;
    let text = |name: &str| {
        format!(
            "[[components]]\ntype = \"config-file\"\nname = \"{name}\"\ncontent = \"x\"\ninstall_path = \"{name}\"\n"
        )
    };
    let run_file = scenario.build(&format!("{}{}{}", sample::HEAD, text("caf\u{e9}"), text("cafe\u{301}")))?;
    let said = "they differ in Unicode normalisation alone";
    package(&run_file, &["--dry-run", "--root", scenario.target("root")?.to_str().context("UTF-8")?])?
        .exits(0)?
        .says(said)?;
    let name = run_file.to_str().context("UTF-8")?;
    run(scenario.builder()?.args(["inspect", name]))?.exits(0)?.says(said)?;
    Ok(())
}

#[test]
fn inspect_says_what_a_model_is_and_why_it_would_be_refused() -> Result<()> {
    let scenario = Scenario::new()?;
    let whole = noise("kind", 4096);
    let model = scenario.write("m.gguf", &whole)?;
    let said = run(scenario.builder()?.arg("inspect").arg(&model))?.exits(0)?;
    said.says("architecture  llama")?.says("template      ChatML")?.says("answers       text")?;
    let json = run(scenario.builder()?.args(["inspect", "--json"]).arg(&model))?.exits(0)?.json()?;
    assert_eq!((&json["inspect_model"], &json["model"]["family"]), (&1.into(), &"ChatML".into()));
    assert_eq!((&json["model"]["tensors"], &json["model"]["refused"]), (&1.into(), &serde_json::Value::Null));
    let cut = scenario.write("cut.gguf", &whole[..whole.len() - 1])?;
    run(scenario.builder()?.arg("inspect").arg(&cut))?.exits(40)?.says("truncated")?.says("fetch it again")?;
    let page = scenario.write("page.GGUF", "<html>")?;
    run(scenario.builder()?.arg("inspect").arg(&page))?.exits(40)?.says("is not a GGUF file (it is a web page)")?;
    Ok(())
}

#[test]
fn inspect_says_what_is_not_known_about_a_model() -> Result<()> {
    let scenario = Scenario::new()?;
    let strange = replaced(&noise("kind", 4096), b"<|im_start|>", b"<|my_begin|>");
    let model = scenario.write("m.gguf", replaced(&strange, b"llama", b"zorgs"))?;
    let said = run(scenario.builder()?.arg("inspect").arg(&model))?.exits(0)?;
    said.says("of no family known here (<|im_end|> <|my_begin|>")?
        .says("doubtful      it is a model of the architecture")?;
    let json = run(scenario.builder()?.args(["inspect", "--json"]).arg(&model))?.exits(0)?.json()?;
    assert!(json["model"]["doubt"].as_str().is_some_and(|doubt| doubt.contains("\"zorgs\"")), "{json}");
    Ok(())
}

/// Every `from` of `bytes` becomes `to`, which is as long.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut after = bytes.to_vec();
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            after[at..at + to.len()].copy_from_slice(to);
        }
    }
    after
}

#[test]
fn inspect_and_verify_agree_with_the_package_itself() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let name = path.to_str().context("UTF-8")?;
    let shown = run(scenario.builder()?.args(["inspect", name]))?.exits(0)?;
    shown.says("package     sample 1.2.3")?.says("model llama2-7b:latest")?;
    let mut index = run(scenario.builder()?.args(["inspect", "--json", name]))?.exits(0)?.json()?;
    let licenses = index.as_object_mut().and_then(|index| index.remove("licenses")).context("no licenses")?;
    assert_eq!(licenses["installer"][0]["licenses"], serde_json::json!(["MIT OR Apache-2.0"]));
    assert!(licenses["installer"].as_array().context("a list")?.iter().any(|found| found["name"] == "sha2"));
    assert_eq!(licenses["components"][0]["name"], "ollama");
    assert_eq!(index, package(&path, &["--list", "--json"])?.exits(0)?.json()?);
    assert_eq!(index["total_length"].as_u64(), Some(fs::metadata(&path)?.len()));
    let here = run(scenario.builder()?.args(["verify", "--json", name]))?.exits(0)?.json()?;
    let there = package(&path, &["--verify", "--json"])?.exits(0)?.json()?;
    for key in ["verify", "index", "length", "signed"] {
        assert_eq!(here[key], there[key], "{key}");
    }
    assert_eq!(index["build"]["manifest"], digest(&scenario.path("AirGapDeploy.toml"))?.to_string());
    // Both say what they compare with: what the kernel says of the processor.
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let has = |name: &str| processor.split_whitespace().any(|word| word == name);
    let used = match (has("sha_ni"), has("sha2")) {
        (true, _) => "SHA-256: the SHA extensions of the processor",
        (_, true) => "SHA-256: the SHA2 instructions of ARMv8",
        _ => "SHA-256: portable code",
    };
    run(scenario.builder()?.args(["verify", "-v", name]))?.exits(0)?.says(used)?;
    package(&path, &["--verify", "-v"])?.exits(0)?.says(used)?;
    let quiet = package(&path, &["--verify"])?.exits(0)?;
    assert!(!quiet.to_string().contains("SHA-256:"), "{quiet}");
    Ok(())
}

#[test]
fn inspect_shows_the_tree_the_sources_and_the_licences() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let name = path.to_str().context("UTF-8")?;
    let shown = run(scenario.builder()?.args(["inspect", name]))?.exits(0)?;
    let model = scenario.path("inputs/llama2-7b.gguf");
    for part in [
        "  /\n".to_owned(),
        "  │   └── systemd/ (root:root, 0755)\n".to_owned(),
        "└── ollama (".to_owned(),
        format!("file:inputs/llama2-7b.gguf, {}", payload::size(fs::metadata(&model)?.len())),
        format!("\n      {}\n", digest(&model)?),
        "Licences:\n  ollama 1.2.3: MIT\n".to_owned(),
        "airgap-deploy 0.1.0: MIT OR Apache-2.0".to_owned(),
        "crates in it: --verbose names each".to_owned(),
        "texts in the package: LICENSES/airgap-deploy-APACHE, LICENSES/airgap-deploy-MIT, LICENSES/stub-crates"
            .to_owned(),
    ] {
        assert!(shown.stdout.contains(&part), "{part:?} is not in {shown}");
    }
    let all = run(scenario.builder()?.args(["inspect", "-v", name]))?.exits(0)?;
    assert!(all.stdout.contains("    sha2 0."), "{all}");
    // Every path of the index is met, once.
    let index = run(scenario.builder()?.args(["inspect", "--json", name]))?.exits(0)?.json()?;
    for file in index["files"].as_array().context("files")? {
        let last = file["path"].as_str().and_then(|path| path.rsplit('/').next()).context("a path")?;
        assert_eq!(shown.stdout.matches(&format!("── {last} (")).count(), 1, "{last}: {shown}");
    }
    Ok(())
}

#[test]
fn building_as_json_ends_with_what_was_built() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::write_inputs(&scenario)?;
    scenario.write("m.toml", sample::MANIFEST)?;
    let said = run(scenario.builder()?.args(["prep", "--manifest", "m.toml", "--json"]))?.exits(0)?;
    for line in said.stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).with_context(|| line.to_owned())?;
    }
    let built = said.json()?;
    assert_eq!(built["built"], 1);
    assert_eq!(built["output"], "sample.run", "the default is the package's name");
    assert_eq!(built["length"].as_u64(), Some(fs::metadata(scenario.path("sample.run"))?.len()));
    let failed = run(scenario.builder()?.args(["--manifest", "missing.toml", "--json"]))?.exits(40)?.json()?;
    assert_eq!((&failed["error"], &failed["exit_code"]), (&1.into(), &40.into()));
    assert!(failed["hint"].as_str().is_some_and(|hint| hint.contains("--manifest FILE")), "{failed}");
    Ok(())
}

#[test]
fn an_optional_component_is_in_only_when_asked_for() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::write_inputs(&scenario)?;
    let text = sample::MANIFEST.replace("name = \"notes\"\n", "name = \"notes\"\nrequired = false\n");
    let without = scenario.build(&text)?;
    assert!(!package(&without, &["--list"])?.exits(0)?.stdout.contains("notes.txt"));
    scenario.write("m.toml", &text)?;
    let arguments = ["--manifest", "m.toml", "--include", "notes", "--output", "with.run"];
    run(scenario.builder()?.args(arguments))?.exits(0)?;
    package(&scenario.path("with.run"), &["--list"])?.exits(0)?.says("notes.txt")?;
    run(scenario.builder()?.args(["--manifest", "m.toml", "--include", "nots"]))?.exits(2)?.says("notes")?;
    Ok(())
}

#[test]
fn an_output_that_cannot_be_written_leaves_nothing() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::write_inputs(&scenario)?;
    scenario.write("m.toml", sample::MANIFEST)?;
    let outcome = run(scenario.builder()?.args(["--manifest", "m.toml", "--output", "missing/p.run"]))?;
    outcome.exits(44)?.says("missing/p.run")?.says("--output PATH")?;
    assert!(!scenario.path("missing").exists());
    Ok(())
}
