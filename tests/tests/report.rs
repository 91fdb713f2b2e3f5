//! `--report FILE` on both sides: what it says is true, it is there however an action ends, and it is written over nothing
//! else. Its form is held to the schemas in `interface.rs`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use e2e::crash::program::Run;
use e2e::crash::stage::Stage;
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::{Scenario, package, package_as_nobody, package_below, sample, with_mounts};
use e2e::skip::{needs_mounts, needs_root};
use payload::Digest;
use serde_json::{Value, json};

fn read(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Runs an action below `root` with a report, which is given beside what was said.
fn reported(file: &Path, root: &Path, arguments: &[&str], code: i32) -> Result<(Outcome, Value)> {
    let report = root.with_extension("report.json");
    let path = report.to_str().context("UTF-8")?;
    let outcome = package_below(file, root, &[arguments, &["--report", path]].concat())?.exits(code)?;
    let document = read(&report)?;
    assert_eq!(document["exit_code"], code, "{document:#}");
    assert!(document["started"].as_str() <= document["ended"].as_str() && document["ended"].is_string());
    Ok((outcome, document))
}

fn changes(report: &Value) -> Result<&Vec<Value>> {
    report["changes"].as_array().context("there are no changes")
}

fn change<'a>(report: &'a Value, path: &str) -> Result<&'a Value> {
    let found = changes(report)?.iter().find(|change| change["path"] == path);
    found.with_context(|| format!("nothing about {path} in {report:#}"))
}

fn file(bytes: &[u8]) -> Value {
    json!({"kind": "file", "digest": Digest::of(bytes).to_string()})
}

#[test]
fn what_an_installation_an_upgrade_and_an_uninstallation_report_is_true() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let notes = "/opt/ollama/share/notes.txt";
    scenario.write("root/opt/ollama/share/notes.txt", "somebody else's")?;
    let (_, report) = reported(&path, &root, &["--install", "--replace"], 0)?;
    assert_eq!(report["action"], "install");
    let facts = &report["package"];
    assert_eq!((&facts["name"], &facts["verified"]), (&json!("sample"), &json!("everything")));
    assert_eq!(facts["digest"], Digest::of(&fs::read(&path)?).to_string());
    assert_eq!(facts["index"], package(&path, &["--verify", "--json"])?.json()?["index"]);
    let model = Digest::of(&fs::read(scenario.path("inputs/llama2-7b.gguf"))?).to_string();
    let sources = facts["sources"].as_array().context("sources")?;
    assert!(sources.iter().any(|source| source["digest"] == model.as_str()), "{sources:?}");
    assert_eq!(report["installed"]["before"], Value::Null);
    assert_eq!(report["installed"]["after"]["index"], facts["index"]);
    let mut files = 0;
    for change in changes(&report)?.iter().filter(|change| change["after"]["kind"] == "file") {
        let path = change["path"].as_str().context("a path")?;
        assert_eq!(change["after"], file(&fs::read(root.join(path.trim_start_matches('/')))?), "{change:#}");
        assert_eq!(change["outcome"], "done");
        files += 1;
    }
    assert!(files > 8, "{report:#}");
    assert_eq!(change(&report, notes)?["before"], file(b"somebody else's"));

    let old = fs::read(root.join("opt/ollama/share/notes.txt"))?;
    scenario.write("inputs/notes.txt", "the second version")?;
    let second = scenario.build(&sample::MANIFEST.replace("1.2.3", "1.2.4"))?;
    let (_, report) = reported(&second, &root, &["--install"], 0)?;
    assert_eq!(change(&report, notes)?["before"], file(&old));
    assert_eq!(change(&report, notes)?["after"], file(b"the second version"));
    assert_eq!(report["installed"]["before"]["version"], "1.2.3");
    assert_eq!(report["installed"]["after"]["version"], "1.2.4");

    let (_, report) = reported(&second, &root, &["--status"], 0)?;
    assert_eq!(report["result"]["status"], 1);
    fs::write(root.join("opt/ollama/bin/ollama"), "changed since")?;
    let (_, report) = reported(&second, &root, &["--uninstall", "--purge"], 0)?;
    assert_eq!(change(&report, "/opt/ollama/bin/ollama")?["before"], file(b"changed since"));
    assert_eq!(change(&report, "/opt/ollama/bin/ollama")?["after"], Value::Null);
    assert_eq!(change(&report, notes)?["before"], file(b"the second version"));
    assert_eq!(change(&report, notes)?["after"], file(b"somebody else's"));
    assert_eq!(report["installed"]["after"], Value::Null);
    Ok(())
}

