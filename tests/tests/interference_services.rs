//! Services and accounts among others: units that do not start again, and what somebody does to units and accounts at every
//! change of an installation, an upgrade and an uninstallation, and between a crash and what is called next. Stand-ins answer
//! for systemd and the account tools (`crash/living.rs`); a sample with the real ones is in `matrix.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use e2e::crash::foreign::{Act, Done, Things, act};
use e2e::crash::living::{Living, STATE, is_impossible};
use e2e::crash::program::Ended;
use e2e::crash::stopped::go_on;
use e2e::crash::trials::on_threads;
use e2e::crash::{directory, sample};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;

const UNIT: &str = "demo.service";
const FILE: &str = "etc/systemd/system/demo.service";

/// The two versions, on this host.
struct Packages {
    _directory: TempDir,
    first: PathBuf,
    second: PathBuf,
}

/// The first version runs as root when it has no account; the second always has one.
fn packages(account: bool) -> Result<Packages> {
    let kept = directory()?;
    let (first, second) = (kept.path().join("first.run"), kept.path().join("second.run"));
    sample::first(account)?.write(&first)?;
    sample::second(true)?.write(&second)?;
    Ok(Packages { _directory: kept, first, second })
}

fn installed(packages: &Packages) -> Result<Living> {
    let living = Living::new()?;
    living.must(&packages.first, &["--install", "--enable", "--start"])?;
    ensure!(living.has(UNIT, "up") && living.has(UNIT, "enabled"), "the service does not run");
    Ok(living)
}

/// Everything that is no state of systemd.
fn things(living: &Living) -> Result<Things> {
    let mut things = Things::below(&living.root)?;
    things.0.retain(|path, _| !path.starts_with("run") && !path.starts_with("tmp"));
    Ok(things)
}

/// A unit that cannot be started again holds nothing up: files and accounts go back, it is reported, and the journal ends.
#[test]
fn a_service_that_cannot_start_again_is_reported_when_all_else_is_back() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let packages = packages(false)?;
    let living = installed(&packages)?;
    let before = things(&living)?;
    let mut trials = 0;
    for masked in [true, false] {
        for change in (30..).step_by(15) {
            let trial = living.again()?;
            let ended = trial.run(&packages.second, &["--install", "--replace"], &[("KILL_AT", change)])?;
            if !ended.killed {
                break;
            }
            if trial.has(UNIT, "up") || !trial.has_journal() {
                continue;
            }
            trials += 1;
            trial.set(UNIT, "broken", !masked)?;
            let unit = trial.root.join(FILE);
            if masked {
                fs::remove_file(&unit)?;
                std::os::unix::fs::symlink("/dev/null", &unit)?;
            }
            let said = |ended: &Ended| ended.text.contains("Service failed to start") && ended.text.contains(UNIT);
            let ended = trial.run(&packages.second, &["--recover"], &[])?;
            // Killed after the receipt, it goes forward, and the service is what fails.
            ensure!(ended.code == Some(33) && said(&ended), "change {change}: {ended:?}");
            ensure!(!trial.has_journal(), "change {change}: the journal does not end");
            if !ended.text.contains("the package is installed") {
                let mut now = things(&trial)?;
                let mut expected = before.clone();
                if masked {
                    now.0.retain(|path, _| !path.starts_with(FILE));
                    expected.0.retain(|path, _| !path.starts_with(FILE));
                }
                now.0.retain(|path, _| !path.to_string_lossy().contains("demo.service.airgap-deploy-backup"));
                ensure!(now == expected, "change {change}, masked {masked}: not everything is back: {ended:?}");
                ensure!(trial.accounts("passwd", "demo")?.is_empty(), "change {change}: the account is left");
            }
            let again = trial.run(&packages.second, &["--recover"], &[])?;
            ensure!(again.code == Some(0), "change {change}: {again:?}");
            let next = trial.run(&packages.first, &["--uninstall"], &[])?;
            ensure!(next.code != Some(31), "change {change}: {next:?}");
        }
    }
    println!("a service that cannot start again: {trials} recoveries");
    ensure!(trials > 10, "hardly a trial was made: {trials}");
    Ok(())
}

