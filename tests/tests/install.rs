//! Installing below a root: what the plan says is what happens, once; twice changes nothing; and it can be undone.
//! On a booted machine with systemd, accounts and reboots it is the acceptance.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use e2e::crash::draft::Draft;
use e2e::crash::program::Run;
use e2e::scenario::tree::{Kind, Tree};
use e2e::scenario::{Scenario, package_below, sample};
use payload::index::Role;
use serde_json::Value;

fn texts(list: &Value) -> Result<Vec<String>> {
    let list = list.as_array().context("no list")?;
    Ok(list.iter().filter_map(|one| one.as_str().or(one["text"].as_str())).map(str::to_owned).collect())
}

#[test]
fn the_dry_run_as_json_agrees_with_what_installing_then_does() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let before = Tree::of(&root)?;
    let plan = package_below(&run, &root, &["--dry-run", "--json"])?.exits(0)?.json()?;
    before.equals(&Tree::of(&root)?)?;
    assert_eq!(plan["plan"], 1);
    assert_eq!(plan["root"], root.canonicalize()?.display().to_string());
    assert_eq!(plan["findings"], serde_json::json!([]));

    let said = package_below(&run, &root, &["--install", "--json"])?.exits(0)?;
    let done = said.json()?;
    assert_eq!(done["changed"], true);
    let lines: Vec<Value> = said.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let taken: Vec<&Value> = lines.iter().filter(|line| line["event"] == "step").collect();
    assert!(taken.iter().all(|line| line["outcome"] == "done"), "{taken:?}");
    let told: Vec<Value> = taken.iter().map(|line| line["text"].clone()).collect();
    assert_eq!(&told, done["steps"].as_array().context("steps")?);
    let staged: Vec<u64> = lines.iter().filter_map(|line| line["position"].as_u64()).collect();
    assert!(staged.is_sorted() && (2..=100).contains(&staged.len()), "{staged:?}");
    assert_eq!(
        lines.iter().rev().find(|line| line["event"] == "staged").context("staged")?["size"],
        staged[staged.len() - 1]
    );
    let placed = plan["steps"].as_array().context("steps")?.iter().filter(|step| step["action"] == "place-file");
    assert_eq!(done["placed"]["files"], placed.count());
    assert_eq!(texts(&done["steps"])?, texts(&plan["steps"])?);

    let after = Tree::of(&root)?;
    let mut announced = vec![];
    for step in plan["steps"].as_array().context("no steps")? {
        let Some(path) = step["path"].as_str() else { continue };
        let path = path.trim_start_matches('/');
        announced.push(path.to_owned());
        let node = after.get(path).with_context(|| format!("{path} was announced and is not there"))?;
        match step["action"].as_str().context("no action")? {
            "make-directory" => assert_eq!(node.kind, Kind::Directory),
            "place-file" => {
                let Kind::File(digest) = node.kind else { anyhow::bail!("{path} is no file") };
                assert_eq!(step["digest"], digest.to_string(), "{path}");
                assert_eq!(step["mode"], format!("{:04o}", node.mode), "{path}");
            }
            "make-symbolic-link" => {
                assert_eq!(node.kind, Kind::Link(step["target"].as_str().context("no target")?.into()));
            }
            "make-hard-link" => {
                let to = step["to"].as_str().context("no target")?.trim_start_matches('/');
                assert_eq!(Some(node.inode), after.get(to).map(|node| node.inode), "{path}");
            }
            other => anyhow::bail!("an unexpected step: {other}"),
        }
    }
    // And nothing else appeared, but for the installer's own directory.
    for path in after.0.keys().filter(|path| !before.0.contains_key(*path)) {
        let path = path.to_str().context("UTF-8")?;
        let own = Path::new("var/lib/airgap-deploy/sample").starts_with(path)
            || path.starts_with("var/lib/airgap-deploy/sample/");
        assert!(own || announced.iter().any(|one| one == path), "{path} was not announced");
    }
    Ok(())
}

