//! From what was typed to what is done: one function for each action.
//! The stages themselves live in the files named after them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use nix::unistd::geteuid;
use payload::index::{Index, PackageName};
use payload::{Digest, Package, PayloadError, RelPath};

use crate::apply::commit::{self, Events};
use crate::apply::recover::{self, Recovered};
use crate::apply::uninstall;
use crate::command::cli::Args;
use crate::command::extract;
use crate::command::open::open;
use crate::error::Finding;
use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;
use crate::host::interrupt;
use crate::host::limits;
use crate::host::machine::Machine;
use crate::host::root::{Lock, Root};
use crate::plan::facts::Host;
use crate::plan::preflight;
use crate::plan::removal;
use crate::plan::step::Step;
use crate::plan::{Options, Plan, plan};
use crate::record::receipt::Receipt;
use crate::record::state;
use crate::report::screen::Screen;
use crate::report::status;
use crate::report::text;

/// Does what was asked for.
pub fn run(args: &Args, screen: Screen) -> Result<(), Error> {
    limits::check()?;
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    if args.status || args.recover || args.uninstall {
        return installed(args, screen);
    }
    let package = open(args.payload.as_deref())?;
    if args.verify {
        verify(&package, workers, screen)
    } else if args.list {
        list(&package, screen);
        Ok(())
    } else if let Some(directory) = &args.extract {
        let bar = screen.progress(stored(package.index()));
        let outcome = extract::extract(&package, directory, workers, &|bytes| bar.inc(bytes));
        bar.finish_and_clear();
        outcome?;
        screen.say(&format!("extracted below {}", directory.display()));
        Ok(())
    } else if args.dry_run {
        dry_run(&package, args, screen)
    } else if args.install {
        install(&package, args, workers, screen)
    } else {
        introduce(package.index(), screen);
        Ok(())
    }
}

fn stored(index: &Index) -> u64 {
    index.blobs.iter().map(|blob| blob.stored_size).sum()
}

fn introduce(index: &Index, screen: Screen) {
    screen.say_all(&text::package(index));
    screen.say("");
    screen.say("Nothing was changed. How to go on:");
    for (option, what) in [
        ("--dry-run", "show what would be done; needs no root"),
        ("--verify", "compare every byte of this file with its index"),
        ("--install", "install it (as root)"),
        ("--help", "everything else"),
    ] {
        screen.say(&format!("  {option:12} {what}"));
    }
}