#[test]
fn an_action_that_is_refused_or_fails_is_reported_too() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    scenario.write("root/opt/ollama/bin/ollama", "in the way")?;
    let (_, report) = reported(&path, &root, &["--install"], 23)?;
    assert_eq!((changes(&report)?.len(), report["error"]["findings"].as_array().map(Vec::len)), (0, Some(1)));
    let (_, report) = reported(&path, &root, &["--dry-run"], 23)?;
    assert_eq!((&report["dry_run"], &report["result"]["plan"]), (&json!(true), &json!(1)));
    reported(&path, &root, &["--status"], 41)?;

    let mut bytes = fs::read(&path)?;
    let last = bytes.len() - 5000;
    bytes[last] ^= 1;
    let damaged = scenario.write("damaged.run", &bytes)?;
    fs::set_permissions(&damaged, fs::Permissions::from_mode(0o755))?;
    let (_, report) = reported(&damaged, &root, &["--verify"], 10)?;
    assert_eq!((&report["package"]["verified"], &report["package"]["digest"]), (&json!("index"), &Value::Null));
    bytes.truncate(last);
    fs::write(&damaged, bytes)?;
    let (_, report) = reported(&damaged, &root, &["--verify"], 10)?;
    assert_eq!(report["package"], Value::Null);

    let open = scenario.directory("open")?;
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777))?;
    let file = open.join("report.json");
    package_as_nobody(&path, &["--install", "--report", file.to_str().context("UTF-8")?])?.exits(20)?;
    assert_eq!(read(&file)?["exit_code"], 20);
    Ok(())
}

