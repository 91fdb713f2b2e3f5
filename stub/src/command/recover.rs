//! `--recover`: an interrupted installation is taken back, or finished where only cleaning up was left.
//! How that is done is in `apply/recover.rs`.

use payload::Digest;
use payload::index::PackageName;
use serde_json::json;

use super::cli::Args;
use super::target::{lock, machine, not_installed, open_root, package_name, require_root};
use crate::apply::recover::{self, Recovered, Remains};
use crate::error::Error;
use crate::host::interrupt;
use crate::host::machine::Machine;
use crate::host::root::Root;
use crate::record::state;
use crate::report::evidence::Evidence;
use crate::report::screen::Screen;

/// Recovers the package's installation.
///
/// # Errors
/// Exit code 41 when a package was named that is not installed, and nothing of it is to be recovered; 31 when something could not be taken back; 23 when somebody else's changes stay, 33 when a service that ran
/// before does not start any more: then nothing is left to recover.
pub fn recover(args: &Args, screen: Screen, evidence: &Evidence) -> Result<(), Error> {
    let name = package_name(args)?;
    let root = open_root(args)?;
    evidence.about(&name, state::read_receipt(&root, &name)?.as_ref());
    if args.dry_run {
        if args.package.is_some() && recover::unfinished(&root, &name)?.is_none() {
            require_known(&root, &name)?;
        }
        return preview(&name, &root, screen, evidence);
    }
    require_root(&root)?;
    let _lock = lock(&root)?;
    let machine = machine(root)?;
    interrupt::watch();
    let (recovered, remains) = recover_noted(&machine, &name, None, evidence)?;
    if args.package.is_some() && recovered == Recovered::Nothing {
        require_known(&machine.root, &name)?;
    }
    tell_recovered(recovered, screen);
    if recovered == Recovered::Finished {
        remains.kept.iter().for_each(|line| screen.warn(&payload::printable(line)));
    } else {
        remains.report("an interrupted installation was undone")?;
    }
    let document = json!({"recover": 1, "package": name.as_str(), "dry_run": false, "outcome": recovered.name()});
    evidence.result(&document);
    if screen.json {
        screen.json(&document);
    }
    if recovered == Recovered::Nothing {
        screen.say("nothing to recover: no installation was interrupted");
    }
    Ok(())
}

/// A name that was typed wrong would look like a machine on which all is well.
fn require_known(root: &Root, name: &PackageName) -> Result<(), Error> {
    let known = state::read_receipt(root, name)?.is_some() || state::read_leftovers(root, name)?.is_some();
    if known { Ok(()) } else { Err(not_installed(name, false)) }
}

/// Recovers, and notes what became of every step of the interrupted installation.
pub fn recover_noted(
    machine: &Machine,
    name: &PackageName,
    resume: Option<Digest>,
    evidence: &Evidence,
) -> Result<(Recovered, Remains), Error> {
    let steps = |root: &Root| match recover::unfinished(root, name) {
        Ok(Some(unfinished)) => unfinished.steps,
        _ => Vec::new(),
    };
    let complete = match recover::unfinished(&machine.root, name)? {
        Some(unfinished) => recover::is_complete(&machine.root, name, &unfinished.header)?,
        None => true,
    };
    if !complete {
        evidence.will_recover(&steps(&machine.root), &machine.root);
    }
    let outcome = recover::recover(machine, name, resume);
    if !complete {
        evidence.recovered(&steps(&machine.root), &machine.root);
    }
    outcome
}

/// What would be done. Anybody may ask.
fn preview(name: &PackageName, root: &Root, screen: Screen, evidence: &Evidence) -> Result<(), Error> {
    let unfinished = recover::unfinished(root, name)?;
    let complete = match &unfinished {
        Some(unfinished) => recover::is_complete(root, name, &unfinished.header)?,
        None => false,
    };
    let steps = unfinished.iter().flat_map(|unfinished| unfinished.steps.iter().rev());
    let steps: Vec<String> = steps.filter(|_| !complete).map(|begun| begun.step.describe()).collect();
    let outcome = match (&unfinished, complete) {
        (None, _) => Recovered::Nothing,
        (Some(_), true) => Recovered::Finished,
        (Some(_), false) => Recovered::RolledBack,
    };
    let (package, named) = (name.as_str(), outcome.name());
    let document = json!({"recover": 1, "package": package, "dry_run": true, "outcome": named, "undo": steps});
    evidence.result(&document);
    if screen.json {
        screen.json(&document);
        return Ok(());
    }
    match outcome {
        Recovered::Nothing => screen.say("nothing to recover: no installation was interrupted"),
        Recovered::Finished => screen.say("an installation is complete; its staging directories would be removed"),
        Recovered::RolledBack | Recovered::RolledBackKeepingStaged => {
            screen.say("an interrupted installation would be undone, the last step first:");
            for step in &steps {
                screen.say(&format!("  undo: {}", payload::printable(step)));
            }
        }
    }
    screen.say("Nothing was changed.");
    Ok(())
}

/// Says what was recovered.
pub fn tell_recovered(recovered: Recovered, screen: Screen) {
    match recovered {
        Recovered::Nothing => {}
        Recovered::Finished => screen.say("an earlier installation was complete; its staging directories are removed"),
        Recovered::RolledBack => screen.say("an interrupted installation was undone"),
        Recovered::RolledBackKeepingStaged => {
            screen.say("an interrupted installation goes on from what it had verified");
        }
    }
}