#[test]
fn what_was_there_before_is_as_it_was() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let before = Tree::of(&root)?.without_directory_times();
    package_below(&run, &root, &["--install"])?.exits(0)?;
    let after = Tree::of(&root)?.without_directory_times();
    for (path, node) in &before.0 {
        assert_eq!(after.0.get(path), Some(node), "{}", path.display());
    }
    Ok(())
}

#[test]
fn installing_twice_changes_nothing_the_second_time_and_says_so() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    package_below(&run, &root, &["--install"])?.exits(0)?.says("is installed")?;
    let first = Tree::of(&root)?;
    package_below(&run, &root, &["--install"])?.exits(0)?.says("installed already: nothing was changed")?;
    first.equals(&Tree::of(&root)?)?;
    let again = package_below(&run, &root, &["--install", "--json"])?.exits(0)?.json()?;
    assert_eq!(again["changed"], false);
    first.equals(&Tree::of(&root)?)?;
    let plan = package_below(&run, &root, &["--dry-run", "--json"])?.exits(0)?.json()?;
    assert_eq!(plan["steps"], serde_json::json!([]));
    package_below(&run, &root, &["--status"])?.exits(0)?;
    first.equals(&Tree::of(&root)?)
}

#[test]
fn the_installer_that_stays_is_written_again_where_it_is_gone_or_does_not_run() -> Result<()> {
    const KEPT: &str = "var/lib/airgap-deploy/sample/airgap-deploy";
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    package_below(&run, &root, &["--install"])?.exits(0)?;
    let kept = root.join(KEPT);
    let first = (fs::read(&kept)?, fs::metadata(&kept)?.permissions());
    let spoilt: [fn(&Path) -> std::io::Result<()>; 3] = [
        |kept| fs::remove_file(kept),
        |kept| fs::set_permissions(kept, fs::Permissions::from_mode(0o600)),
        |kept| fs::write(kept, ""),
    ];
    for spoil in spoilt {
        spoil(&kept)?;
        let before = Tree::of(&root)?;
        let plan = package_below(&run, &root, &["--dry-run", "--json"])?.exits(0)?.json()?;
        let planned = plan["steps"].as_array().context("no steps")?;
        let [step] = planned.as_slice() else { anyhow::bail!("not one step: {plan}") };
        assert_eq!((&step["action"], &step["path"]), (&"keep-installer".into(), &format!("/{KEPT}").into()));
        package_below(&run, &root, &["--dry-run"])?.exits(0)?.says(&format!("keep the installer as /{KEPT} again"))?;
        before.equals(&Tree::of(&root)?)?;
        let done = package_below(&run, &root, &["--install", "--json"])?.exits(0)?.json()?;
        assert_eq!((&done["changed"], texts(&done["steps"])?), (&true.into(), texts(&plan["steps"])?));
        assert_eq!(first, (fs::read(&kept)?, fs::metadata(&kept)?.permissions()));
        let after = Tree::of(&root)?;
        // The copy itself says that all is well, and there is nothing left to do.
        package_below(&kept, &root, &["--status"])?.exits(0)?;
        package_below(&run, &root, &["--install"])?.exits(0)?.says("installed already: nothing was changed")?;
        after.equals(&Tree::of(&root)?)?;
    }
    package_below(&kept, &root, &["--uninstall"])?.exits(0)?;
    Ok(())
}

#[test]
fn uninstalling_leaves_the_target_as_it_was_before() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let before = Tree::of(&root)?.without_directory_times();
    package_below(&run, &root, &["--install"])?.exits(0)?;
    package_below(&run, &root, &["--uninstall"])?.exits(0)?;
    before.equals(&Tree::of(&root)?.without_directory_times())
}

