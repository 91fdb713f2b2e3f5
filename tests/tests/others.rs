//! Everybody else: what was named is what is meant, and what others change between a crash and its recovery is theirs.
//! The series over all changes are in `crash_kill.rs` and `faults_injected.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::crash::draft::Draft;
use e2e::crash::program::{Ended, Run};
use e2e::crash::stage::Stage;
use e2e::crash::stopped::{go_on, stopped};
use e2e::crash::trials::{Scratch, Series};
use e2e::scenario::tree::Tree;
use e2e::scenario::{Scenario, package, package_below, sample};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use payload::index::Role;

const JOURNAL: &str = "var/lib/airgap-deploy/demo/journal";

/// Kills an upgrade before a change in its last third, when much of it is in place.
fn killed_upgrade(stage: &Stage) -> Result<Scratch> {
    let action = ["--install", "--replace"];
    let changes = Series::new(&stage.installed, &stage.second, &action)?.changes()?;
    let scratch = Scratch::of(&stage.installed)?;
    let ended = Run::new(&stage.second, &scratch.root, &action).set("KILL_AT", changes * 2 / 3).end();
    ensure!(ended.killed && scratch.root.join(JOURNAL).exists(), "{ended:?}");
    Ok(scratch)
}

fn recover(stage: &Stage, root: &Path) -> Ended {
    Run::new(&stage.second, root, &["--recover"]).end()
}

#[test]
fn a_payload_that_was_named_and_cannot_be_read_is_an_error_whatever_the_program_is() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    package_below(&run, &root, &["--install"])?.exits(0)?;
    let copy = root.join("var/lib/airgap-deploy/sample/airgap-deploy");
    let text = |path: &Path| path.to_str().map(str::to_owned).context("UTF-8");
    for action in ["--uninstall", "--status", "--recover"] {
        let missing = text(&scenario.path("nonexistent.run"))?;
        package_below(&copy, &root, &["--payload", &missing, action])?.exits(41)?.says("nonexistent.run")?;
    }
    let cut = scenario.path("cut.run");
    let bytes = fs::read(&run)?;
    fs::write(&cut, &bytes[..bytes.len() - 100])?;
    package_below(&copy, &root, &["--payload", &text(&cut)?, "--uninstall"])?.exits(10)?;
    // A package below a directory that has another's name is still itself, and is damaged.
    let named = root.join("var/lib/airgap-deploy/other");
    fs::create_dir(&named)?;
    let moved = named.join("sample.run");
    fs::copy(&cut, &moved)?;
    fs::set_permissions(&moved, fs::metadata(&run)?.permissions())?;
    package_below(&moved, &root, &["--uninstall"])?.exits(10)?;
    fs::remove_dir_all(&named)?;
    package_below(&copy, &root, &["--status"])?.exits(0)?;
    // Its own copy, elsewhere or asked about another root, is about nothing.
    let elsewhere = scenario.directory("elsewhere/sample")?.join("airgap-deploy");
    fs::copy(&copy, &elsewhere)?;
    package_below(&elsewhere, &root, &["--uninstall"])?.exits(10)?;
    package_below(&copy, &scenario.target("another")?, &["--uninstall"])?.exits(10)?;
    package_below(&copy, &root, &["--recover", "sample"])?.exits(0)?.says("nothing to recover")?;
    package_below(&copy, &root, &["--status"])?.exits(0)?;
    package_below(&copy, &root, &["--uninstall"])?.exits(0)?;
    for action in ["--uninstall", "--status"] {
        package_below(&run, &root, &[action])?.exits(41)?.says("is not installed")?;
    }
    // A name that was typed wrong is no machine on which all is well; what carries a package says that nothing was interrupted.
    for action in [&["--recover", "nosuch"][..], &["--recover", "nosuch", "--dry-run"]] {
        package_below(&run, &root, action)?.exits(41)?.says("nosuch is not installed")?;
    }
    package_below(&run, &root, &["--recover"])?.exits(0)?.says("nothing to recover")?;
    Ok(())
}