/// An error in the middle of an upgrade instead of a crash.
#[test]
fn a_rollback_ends_though_the_service_cannot_start_again() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let packages = packages(false)?;
    let living = installed(&packages)?;
    living.set(UNIT, "broken", true)?;
    let before = things(&living)?;
    let ended = living.run(&packages.second, &["--install"], &[])?;
    ensure!(ended.code == Some(23), "without --replace a file is in the way: {ended:?}");
    let mut rolled_back = 0;
    for change in (40..200).step_by(20) {
        let trial = living.again()?;
        let mut command = trial.command(&packages.second, &["--install", "--replace"], &[])?;
        let ended: Ended = command.env("AIRGAP_DEPLOY_FAIL_AT", format!("{change}:5")).output()?.into();
        if trial.has(UNIT, "up") || ended.text.contains("the package is installed") {
            continue;
        }
        rolled_back += 1;
        ensure!(ended.code == Some(33) && ended.text.contains(UNIT), "{change}: {ended:?}");
        ensure!(things(&trial)? == before && !trial.has_journal(), "{change}: not everything is back: {ended:?}");
    }
    ensure!(rolled_back > 2, "hardly a trial was made: {rolled_back}");
    Ok(())
}

/// Two services, and whichever fails to start: the other one is started, and each failure is reported.
#[test]
fn every_service_is_started_and_each_failure_is_reported() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let kept = directory()?;
    let two = kept.path().join("two.run");
    let mut draft = sample::first(true)?;
    draft.unit("other.service", "[Service]\nExecStart=/opt/demo/bin/tool\n")?;
    draft.write(&two)?;
    let units = [UNIT, "other.service"];
    for broken in [&[UNIT][..], &["other.service"], &units] {
        let living = Living::new()?;
        for unit in broken {
            living.set(unit, "broken", true)?;
        }
        let ended = living.run(&two, &["--install", "--start"], &[])?;
        ensure!(ended.code == Some(33), "{broken:?}: {ended:?}");
        let error = ended.text.split("error: ").nth(1).context("no error")?;
        for unit in units {
            let fails = broken.contains(&unit);
            ensure!(living.has(unit, "up") != fails, "{broken:?}: {unit} was not tried: {ended:?}");
            ensure!(error.contains(&format!("Job for {unit}")) == fails, "{broken:?}: {ended:?}");
        }
        ensure!(!living.has_journal(), "{broken:?}: the installation is complete");
    }
    Ok(())
}

