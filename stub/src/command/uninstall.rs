//! `--uninstall`: what the receipt says is taken away again; with `--dry-run`, only shown.
//! What goes is decided in `plan/removal.rs`, and done in `apply/uninstall.rs`.

use payload::index::PackageName;

use super::cli::Args;
use super::recover::{recover_noted, tell_recovered};
use super::target::{UNFINISHED, lock, machine, manager, not_installed, open_root, package_name, require_root};
use crate::apply::uninstall::Outcome;
use crate::apply::{recover, uninstall};
use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;
use crate::host::interrupt;
use crate::host::machine::{Machine, StepError};
use crate::host::root::Root;
use crate::host::unit::Manager;
use crate::plan::removal::Removal;
use crate::plan::{preflight, removal};
use crate::record::others::Others;
use crate::record::receipt::Receipt;
use crate::record::state::{self, StateError};
use crate::report::evidence::Evidence;
use crate::report::removal as report;
use crate::report::screen::Screen;

/// Uninstalls the package.
///
/// # Errors
/// Exit code 32 when something was left, 41 when nothing is installed.
pub fn uninstall(args: &Args, screen: Screen, evidence: &Evidence) -> Result<(), Error> {
    let name = package_name(args)?;
    let root = open_root(args)?;
    let systemd = manager(&root);
    if args.dry_run {
        return preview(&name, args.purge, systemd, &machine(root)?, screen, evidence);
    }
    require_root(&root)?;
    let _lock = lock(&root)?;
    let machine = machine(root)?;
    interrupt::watch();
    let (recovered, remains) = recover_noted(&machine, &name, None, evidence)?;
    tell_recovered(recovered, screen);
    remains.kept.iter().chain(&remains.units).for_each(|line| screen.warn(&payload::printable(line)));
    let receipt = receipt_or_leftovers(&machine.root, &name)?;
    evidence.about(&name, receipt.as_ref());
    let Some(receipt) = receipt else {
        return Err(not_installed(&name, false));
    };
    let others = Others::read(&machine.root, &name)?;
    let receipt = others.with_shared_command(receipt);
    if let Some(other) = others.unfinished.first() {
        return Err(others_first(other, &machine.root));
    }
    uninstall::bring_back(&receipt, &machine).map_err(|error| still_aside(&error))?;
    let plan = removal::plan(&receipt, &others, &machine, systemd, args.purge)?;
    screen.say_all(&report::needed(&plan));
    evidence.will_uninstall(&plan, &receipt, &machine, args.purge);
    uninstall::apply(&plan, &receipt, &machine, &|removal, outcome| {
        evidence.removed(removal, outcome);
        tell(removal, outcome, screen);
    })?;
    let document = report::json(&receipt, &plan, &[], false);
    evidence.result(&document);
    if screen.json {
        screen.json(&document);
    }
    screen.say(&format!("{name} is uninstalled"));
    Ok(())
}

fn tell(removal: &Removal, outcome: &Outcome, screen: Screen) {
    let line = match outcome {
        Outcome::Done => removal.describe(),
        Outcome::Kept(why) | Outcome::KeptWithOthers(why) => format!("kept: {why}"),
        Outcome::Failed(why) => format!("failed: {}: {why}", removal.describe()),
    };
    screen.say(&payload::printable(&line));
}

/// What would go and what would stay. Anybody may ask.
fn preview(
    name: &PackageName,
    purge: bool,
    systemd: Option<Manager>,
    machine: &Machine,
    screen: Screen,
    evidence: &Evidence,
) -> Result<(), Error> {
    let unfinished = recover::unfinished(&machine.root, name)?.is_some();
    let receipt = receipt_or_leftovers(&machine.root, name)?;
    evidence.about(name, receipt.as_ref());
    let Some(receipt) = receipt else {
        return Err(not_installed(name, unfinished));
    };
    let others = Others::read(&machine.root, name)?;
    let receipt = others.with_shared_command(receipt);
    let plan = removal::plan(&receipt, &others, machine, systemd, purge)?;
    let stays = plan.remainders(machine)?;
    let document = report::json(&receipt, &plan, &stays, true);
    evidence.result(&document);
    if screen.json {
        screen.json(&document);
    } else {
        screen.say_all(&report::lines(&receipt, &plan, &stays));
        if unfinished {
            screen.say(&format!("note: {UNFINISHED}"));
        }
    }
    if let Some(other) = others.unfinished.first() {
        return Err(others_first(other, &machine.root));
    }
    if stays.is_empty() {
        return Ok(());
    }
    Err(Error::new(Exit::UninstallIncomplete, "something would be left".to_owned())
        .state(NOTHING_CHANGED)
        .hint("--purge also removes what is in the package's own directories"))
}

/// Of what an earlier uninstallation left, when the package itself is gone.
fn receipt_or_leftovers(root: &Root, name: &PackageName) -> Result<Option<Receipt>, StateError> {
    let receipt = state::read_receipt(root, name)?;
    if receipt.is_some() { Ok(receipt) } else { state::read_leftovers(root, name) }
}

fn still_aside(error: &StepError) -> Error {
    Error::new(Exit::UninstallIncomplete, error.to_string())
        .state("a part of the package is removed; the receipt is kept")
        .hint("see what is in the way, then run --uninstall again")
}

/// Recovering the other one may need what this one would take away.
fn others_first(other: &PackageName, root: &Root) -> Error {
    let finding = preflight::unfinished(other, root.path());
    Error::new(finding.exit, finding.what).state(NOTHING_CHANGED).hint(finding.hint)
}