#[test]
fn what_was_undone_is_reported_as_undone_and_a_kill_leaves_a_report_without_an_end() -> Result<()> {
    let stage = Stage::new(false)?;
    fs::create_dir_all(stage.bare.join("var/log"))?;
    let report = stage.path().join("report.json");
    let path = report.to_str().context("UTF-8")?;
    let install = ["--install", "--report", path];
    // Far enough to have placed files, and before the receipt.
    let ended = Run::new(&stage.first, &stage.bare, &install).set("FAIL_AT", "146:5").end();
    assert_eq!(ended.code, Some(30), "{ended:?}");
    let document = read(&report)?;
    let outcome = |word: &str| {
        changes(&document).map(|all| all.iter().filter(|change| change["outcome"] == word).count()).unwrap_or_default()
    };
    assert!(outcome("undone") > 0 && outcome("failed") == 1 && outcome("done") == 0, "{document:#}");
    for change in changes(&document)? {
        assert_eq!(change["before"], change["after"], "{change:#}");
    }

    let ended = Run::new(&stage.first, &stage.bare, &install).set("KILL_AT", 205).end();
    assert!(ended.killed, "{ended:?}");
    let document = read(&report)?;
    assert_eq!((&document["action"], &document["ended"]), (&json!("install"), &Value::Null));
    assert_eq!(document["exit_code"], Value::Null);

    let ended = Run::new(&stage.first, &stage.bare, &["--recover", "--report", path]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let document = read(&report)?;
    let all = changes(&document)?;
    assert!(all.iter().all(|change| change["recovery"] == true && change["outcome"] == "undone"), "{document:#}");
    let placed: Vec<&Value> = all.iter().filter(|change| change["before"]["digest"].is_string()).collect();
    assert!(!placed.is_empty() && placed.iter().all(|change| change["after"].is_null()), "{document:#}");

    let log = fs::read_to_string(stage.bare.join("var/log/airgap-deploy/demo.log"))?;
    assert!(log.contains(": failed: ") && log.contains(" step undo what was done: done\n"), "{log}");
    assert!(log.contains(" step undo an interrupted installation: done\n"), "{log}");
    let history = Run::new(&stage.first, &stage.bare, &["--history", "--json"]).end().text;
    let history: Value = serde_json::from_str(&history)?;
    let ends = history["entries"].as_array().context("entries")?;
    let ends: Vec<_> = ends.iter().map(|entry| (&entry["action"], &entry["exit_code"])).collect();
    let (install, recover) = (json!("install"), json!("recover"));
    assert_eq!(ends, [(&install, &json!(30)), (&install, &Value::Null), (&recover, &json!(0))]);
    Ok(())
}

#[test]
fn a_report_is_written_over_nothing_but_a_report() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let mine = scenario.write("mine.txt", "mine")?;
    symlink(&mine, scenario.path("link.json"))?;
    scenario.directory("directory.json")?;
    let before = fs::read(&path)?;
    for name in
        ["mine.txt", "link.json", "directory.json", "package.run", "missing/report.json", "plan.md", "plan.html"]
    {
        let file = scenario.path(name);
        let arguments = ["--install", "--report", file.to_str().context("UTF-8")?];
        package_below(&path, &root, &arguments)?.exits(44)?.says("nothing was changed")?;
        assert!(!root.join("opt/ollama").exists(), "{name}");
    }
    package_below(&path, &root, &["--install", "--report", "-"])?.exits(44)?;
    assert_eq!((fs::read(&mine)?, fs::read(&path)?), (b"mine".to_vec(), before));
    package_below(&path, &root, &["--list", "--report", "report.json"])?.exits(2)?;
    package_below(&path, &root, &["--report", "report.json"])?.exits(2)?;
    reported(&path, &root, &["--verify"], 0)?;
    reported(&path, &root, &["--verify"], 0)?;
    Ok(())
}

#[test]
fn root_follows_no_link_that_others_may_have_made_to_a_report() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let (open, secret) = (scenario.directory("open")?, scenario.directory("secret")?);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777))?;
    symlink(&secret, open.join("link"))?;
    let file = open.join("link/report.json");
    let outcome = package_below(&path, &root, &["--verify", "--report", file.to_str().context("UTF-8")?])?;
    outcome.exits(44)?.says("users other than root can write to its directory")?;
    assert_eq!(fs::read_dir(secret)?.count(), 0);
    Ok(())
}

#[test]
fn a_report_that_finds_no_room_in_the_end_hides_nothing() -> Result<()> {
    if needs_mounts() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let (root, small) = (scenario.target("root")?, scenario.directory("small")?);
    let script = "mount -t tmpfs -o size=8k tmpfs \"$1\"; code=0; \
                  \"$2\" --install --root \"$3\" --report \"$1/report.json\" || code=$?; cat \"$1/report.json\" >&2; exit $code";
    let outcome = with_mounts(script, &[&small, &path, &root])?.exits(44)?;
    let outcome = outcome.says("the work is done, with exit code 0")?.says("\"ended\": null")?;
    outcome.says("sample 1.2.3 is installed")?;
    package_below(&path, &root, &["--status"])?.exits(0)?;
    fs::write(root.join("opt/ollama/bin/ollama"), "changed")?;
    let script = script.replace("--install", "--status");
    with_mounts(&script, &[&small, &path, &root])?.exits(23)?;
    Ok(())
}

