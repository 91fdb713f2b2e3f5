//! `--recover`: an interrupted installation is taken back, or finished where only cleaning up was left.
//! How that is done is in `apply/recover.rs`.

use super::cli::Args;
use super::target::{lock, machine, open_root, package_name, require_root};
use crate::apply::recover::{self, Recovered};
use crate::error::Error;
use crate::host::interrupt;
use crate::report::screen::Screen;

/// Recovers the package's installation.
///
/// # Errors
/// Exit code 31 when something could not be taken back; 23 when somebody else's changes stay, 33 when a service that ran
/// before does not start any more: then nothing is left to recover.
pub fn recover(args: &Args, screen: Screen) -> Result<(), Error> {
    let name = package_name(args)?;
    let root = open_root(args)?;
    require_root(&root)?;
    let _lock = lock(&root)?;
    let machine = machine(root)?;
    interrupt::watch();
    let (recovered, remains) = recover::recover(&machine, &name, None)?;
    tell_recovered(recovered, screen);
    remains.report("an interrupted installation was undone")?;
    if recovered == Recovered::Nothing {
        screen.say("nothing to recover: no installation was interrupted");
    }
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