#[test]
fn a_fifo_as_payload_is_refused_and_not_waited_for() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let fifo = scenario.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    for action in ["--verify", "--dry-run", "--status"] {
        package(&run, &["--payload", fifo.to_str().context("UTF-8")?, action])?
            .exits(41)?
            .says("not a regular file")?;
    }
    Ok(())
}

#[test]
fn the_rescue_systems_services_are_nobodys_business() -> Result<()> {
    let stage = Stage::new(false)?;
    let scratch = killed_upgrade(&stage)?;
    // As the journal of an upgrade on the running system has them.
    let journal = scratch.root.join(JOURNAL);
    let mut lines: Vec<String> = fs::read_to_string(&journal)?.lines().map(str::to_owned).collect();
    lines[0] = lines[0].replace("\"reload\":false", "\"reload\":true");
    lines.insert(1, r#"{"step":"stop-unit","unit":"demo.service"}"#.to_owned());
    lines.push(r#"{"step":"reload-systemd"}"#.to_owned());
    lines.push(r#"{"step":"enable-unit","unit":"demo.service"}"#.to_owned());
    lines.push(r#"{"step":"start-unit","unit":"demo.service"}"#.to_owned());
    fs::write(&journal, lines.join("\n") + "\n")?;
    // What systemd's tool makes of the third: it is taken back by the same tool, which is told the root, and asks no systemd.
    let wanted = scratch.root.join("etc/systemd/system/multi-user.target.wants/demo.service");
    fs::create_dir_all(wanted.parent().context("it has one")?)?;
    std::os::unix::fs::symlink("/etc/systemd/system/demo.service", &wanted)?;
    let ended = recover(&stage, &scratch.root);
    if Path::new("/usr/bin/systemctl").exists() {
        ensure!(ended.code == Some(0) && !wanted.is_symlink(), "it is still enabled: {ended:?}");
    } else {
        ensure!(ended.code == Some(33) && ended.text.contains("demo.service may still be enabled"), "{ended:?}");
    }
    ensure!(!ended.text.contains("systemctl"), "this machine's systemd was asked: {ended:?}");
    ensure!(!journal.exists(), "the journal has no end");
    let status = Run::new(&stage.first, &scratch.root, &["--status"]).end();
    ensure!(status.code == Some(0), "{status:?}");
    Ok(())
}

#[test]
fn what_somebody_changed_after_a_crash_stays_and_is_named() -> Result<()> {
    let stage = Stage::new(false)?;
    let scratch = killed_upgrade(&stage)?;
    let at = |path: &str| scratch.root.join(path);
    let theirs = b"edited after the crash".as_slice();
    // Edited in place, replaced, and made anew where the old version had one.
    fs::write(at("opt/demo/bin/demo"), theirs)?;
    fs::remove_file(at("opt/demo/bin/tool"))?;
    fs::write(at("opt/demo/bin/tool"), theirs)?;
    fs::write(at("opt/demo/lib/new-of-theirs"), theirs)?;
    let ended = recover(&stage, &scratch.root);
    ensure!(ended.code == Some(23), "{ended:?}");
    for path in ["/opt/demo/bin/demo", "/opt/demo/bin/tool"] {
        ensure!(ended.text.contains(&format!("{path} was changed by somebody else")), "{path} is not named: {ended:?}");
        ensure!(fs::read(at(&path[1..]))? == theirs, "{path} was lost");
    }
    ensure!(fs::read(at("opt/demo/lib/new-of-theirs"))? == theirs, "a new file was lost");
    let before = fs::read(stage.installed.join("opt/demo/bin/demo"))?;
    let kept = fs::read(at("opt/demo/bin/demo.airgap-deploy-backup"))?;
    ensure!(kept == before, "the version before is lost");
    ensure!(!at(JOURNAL).exists(), "the journal has no end");
    let again = recover(&stage, &scratch.root);
    ensure!(again.code == Some(0), "{again:?}");
    let installed = Run::new(&stage.second, &scratch.root, &["--install", "--replace"]).end();
    ensure!(installed.code == Some(0), "{installed:?}");
    Ok(())
}

/// A target on which `etc/demo.conf` of the administrator was set aside, and then `change` was made where it is kept.
fn set_aside(stage: &Stage, change: impl Fn(&Path) -> std::io::Result<()>) -> Result<Scratch> {
    let scratch = Scratch::of(&stage.installed)?;
    let ended = Run::new(&stage.second, &scratch.root, &["--install", "--replace"]).end();
    ensure!(ended.code == Some(0), "{ended:?}");
    change(&scratch.root.join(ASIDE))?;
    Ok(scratch)
}

const ASIDE: &str = "etc/demo.conf.airgap-deploy-backup";

#[test]
fn only_what_was_set_aside_is_put_back() -> Result<()> {
    let stage = Stage::new(false)?;
    let theirs = b"of somebody else\n".as_slice();
    let edit = |path: &Path| fs::write(path, theirs);
    let replace = |path: &Path| fs::remove_file(path).and_then(|()| fs::write(path, theirs));
    for change in [&edit as &dyn Fn(&Path) -> std::io::Result<()>, &replace] {
        let scratch = set_aside(&stage, change)?;
        let uninstall = |action: &[&str]| Run::new(&stage.second, &scratch.root, action).end();
        for action in [&["--uninstall", "--dry-run"][..], &["--uninstall"]] {
            let ended = uninstall(action);
            let said = format!("/{ASIDE} is no longer the backup of /etc/demo.conf: it stays");
            ensure!(ended.code == Some(32) && ended.text.contains(&said), "{action:?}: {ended:?}");
            ensure!(fs::read(scratch.root.join(ASIDE))? == theirs, "{action:?}: what they made is gone");
        }
        ensure!(!scratch.root.join("etc/demo.conf").exists(), "the package's file is left");
    }
    // A link in its place leads to the very same content, and still is not what was set aside.
    let scratch = set_aside(&stage, |path| {
        fs::rename(path, path.with_file_name("moved"))?;
        std::os::unix::fs::symlink("moved", path)
    })?;
    let ended = Run::new(&stage.second, &scratch.root, &["--uninstall"]).end();
    ensure!(ended.code == Some(32) && scratch.root.join(ASIDE).is_symlink(), "{ended:?}");
    // What was removed cannot be put back, which is said; and what was only moved away and back again is still the same.
    let scratch = set_aside(&stage, |path| fs::remove_file(path))?;
    let ended = Run::new(&stage.second, &scratch.root, &["--uninstall"]).end();
    let said = format!("/{ASIDE} is gone: what was at /etc/demo.conf before cannot be put back");
    ensure!(ended.code == Some(32) && ended.text.contains(&said), "{ended:?}");
    let scratch = set_aside(&stage, |path| {
        let copy = fs::read(path)?;
        fs::remove_file(path).and_then(|()| fs::write(path, copy))
    })?;
    let ended = Run::new(&stage.second, &scratch.root, &["--uninstall"]).end();
    let back = fs::read(scratch.root.join("etc/demo.conf"))?;
    ensure!(ended.code == Some(0) && back == b"of the administrator\n", "{ended:?}");
    Ok(())
}

#[test]
fn a_file_that_changed_since_the_plan_is_not_replaced() -> Result<()> {
    let stage = Stage::new(false)?;
    let action = ["--install", "--replace"];
    let (mut refused, mut said) = (0, 0);
    for change in (1..Series::new(&stage.installed, &stage.second, &action)?.changes()?).step_by(6) {
        let scratch = Scratch::of(&stage.installed)?;
        let child = stopped(Run::new(&stage.second, &scratch.root, &action), change)?.context("it ended")?;
        let (file, aside) = (scratch.root.join("etc/demo.conf"), scratch.root.join(ASIDE));
        if aside.exists() {
            fs::write(&aside, "edited meanwhile\n")?;
            let ended = go_on(child)?;
            ensure!(ended.code == Some(0), "change {change}: {ended:?}");
            said += u32::from(ended.text.contains("will not put it back"));
            let ended = Run::new(&stage.second, &scratch.root, &["--uninstall"]).end();
            ensure!(ended.code == Some(32) && ended.text.contains(ASIDE), "change {change}: {ended:?}");
            ensure!(fs::read(&aside)? == b"edited meanwhile\n", "change {change}: their file is gone");
        } else {
            fs::write(&file, "edited meanwhile\n")?;
            let ended = go_on(child)?;
            ensure!(ended.code == Some(30), "change {change}: {ended:?}");
            ensure!(ended.text.contains("/etc/demo.conf was changed while the installation ran"), "{ended:?}");
            ensure!(fs::read(&file)? == b"edited meanwhile\n", "change {change}: their file is gone");
            refused += 1;
        }
    }
    ensure!(refused > 5 && said > 5, "hardly a trial was made: {refused}, {said}");
    Ok(())
}

#[test]
fn an_uninstallation_is_shown_before_it_is_made_and_is_what_was_shown() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    package_below(&run, &root, &["--install"])?.exits(0)?;
    package_below(&run, &root, &["--uninstall", "--dry-run"])?.exits(0)?.says("Nothing was changed")?;
    fs::write(root.join("opt/ollama/lib/ollama/of-theirs"), "new")?;
    fs::write(root.join("opt/ollama/share/notes.txt"), "edited")?;
    let changed = Tree::of(&root)?;
    let shown = package_below(&run, &root, &["--uninstall", "--dry-run"])?.exits(32)?;
    shown.says("/opt/ollama/lib/ollama/ is not empty: of-theirs")?.says("/opt/ollama/share/notes.txt was changed")?;
    let purge = package_below(&run, &root, &["--uninstall", "--purge", "--dry-run", "--json"])?.exits(0)?;
    let document: serde_json::Value = serde_json::from_str(purge.stdout.lines().next().context("no document")?)?;
    ensure!(document["dry_run"] == true && document["stays"].as_array().is_some_and(Vec::is_empty), "{document}");
    changed.equals(&Tree::of(&root)?)?;
    let left = package_below(&run, &root, &["--uninstall"])?.exits(32)?;
    left.says("/opt/ollama/lib/ollama/ is not empty: of-theirs")?.says("/opt/ollama/share/notes.txt was changed")?;
    Ok(())
}

#[test]
fn a_recovery_is_shown_before_it_is_made() -> Result<()> {
    let stage = Stage::new(false)?;
    let scratch = killed_upgrade(&stage)?;
    let before = fs::read(scratch.root.join(JOURNAL))?;
    let shown = Run::new(&stage.second, &scratch.root, &["--recover", "--dry-run"]).end();
    ensure!(shown.code == Some(0) && shown.text.contains("undo: update /opt/demo/bin/demo"), "{shown:?}");
    ensure!(fs::read(scratch.root.join(JOURNAL))? == before, "the journal was changed");
    let done = Run::new(&stage.second, &scratch.root, &["--recover", "--json"]).end();
    ensure!(done.code == Some(0) && done.text.contains(r#""outcome":"rolled-back""#), "{done:?}");
    Ok(())
}

#[test]
fn what_decides_what_runs_as_root_is_said_and_a_directory_of_anybodys_is_refused() -> Result<()> {
    let stage = Stage::new(false)?;
    let mut draft = Draft::new("1", "opt/demo", false)?;
    draft.directory("etc")?.directory("etc/cron.d")?.directory("etc/systemd")?.directory("etc/systemd/system")?;
    draft
        .directory("opt")?
        .directory("opt/demo")?
        .directory("usr")?
        .directory("usr/local")?
        .directory("usr/local/bin")?;
    draft.directory("usr/lib")?.directory("usr/lib/systemd")?.directory("usr/lib/systemd/system")?;
    draft.file("etc/cron.d/demo", Role::Config, 0o644, b"* * * * * root id\n")?;
    draft.file("usr/local/bin/demo", Role::Program, 0o755, b"program")?;
    draft.unit("sshd.service", "[Service]\nExecStart=/usr/local/bin/demo\n")?;
    let package = stage.path().join("power.run");
    draft.write(&package)?;
    let scratch = Scratch::of(&stage.bare)?;
    let dry_run = || Run::new(&package, &scratch.root, &["--dry-run"]).end();
    let shown = dry_run();
    ensure!(shown.code == Some(0), "{shown:?}");
    for said in [
        "These decide what runs as root on this machine:",
        "/etc/cron.d/demo: cron runs it, as the user it names",
        "/usr/local/bin/demo: anybody who types its name runs it, root too",
        "/etc/systemd/system/sshd.service: systemd runs what it says",
    ] {
        ensure!(shown.text.contains(said), "{said:?} is missing: {}", shown.text);
    }
    // Somebody else's unit of that name, and a prefix that anybody may change.
    let theirs = scratch.root.join("usr/lib/systemd/system/sshd.service");
    fs::create_dir_all(theirs.parent().context("a directory")?)?;
    fs::write(&theirs, "[Service]\n")?;
    let prefix = scratch.root.join("opt/demo");
    fs::create_dir_all(&prefix)?;
    fs::set_permissions(&prefix, fs::Permissions::from_mode(0o777))?;
    let shown = dry_run();
    ensure!(shown.code == Some(23), "{shown:?}");
    for said in
        ["/usr/lib/systemd/system/sshd.service is somebody else's", "/opt/demo can be changed by anybody (mode 0777)"]
    {
        ensure!(shown.text.contains(said), "{said:?} is missing: {}", shown.text);
    }
    Ok(())
}

/// Starts an action, waits until it notices signals, and sends it a Ctrl-C. An action that went on hashing what is larger
/// than any disk would be ended by its limit of processor time instead.
fn interrupted(package: &Path, root: &Path, action: &[&str]) -> Result<Ended> {
    let stub = Run::new(package, root, action).command();
    let mut command = Command::new("prlimit");
    command.arg("--cpu=8").arg(stub.get_program()).args(stub.get_args()).env_clear().process_group(0);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    loop {
        let caught = fs::read_to_string(&status)?;
        let caught = caught.lines().find_map(|line| line.strip_prefix("SigCgt:")).context("no SigCgt")?;
        if u64::from_str_radix(caught.trim(), 16)? & (1 << 1) != 0 {
            break;
        }
        std::thread::yield_now();
    }
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    Ok(child.wait_with_output()?.into())
}

#[test]
fn a_ctrl_c_ends_hashing_at_once_and_changes_nothing() -> Result<()> {
    let stage = Stage::new(false)?;
    let model = stage.installed.join("opt/demo/models/m.gguf");
    // Sparse: takes no room, and minutes to read.
    fs::File::options().write(true).open(&model)?.set_len(1 << 37)?;
    let ended = interrupted(&stage.second, &stage.installed, &["--install", "--replace"])?;
    ensure!(ended.code == Some(130) && ended.text.contains("nothing was changed"), "{ended:?}");
    ensure!(!stage.installed.join(JOURNAL).exists() && fs::metadata(&model)?.len() == 1 << 37, "something changed");
    Ok(())
}

#[test]
fn after_a_power_cut_the_machine_recovers_without_the_medium() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let root = scenario.target("root")?;
    let before = e2e::tree::Tree::read(&root)?;
    let copy = root.join("var/lib/airgap-deploy/sample/airgap-deploy");
    let medium = scenario.directory("medium")?.join("sample.run");
    let (mut back, mut forward) = (0, 0);
    for change in (1..).step_by(31) {
        fs::copy(&run, &medium)?;
        let killed = Run::new(&medium, &root, &["--install"]).set("KILL_AT", change).end();
        fs::remove_file(&medium)?;
        if !killed.killed {
            break;
        }
        // Before the journal there is nothing to recover, and what lies around has no name that anybody reads.
        if copy.parent().is_some_and(Path::is_dir) {
            let status = package_below(&copy, &root, &["--status"])?;
            if status.code == 23 {
                status.says("--recover goes back")?;
                back += 1;
            }
            package_below(&copy, &root, &["--recover"])?.exits(0)?;
        }
        if copy.exists() {
            package_below(&copy, &root, &["--status"])?.exits(0)?;
            package_below(&copy, &root, &["--uninstall"])?.exits(0)?;
            forward += 1;
        }
        // What had not appeared yet is cleared away by whoever comes next.
        package_below(&run, &root, &["--recover"])?.exits(0)?;
        let left = before.difference(&e2e::tree::Tree::read(&root)?);
        ensure!(left.is_empty(), "killed at {change}:\n{left}");
    }
    println!("without the medium: {back} recoveries back, {forward} forward");
    ensure!(back > 5 && forward > 0, "hardly a trial was made: {back}, {forward}");
    Ok(())
}