/// From a rescue system, below another root: its systemd is never asked, and account tools are told the other root.
#[test]
fn below_another_root_nothing_of_this_machine_is_touched() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let packages = packages(true)?;
    let rescue = Living::new()?;
    let target = rescue.root.join("mnt/target");
    fs::create_dir_all(rescue.root.join("mnt"))?;
    sample::target(&target, true)?;
    let bare = things(&rescue)?;
    let go = |package: &Path, action: &[&str], settings: &[(&str, u64)]| {
        rescue.run(package, &[action, &["--root", "/mnt/target"]].concat(), settings)
    };
    let log = rescue.root.join(STATE).join("log");
    let untouched = |what: &str| -> Result<()> {
        let text = fs::read_to_string(&log).unwrap_or_default();
        for line in text.lines() {
            let told = line.split_once(' ').is_some_and(|(tool, rest)| match tool {
                "systemctl" => ["enable", "disable", "is-enabled"]
                    .iter()
                    .any(|verb| rest.starts_with(&format!("{verb} --root=/mnt/target "))),
                _ => rest.starts_with("--prefix /mnt/target "),
            });
            ensure!(told, "{what}: {line:?} was run on this machine");
        }
        Ok(())
    };
    let must = |ended: Ended| -> Result<()> {
        ensure!(ended.code == Some(0), "{ended:?}");
        Ok(())
    };
    // Forward, and when it fails.
    for change in [60, 110, 160] {
        let failing = [&["--install", "--enable", "--start"][..], &["--root", "/mnt/target"]].concat();
        let mut command = rescue.command(&packages.first, &failing, &[])?;
        let ended: Ended = command.env("AIRGAP_DEPLOY_FAIL_AT", format!("{change}:5")).output()?.into();
        ensure!(ended.code == Some(30), "{ended:?}");
        untouched("a failing --install")?;
    }
    must(go(&packages.first, &["--install", "--enable", "--start"], &[])?)?;
    untouched("--install")?;
    // Back, with a journal as an upgrade on the running target leaves it.
    let journal = target.join("var/lib/airgap-deploy/demo/journal");
    for change in (20..).step_by(20) {
        let ended = go(&packages.second, &["--install", "--replace"], &[("KILL_AT", change)])?;
        if !ended.killed {
            break;
        }
        if let Ok(text) = fs::read_to_string(&journal) {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines[0] = lines[0].replace("\"reload\":false", "\"reload\":true");
            lines.insert(1, format!(r#"{{"step":"stop-unit","unit":"{UNIT}"}}"#));
            lines.push(r#"{"step":"reload-systemd"}"#.to_owned());
            lines.push(format!(r#"{{"step":"start-unit","unit":"{UNIT}"}}"#));
            fs::write(&journal, lines.join("\n") + "\n")?;
        }
        must(go(&packages.second, &["--recover"], &[])?)?;
        untouched("--recover")?;
    }
    // Out.
    must(go(&packages.second, &["--uninstall", "--dry-run"], &[])?)?;
    must(go(&packages.second, &["--uninstall", "--purge"], &[])?)?;
    untouched("--uninstall")?;
    ensure!(fs::read_to_string(&log)?.contains("useradd --prefix /mnt/target"), "no account was ever made");
    ensure!(things(&rescue)? == bare, "something is left, here or there");
    Ok(())
}

/// What somebody does to a unit or an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// In the place of the one that is there, if there is one.
    MakeUser,
    MakeGroup,
    RemoveUser,
    RemoveGroup,
    EditUnit,
    MaskUnit,
    StartUnit,
    StopUnit,
    EnableUnit,
    DisableUnit,
    BreakUnit,
}

const DEEDS: [Deed; 11] = [
    Deed::MakeUser,
    Deed::MakeGroup,
    Deed::RemoveUser,
    Deed::RemoveGroup,
    Deed::EditUnit,
    Deed::MaskUnit,
    Deed::StartUnit,
    Deed::StopUnit,
    Deed::EnableUnit,
    Deed::DisableUnit,
    Deed::BreakUnit,
];

/// Accounts of somebody else have numbers that no installer takes.
const THEIR_USER: &str = "demo:x:4321:0:theirs:/srv:/usr/sbin/nologin";
const THEIR_GROUP: &str = "demo:x:4321:";

/// `None` when there is nothing to do it to; `Some(None)` when it leaves no file of somebody's.
#[expect(clippy::option_option, reason = "each level has a meaning of its own")]
fn deed(deed: Deed, living: &Living, number: u64) -> Result<Option<Option<Done>>> {
    let add = |file: &str, line: &str| -> Result<bool> {
        let path = living.root.join("etc").join(file);
        let text = fs::read_to_string(&path)?;
        let others = text.lines().filter(|other| !other.starts_with("demo:"));
        let lines: Vec<&str> = others.chain([line]).collect();
        fs::write(&path, lines.join("\n") + "\n")?;
        Ok(true)
    };
    let remove = |file: &str| -> Result<bool> {
        let path = living.root.join("etc").join(file);
        let text = fs::read_to_string(&path)?;
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("demo:")).collect();
        fs::write(&path, lines.join("\n") + "\n")?;
        Ok(lines.len() < text.lines().count())
    };
    let set = |what: &str, has: bool| -> Result<bool> {
        let differs = living.has(UNIT, what) != has && living.root.join(FILE).exists();
        living.set(UNIT, what, living.has(UNIT, what) != differs)?;
        Ok(differs)
    };
    let on_file = |kind: Act| act(kind, &living.root, Path::new(FILE), number);
    Ok(match deed {
        Deed::MakeUser => add("passwd", THEIR_USER)?.then_some(None),
        Deed::MakeGroup => add("group", THEIR_GROUP)?.then_some(None),
        Deed::RemoveUser => remove("passwd")?.then_some(None),
        Deed::RemoveGroup => remove("group")?.then_some(None),
        Deed::EditUnit => on_file(Act::Edit)?.map(Some),
        Deed::MaskUnit => {
            let done = on_file(Act::LinkInstead)?;
            if done.is_some() {
                // As the real one has it.
                fs::remove_file(living.root.join(FILE))?;
                std::os::unix::fs::symlink("/dev/null", living.root.join(FILE))?;
            }
            done.map(|_| None)
        }
        Deed::StartUnit => set("up", true)?.then_some(None),
        Deed::StopUnit => set("up", false)?.then_some(None),
        Deed::EnableUnit => set("enabled", true)?.then_some(None),
        Deed::DisableUnit => set("enabled", false)?.then_some(None),
        Deed::BreakUnit => set("broken", true)?.then_some(None),
    })
}

struct Scene<'a> {
    prior: &'a Living,
    package: &'a Path,
    action: &'static [&'static str],
    changes: u64,
}