#[test]
fn status_names_what_was_changed_and_installing_refuses_to_overwrite_it() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    package_below(&run, &root, &["--install"])?.exits(0)?;
    fs::write(root.join("opt/ollama/share/notes.txt"), "the administrator's own notes\n")?;
    fs::remove_file(root.join("opt/ollama/lib/ollama/libggml-base.so.0"))?;
    let status = package_below(&run, &root, &["--status", "--json"])?.exits(23)?;
    let problems =
        serde_json::from_str::<Value>(status.stdout.lines().next().context("nothing said")?)?["problems"].clone();
    assert_eq!(texts(&problems)?.len(), 2, "{problems}");
    let before = Tree::of(&root)?;
    let outcome = package_below(&run, &root, &["--install"])?.exits(23)?.says("notes.txt was changed since")?;
    outcome.says("--replace")?;
    before.equals(&Tree::of(&root)?)
}

#[test]
fn the_copy_of_the_stub_in_the_state_directory_is_the_stub() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    package_below(&run, &root, &["--install"])?.exits(0)?;
    let copy = root.join("var/lib/airgap-deploy/sample/airgap-deploy");
    let bytes = fs::read(&copy)?;
    assert!(fs::read(&run)?.starts_with(&bytes));
    // It knows which package it belongs to, and takes another package to install.
    package_below(&copy, &root, &["--status"])?.exits(0)?.says("sample 1.2.3 is installed")?;
    package_below(&copy, &root, &["--payload", run.to_str().context("UTF-8")?, "--install"])?.exits(0)?;
    package_below(&copy, &root, &["--install"])?.exits(10)?.says("--payload FILE")?;
    Ok(())
}

/// The installer makes `/var` and `/var/lib` for its journal, before the first step of the plan.
#[test]
fn a_package_below_the_installers_own_directories_is_installed_as_planned() -> Result<()> {
    let scratch = e2e::crash::directory()?;
    let (run, root) = (scratch.path().join("x.run"), scratch.path().join("root"));
    let mut draft = Draft::new("1", "var/lib/x", false)?;
    draft.directory("var")?.directory("var/lib")?.directory("var/lib/x")?;
    draft.file("var/lib/x/file", Role::Program, 0o644, b"content")?.write(&run)?;
    fs::create_dir(&root)?;
    for action in ["--dry-run", "--install", "--install", "--status", "--uninstall"] {
        let ended = Run::new(&run, &root, &[action]).end();
        assert_eq!(ended.code, Some(0), "{action}: {ended:?}");
    }
    assert_eq!(fs::read_dir(&root)?.count(), 0, "an uninstallation leaves something");
    let killed = Run::new(&run, &root, &["--install"]).set("KILL_AT", 40).end();
    assert!(killed.killed, "{killed:?}");
    let recovered = Run::new(&run, &root, &["--recover"]).end();
    assert_eq!(recovered.code, Some(0), "{recovered:?}");
    assert_eq!(fs::read_dir(&root)?.count(), 0, "a recovery leaves something");
    Ok(())
}

/// On a disk that has to turn for each of them, synchronisations are what an installation of many files takes.
#[test]
fn a_file_of_root_takes_two_synchronisations() -> Result<()> {
    const FILES: usize = 40;
    let scratch = e2e::crash::directory()?;
    let counted = |files: usize| -> Result<usize> {
        let name = |kind: &str| scratch.path().join(format!("{kind}{files}"));
        let (run, root, log) = (name("x.run"), name("root"), name("log"));
        let mut draft = Draft::new("1", "opt/x", false)?;
        draft.directory("opt")?.directory("opt/x")?;
        for number in 0..files {
            draft.file(&format!("opt/x/{number}"), Role::Program, 0o755, format!("content {number}").as_bytes())?;
        }
        draft.write(&run)?;
        fs::create_dir(&root)?;
        let ended = Run::new(&run, &root, &["--install"]).set("LOG", log.display()).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        Ok(fs::read_to_string(&log)?.lines().filter(|line| line.contains("\"fsync")).count())
    };
    // Its content with mode and owner, its line in the journal. The names of files in one directory take one together.
    assert_eq!(counted(2 * FILES)? - counted(FILES)?, 2 * FILES);
    Ok(())
}