fn verify(package: &Package, workers: usize, screen: Screen) -> Result<(), Error> {
    let bar = screen.progress(stored(package.index()));
    let outcome = package.verify(workers, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    outcome.map_err(|error| Error::payload(&error))?;
    let index = package.index();
    if screen.json {
        screen.json(&serde_json::json!({
            "verify": 1,
            "package": index.package.name.as_str(),
            "version": index.package.version,
            "index": package.digest().to_string(),
            "length": index.total_length,
            "signed": false,
        }));
    } else {
        screen.say(&format!(
            "{} {}: every byte is as it was packed",
            index.package.name,
            payload::printable(&index.package.version)
        ));
        screen.say(&format!("index {}", package.digest()));
        screen.say("the package is not signed: this says that it is undamaged, not who made it");
    }
    Ok(())
}

fn list(package: &Package, screen: Screen) {
    if screen.json {
        screen.json(&extract::list_json(package));
    } else {
        screen.say_all(&extract::list(package.index()));
    }
}

fn open_root(args: &Args) -> Result<Root, Error> {
    let path = match &args.root {
        Some(path) => path.canonicalize().map_err(|error| {
            Error::new(Exit::Usage, format!("--root {}: {error}", path.display()))
                .state(NOTHING_CHANGED)
                .hint("name an existing directory")
        })?,
        None => PathBuf::from("/"),
    };
    Ok(Root::open(&path)?)
}

fn options(args: &Args) -> Options {
    Options { enable: args.enable, start: args.start, replace: args.replace }
}

/// A host that trusts keys takes signed packages only, and this version reads no signatures.
fn require_no_trusted_keys(root: &Root) -> Result<(), Error> {
    let Ok(directory) = "etc/airgap-deploy/trusted-keys".parse::<RelPath>() else { return Ok(()) };
    if root.names(&directory)?.iter().any(|name| Path::new(name).extension().is_some_and(|kind| kind == "pub")) {
        return Err(Error::new(
            Exit::NotTrusted,
            format!("this host trusts the keys in {directory}, and the package is not signed"),
        )
        .state(NOTHING_CHANGED)
        .hint("get a signed package"));
    }
    Ok(())
}

fn dry_run(package: &Package, args: &Args, screen: Screen) -> Result<(), Error> {
    let root = open_root(args)?;
    require_no_trusted_keys(&root)?;
    let index = package.index();
    let host = Host::probe(index, &root)?;
    let plan = plan(index, &host, options(args));
    let findings = preflight::findings(&plan, index, &host);
    if screen.json {
        screen.json(&text::plan_json(&plan, index, &host, &findings));
    } else {
        screen.say_all(&text::plan(&plan, index, &host, &findings));
        if recover::unfinished(&root, &index.package.name)?.is_some() {
            screen.say(&format!("Note: {UNFINISHED}"));
        }
        screen.say("The package is not signed. Nothing was changed.");
    }
    // Missing privileges are part of the plan, not a reason to fail: anybody may look.
    let obstacles: Vec<Finding> =
        findings.into_iter().filter(|finding| finding.exit != Exit::PermissionDenied).collect();
    if obstacles.is_empty() { Ok(()) } else { Err(Error::refused(obstacles)) }
}

fn lock(root: &Root) -> Result<Lock, Error> {
    root.lock()?.ok_or_else(|| {
        Error::new(Exit::Conflict, "another installer is running".to_owned())
            .state(NOTHING_CHANGED)
            .hint("wait until it is done")
    })
}

fn require_root(root: &Root) -> Result<(), Error> {
    if root.is_live() && !geteuid().is_root() {
        return Err(Error::new(Exit::PermissionDenied, "Permission denied: this needs root".to_owned())
            .state(NOTHING_CHANGED)
            .hint("run it with sudo"));
    }
    Ok(())
}

fn machine(root: Root) -> Result<Machine, Error> {
    let passwd = root.is_live() || root.read(&passwd_path()?, 64 << 20)?.is_some();
    Ok(Machine { privileged: geteuid().is_root() && passwd, root })
}

fn passwd_path() -> Result<RelPath, Error> {
    "etc/passwd".parse().map_err(|error: payload::PathError| Error::new(Exit::Bug, error.to_string()))
}

fn install(package: &Package, args: &Args, workers: usize, screen: Screen) -> Result<(), Error> {
    let root = open_root(args)?;
    require_no_trusted_keys(&root)?;
    let index = package.index();
    if root.is_live() && !geteuid().is_root() {
        let host = Host::probe(index, &root)?;
        let plan = plan(index, &host, options(args));
        return Err(Error::refused(preflight::findings(&plan, index, &host)));
    }
    let _lock = lock(&root)?;
    // Before anything changes, a recovery included. Blobs follow: those that are placed while they are staged.
    package.verify_blobs(|_| false, workers, &|_| ()).map_err(|error| Error::payload(&error))?;
    interrupt::watch();
    let machine = machine(root)?;
    let recovered = recover::recover(&machine, &index.package.name, Some(package.digest()))?;
    tell_recovered(recovered, screen);
    let host = Host::probe(index, &machine.root)?;
    let plan = plan(index, &host, options(args));
    let give_up = |error: Error| match recover::roll_back(&machine, &index.package.name, false) {
        Ok(()) => error,
        Err(rollback) => rollback,
    };
    verify_what_stays(package, &plan, workers, screen).map_err(|error| give_up(Error::payload(&error)))?;
    if plan.is_empty() && preflight::findings(&plan, index, &host).is_empty() {
        recover::roll_back(&machine, &index.package.name, false)?;
        already_installed(index, screen);
        return Ok(());
    }
    let receipt = plan.made.receipt(index, package.digest(), host.receipt.as_ref());
    let cleared = preflight::clear(plan, index, &host).map_err(|findings| give_up(Error::refused(findings)))?;
    screen.say("the package is not signed: nobody vouches for who made it");
    let bar = screen.progress(cleared.plan().placed().map(|place| stored_size(index, place.digest)).sum());
    let console = Console { screen, bar };
    let outcome = commit::apply(&cleared, package, &machine, &receipt, workers, &console);
    console.bar.finish_and_clear();
    outcome?;
    done(cleared.plan(), index, screen);
    Ok(())
}

/// Compares the blobs whose files are in place already: a damaged package is never called installed.
fn verify_what_stays(package: &Package, plan: &Plan, workers: usize, screen: Screen) -> Result<(), PayloadError> {
    let placed: HashSet<Digest> = plan.placed().map(|place| place.digest).collect();
    let stay = |digest| !placed.contains(&digest);
    let blobs = package.index().blobs.iter().filter(|blob| stay(blob.digest));
    let bar = screen.progress(blobs.map(|blob| blob.stored_size).sum());
    let outcome = package.verify_blobs(stay, workers, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    outcome
}

fn stored_size(index: &Index, digest: Digest) -> u64 {
    index.blob(digest).map_or(0, |blob| blob.stored_size)
}

fn tell_recovered(recovered: Recovered, screen: Screen) {
    match recovered {
        Recovered::Nothing => {}
        Recovered::Finished => screen.say("an earlier installation was complete; its staging directories are removed"),
        Recovered::RolledBack => screen.say("an interrupted installation was undone"),
        Recovered::RolledBackKeepingStaged => {
            screen.say("an interrupted installation goes on from what it had verified");
        }
    }
}

fn already_installed(index: &Index, screen: Screen) {
    if screen.json {
        screen.json(&serde_json::json!({"install": 1, "package": index.package.name.as_str(), "changed": false}));
    }
    screen.say(&format!("{} is installed already: nothing was changed", index.package.name));
}

fn done(plan: &Plan, index: &Index, screen: Screen) {
    if screen.json {
        screen.json(&serde_json::json!({
            "install": 1,
            "package": index.package.name.as_str(),
            "version": index.package.version,
            "changed": true,
            "steps": plan.steps.iter().map(Step::describe).collect::<Vec<_>>(),
        }));
    }
    for note in &plan.notes {
        screen.say(&format!("note: {}", payload::printable(note)));
    }
    screen.say(&format!("{} {} is installed", index.package.name, payload::printable(&index.package.version)));
    if let Some(unit) = index.units.first()
        && plan.afterwards.is_empty()
        && !plan.steps.iter().any(|step| matches!(step, Step::EnableUnit { .. }))
    {
        let unit = unit.name.trim_end_matches(".service");
        screen.say(&format!("next: systemctl start {unit}; systemctl enable {unit}"));
    }
}

/// Tells the administrator what goes on.
struct Console {
    screen: Screen,
    bar: ProgressBar,
}

impl Events for Console {
    fn staged(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn step(&self, step: &Step) {
        let line = payload::printable(&step.describe());
        self.bar.suspend(|| self.screen.say(&line));
    }

    fn note(&self, text: &str) {
        self.bar.suspend(|| self.screen.warn(text));
    }
}

/// Which package an action on an installed one is about: the one appended here, or the one whose directory this is in.
fn package_name(args: &Args) -> Result<PackageName, Error> {
    if let Ok(package) = open(args.payload.as_deref()) {
        return Ok(package.index().package.name.clone());
    }
    let own = std::env::current_exe().ok();
    let directory = own.as_deref().and_then(Path::parent).and_then(Path::file_name).and_then(|name| name.to_str());
    directory.and_then(|name| name.parse().ok()).ok_or_else(|| {
        Error::new(Exit::Usage, "it is not known which package this is about".to_owned())
            .state(NOTHING_CHANGED)
            .hint("use the copy in /var/lib/airgap-deploy/<package>/, or --payload FILE")
    })
}

/// Actions on what is installed: they need the receipt, not the payload.
fn installed(args: &Args, screen: Screen) -> Result<(), Error> {
    let name = package_name(args)?;
    let root = open_root(args)?;
    let systemd = root.is_live() && Path::new("/run/systemd/system").is_dir();
    if !args.status {
        require_root(&root)?;
    }
    let _lock = if args.status { None } else { Some(lock(&root)?) };
    let machine = machine(root)?;
    if !args.status {
        interrupt::watch();
        let recovered = recover::recover(&machine, &name, None)?;
        tell_recovered(recovered, screen);
        if args.recover {
            if recovered == Recovered::Nothing {
                screen.say("nothing to recover: no installation was interrupted");
            }
            return Ok(());
        }
    }
    let unfinished = recover::unfinished(&machine.root, &name)?.is_some();
    let Some(receipt) = state::read_receipt(&machine.root, &name)? else {
        screen.say(&format!("{name} is not installed"));
        return if unfinished { Err(Error::new(Exit::Conflict, UNFINISHED.to_owned())) } else { Ok(()) };
    };
    if args.status {
        return show_status(&receipt, &machine, systemd, unfinished, screen);
    }
    let plan = removal::plan(&receipt, &machine, systemd, args.purge)?;
    uninstall::apply(&plan, &receipt, &machine, &|removal| screen.say(&payload::printable(&removal.describe())))?;
    screen.say(&format!("{name} is uninstalled"));
    Ok(())
}

const UNFINISHED: &str = "an installation runs, or was interrupted: then --install goes on, and --recover goes back";

fn show_status(
    receipt: &Receipt,
    machine: &Machine,
    systemd: bool,
    unfinished: bool,
    screen: Screen,
) -> Result<(), Error> {
    let mut status = status::status(receipt, machine, systemd)?;
    status.problems.extend(unfinished.then(|| UNFINISHED.to_owned()));
    if screen.json {
        screen.json(&status.to_json(receipt));
    } else {
        screen.say_all(&status.lines(receipt));
    }
    if status.problems.is_empty() {
        return Ok(());
    }
    Err(Error::new(Exit::Conflict, format!("{} entries are not as they were installed", status.problems.len()))
        .state(NOTHING_CHANGED)
        .hint("install again with --replace to put them right"))
}