impl Scene<'_> {
    /// Standing still before its change `change`, or killed there and then called with `after`.
    fn trial(&self, change: u64, number: u64, after: Option<&[&str]>) -> Result<Option<bool>> {
        let trial = self.prior.again()?;
        let child = if after.is_none() {
            let mut command = trial.command(self.package, self.action, &[("STOP_AT", change)])?;
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            match waitpid(Pid::from_raw(i32::try_from(child.id())?), Some(WaitPidFlag::WUNTRACED))? {
                WaitStatus::Stopped(..) => Some(child),
                _ => return Ok(None),
            }
        } else {
            ensure!(trial.run(self.package, self.action, &[("KILL_AT", change)])?.killed, "no kill at {change}");
            None
        };
        let (mut what, mut done) = (DEEDS[0], None);
        for step in 0..DEEDS.len() as u64 {
            what = DEEDS[usize::try_from((number * 7 + step) % DEEDS.len() as u64)?];
            done = deed(what, &trial, number)?;
            if done.is_some() {
                break;
            }
        }
        let ended = match (child, after) {
            (Some(child), _) => go_on(child)?,
            (None, after) => trial.run(self.package, after.unwrap_or(&["--recover"]), &[])?,
        };
        let Some(done) = done else { return Ok(None) };
        self.judge(what, done.as_ref(), &ended, &trial).with_context(|| format!("{what:?}: {ended:?}"))?;
        self.afterwards(what, done.as_ref(), &trial).with_context(|| format!("after {what:?}: {ended:?}"))?;
        Ok(Some(ended.code != Some(0)))
    }

    fn judge(&self, what: Deed, done: Option<&Done>, ended: &Ended, trial: &Living) -> Result<()> {
        let uninstalls = self.action.contains(&"--uninstall");
        let codes: &[i32] = if uninstalls { &[0, 32, 41] } else { &[0, 23, 30, 33] };
        ensure!(ended.code.is_some_and(|code| codes.contains(&code)), "another exit code");
        ensure!(!trial.has_journal(), "the journal does not end");
        theirs_is_there(what, done, ended, trial)?;
        let text = &ended.text;
        if ended.code != Some(0) && ended.code != Some(41) {
            let words =
                ["demo.service", "user demo", "group demo", "account demo", "account demo:demo", "useradd", "groupadd"];
            ensure!(words.iter().any(|word| text.contains(word)), "what was found is not named");
        }
        // What nobody did anything to runs as it did before.
        let of_accounts = matches!(what, Deed::MakeUser | Deed::MakeGroup | Deed::RemoveUser | Deed::RemoveGroup);
        if of_accounts && !uninstalls && self.prior.has(UNIT, "up") {
            ensure!(trial.has(UNIT, "up"), "the service does not run any more");
        }
        Ok(())
    }

    fn afterwards(&self, what: Deed, done: Option<&Done>, trial: &Living) -> Result<()> {
        let run = |action: &[&str]| trial.run(self.package, action, &[]);
        let recovered = run(&["--recover"])?;
        ensure!(recovered.code == Some(0), "something was left to recover: {recovered:?}");
        let again = run(&["--install", "--replace"])?;
        ensure!(matches!(again.code, Some(0 | 23 | 33)), "{again:?}");
        theirs_is_there(what, done, &again, trial).context("lost by the installation after it")?;
        let gone = run(&["--uninstall"])?;
        ensure!(matches!(gone.code, Some(0 | 32 | 41)), "{gone:?}");
        theirs_is_there(what, done, &gone, trial).context("lost by the uninstallation after it")?;
        ensure!(!trial.has_journal(), "a journal is left");
        if gone.code == Some(0) {
            for file in ["passwd", "group"] {
                let left = trial.accounts(file, "demo")?;
                ensure!(left.iter().all(|line| line.contains(":4321:")), "an account of the package is left: {left:?}");
            }
        }
        Ok(())
    }

    fn report(&self, name: &str, after: Option<&'static [&'static str]>) -> Result<()> {
        let all = std::env::var("AIRGAP_DEPLOY_EVERY").is_ok_and(|every| every == "1");
        let (each, every) = if all { (DEEDS.len() as u64, 1) } else { (1, 13) };
        let (trials, effects) = (AtomicU64::new(0), AtomicU64::new(0));
        on_threads(6, |number| {
            let change = ((number - 1) / each) * every + 1;
            if change > self.changes {
                return Ok(false);
            }
            let trial =
                self.trial(change, number, after).with_context(|| format!("change {change}, trial {number}"))?;
            if let Some(effect) = trial {
                trials.fetch_add(1, Ordering::Relaxed);
                effects.fetch_add(u64::from(effect), Ordering::Relaxed);
            }
            Ok(true)
        })
        .with_context(|| format!("{name}, {after:?}"))?;
        let (trials, effects) = (trials.into_inner(), effects.into_inner());
        let moment = after.map_or_else(|| "meanwhile".to_owned(), |action| format!("after a crash, before {action:?}"));
        println!(
            "interference with services and accounts: {name}, {moment}: {trials} trials, {effects} of them ended with another exit code"
        );
        ensure!(trials * every * 10 > self.changes * 7, "hardly anything could be done: {trials}");
        Ok(())
    }
}

