//! `--recover`: an interrupted installation is taken back, or finished where only cleaning up was left.
//! How that is done is in `apply/recover.rs`.

use payload::index::PackageName;
use serde_json::json;

use super::cli::Args;
use super::target::{lock, machine, open_root, package_name, require_root};
use crate::apply::recover::{self, Recovered};
use crate::error::Error;
use crate::host::interrupt;
use crate::host::root::Root;
use crate::report::screen::Screen;

/// Recovers the package's installation.
///
/// # Errors
/// Exit code 31 when something could not be taken back; 23 when somebody else's changes stay, 33 when a service that ran
/// before does not start any more: then nothing is left to recover.
pub fn recover(args: &Args, screen: Screen) -> Result<(), Error> {
    let name = package_name(args)?;
    let root = open_root(args)?;
    if args.dry_run {
        return preview(&name, &root, screen);
    }
    require_root(&root)?;
    let _lock = lock(&root)?;
    let machine = machine(root)?;
    interrupt::watch();
    let (recovered, remains) = recover::recover(&machine, &name, None)?;
    tell_recovered(recovered, screen);
    if recovered == Recovered::Finished {
        remains.kept.iter().for_each(|line| screen.warn(&payload::printable(line)));
    } else {
        remains.report("an interrupted installation was undone")?;
    }
    if screen.json {
        screen.json(&json!({"recover": 1, "package": name.as_str(), "dry_run": false, "outcome": recovered.name()}));
    }
    if recovered == Recovered::Nothing {
        screen.say("nothing to recover: no installation was interrupted");
    }
    Ok(())
}

/// What would be done. Anybody may ask.
fn preview(name: &PackageName, root: &Root, screen: Screen) -> Result<(), Error> {
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
    if screen.json {
        let (package, outcome) = (name.as_str(), outcome.name());
        screen.json(&json!({"recover": 1, "package": package, "dry_run": true, "outcome": outcome, "undo": steps}));
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