#[test]
fn a_plan_to_approve_is_a_page_with_a_summary_first_and_nothing_of_it_is_markup() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::write_inputs(&scenario)?;
    let hostile = "<script>alert(1)</script> ``` | [x](y)";
    let path = scenario.build(&sample::MANIFEST.replace("Something of everything", hostile))?;
    let root = scenario.target("root")?;
    for name in ["plan.md", "plan.html"] {
        let file = scenario.path(name);
        package_below(&path, &root, &["--dry-run", "--report", file.to_str().context("UTF-8")?])?.exits(0)?;
        let page = fs::read_to_string(&file)?;
        assert!(!page.contains("<script") || name == "plan.md", "{page}");
        let (summary, every) = page.split_once("Every path").context("two parts")?;
        assert!(summary.contains("Summary") && summary.contains("alert(1)"), "{page}");
        // The path of a library that the summary counts.
        assert!(every.contains("/opt/ollama/lib/ollama/cuda_v12/libcudart.so.12"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
        assert!(page.contains("Exit code"), "{page}");
    }
    let file = scenario.path("plan.json");
    package_below(&path, &root, &["--dry-run", "--report", file.to_str().context("UTF-8")?])?.exits(0)?;
    let plan = package_below(&path, &root, &["--dry-run", "--json"])?.json()?;
    assert_eq!(read(&file)?["result"]["steps"], plan["steps"]);
    Ok(())
}

#[test]
fn a_build_reports_what_it_fetched_and_what_became_of_it() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = sample::build(&scenario)?;
    let build = |code: i32, arguments: &[&str]| -> Result<Value> {
        let mut command = scenario.builder()?;
        command.args(["--manifest", "AirGapDeploy.toml", "--report", "build.json", "--output", "package.run"]);
        run(command.args(arguments))?.exits(code)?;
        let report = read(&scenario.path("build.json"))?;
        assert_eq!(report["exit_code"], code, "{report:#}");
        Ok(report)
    };
    let report = build(0, &[])?;
    assert_eq!(report["package"]["digest"], Digest::of(&fs::read(&path)?).to_string());
    assert_eq!(report["package"]["index"], package(&path, &["--verify", "--json"])?.json()?["index"]);
    assert_eq!(report["manifest"]["digest"], Digest::of(sample::MANIFEST.as_bytes()).to_string());
    let sources = report["sources"].as_array().context("sources")?;
    let model = sources.iter().find(|source| source["component"] == "llama2-7b").context("the model")?;
    assert_eq!(model["digest"], Digest::of(&fs::read(scenario.path("inputs/llama2-7b.gguf"))?).to_string());
    assert_eq!(model["origin"], "local");

    let wrong = "install_path = \"models/llama2-7b.gguf\"";
    let login = "[[components]]\ntype = \"config-file\"\nname = \"far\"\ninstall_path = \"share/far\"\n\
                 source = { type = \"url\", url = \"http://user:hunter2@127.0.0.1:1/far\", checksum = \"";
    let far = format!("{}{login}{}\" }}\n", sample::MANIFEST, "0".repeat(64));
    scenario.write("AirGapDeploy.toml", &far)?;
    let report = build(43, &[])?;
    assert!(report["package"].is_null() && report["error"]["exit_code"] == 43, "{report:#}");
    assert!(!report.to_string().contains("hunter2"), "{report:#}");
    scenario.write("AirGapDeploy.toml", sample::MANIFEST.replace(wrong, "install_path = 7"))?;
    build(40, &[])?;

    scenario.write("AirGapDeploy.toml", sample::MANIFEST)?;
    for name in
        ["AirGapDeploy.toml", "inputs/notes.txt", "inputs/ollama/report.json", "package.run", "none/x.json", "-"]
    {
        let mut command = scenario.builder()?;
        run(command.args(["--manifest", "AirGapDeploy.toml", "--output", "package.run", "--report", name]))?
            .exits(44)?;
    }
    assert!(!scenario.path("inputs/ollama/report.json").exists());
    assert_eq!(fs::read_to_string(scenario.path("AirGapDeploy.toml"))?, sample::MANIFEST);
    Ok(())
}