/// The accounts that somebody made are theirs, and so is what they wrote.
fn theirs_is_there(what: Deed, done: Option<&Done>, ended: &Ended, trial: &Living) -> Result<()> {
    let account = match what {
        Deed::MakeUser => Some(("passwd", THEIR_USER)),
        Deed::MakeGroup => Some(("group", THEIR_GROUP)),
        _ => None,
    };
    if let Some((file, line)) = account {
        ensure!(trial.accounts(file, "demo")?.iter().any(|found| found == line), "their account is gone: {ended:?}");
    }
    if let Some(done) = done {
        done.whereabouts(&things(trial)?)?;
    }
    if what == Deed::MaskUnit {
        let links = things(trial)?;
        let is_mask =
            |path: &PathBuf| fs::read_link(trial.root.join(path)).is_ok_and(|to| to == Path::new("/dev/null"));
        ensure!(links.0.keys().any(is_mask), "the unit is no longer masked: {ended:?}");
    }
    Ok(())
}

fn changes(prior: &Living, package: &Path, action: &[&str]) -> Result<u64> {
    let (mut low, mut high) = (0, 1 << 12);
    while low < high {
        let middle = u64::midpoint(low, high);
        if prior.again()?.run(package, action, &[("KILL_AT", middle + 1)])?.killed {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

#[test]
fn units_and_accounts_of_others_outlive_an_installation() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let packages = packages(true)?;
    let prior = Living::new()?;
    let action: &[&str] = &["--install", "--enable", "--start"];
    let scene =
        Scene { prior: &prior, package: &packages.first, action, changes: changes(&prior, &packages.first, action)? };
    scene.report("install", None)?;
    scene.report("install", Some(&["--recover"]))?;
    scene.report("install", Some(&["--install", "--start"]))
}

#[test]
fn units_and_accounts_of_others_outlive_an_upgrade() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let packages = packages(true)?;
    let prior = installed(&packages)?;
    let action: &[&str] = &["--install", "--replace"];
    let scene =
        Scene { prior: &prior, package: &packages.second, action, changes: changes(&prior, &packages.second, action)? };
    scene.report("upgrade", None)?;
    scene.report("upgrade", Some(&["--recover"]))?;
    scene.report("upgrade", Some(&["--install", "--replace"]))
}

#[test]
fn units_and_accounts_of_others_outlive_an_uninstallation() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let packages = packages(true)?;
    let prior = installed(&packages)?;
    let action: &[&str] = &["--uninstall"];
    let scene =
        Scene { prior: &prior, package: &packages.first, action, changes: changes(&prior, &packages.first, action)? };
    // A unit that is edited stays: it is root's, and keeps no account.
    ensure!(scene.trial(1, 10, None)?.is_some(), "nothing was edited");
    // An account is removed by its name: whose it is by then is looked at last.
    for change in scene.changes.saturating_sub(40)..=scene.changes {
        scene.trial(change, DEEDS.len() as u64, None).with_context(|| format!("change {change}"))?;
    }
    scene.report("uninstall", None)?;
    scene.report("uninstall", Some(&["--uninstall"]))
}

/// An account that was made a moment ago still has its number when somebody has changed it: it is theirs all the same.
#[test]
fn an_account_that_somebody_changed_before_the_recovery_stays() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let packages = packages(true)?;
    let install = ["--install"];
    let last = changes(&Living::new()?, &packages.first, &install)?;
    for (file, from, to, said) in [
        ("passwd", "/usr/sbin/nologin", "/bin/bash", "the user demo was changed by somebody else"),
        ("passwd", ":/opt/demo:", ":/home/demo:", "the user demo was changed by somebody else"),
        ("group", "", "nobody", "somebody made others members of the group demo"),
    ] {
        let living = Living::new()?;
        ensure!(living.run(&packages.first, &install, &[("KILL_AT", last * 2 / 3)])?.killed, "no kill");
        let made = living.accounts(file, "demo")?.pop().context("no account was made")?;
        let changed = if from.is_empty() { format!("{made}{to}") } else { made.replace(from, to) };
        ensure!(changed != made, "{made} holds no {from}");
        let path = living.root.join("etc").join(file);
        fs::write(&path, fs::read_to_string(&path)?.replace(&made, &changed))?;
        let theirs = living.accounts(file, "demo")?;
        let ended = living.run(&packages.first, &["--recover"], &[])?;
        ensure!(ended.code == Some(23) && format!("{ended:?}").contains(said), "{ended:?}");
        ensure!(living.accounts(file, "demo")? == theirs, "the account was lost: {ended:?}");
        ensure!(!living.has_journal(), "the recovery did not end");
    }
    Ok(())
}
