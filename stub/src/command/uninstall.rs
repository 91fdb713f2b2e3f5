//! `--uninstall`: what the receipt says is taken away again.
//! What goes is decided in `plan/removal.rs`, and done in `apply/uninstall.rs`.

use super::cli::Args;
use super::recover::tell_recovered;
use super::target::{lock, machine, not_installed, open_root, package_name, require_root, runs_systemd};
use crate::apply::{recover, uninstall};
use crate::error::Error;
use crate::host::interrupt;
use crate::plan::removal;
use crate::record::state;
use crate::report::screen::Screen;

/// Uninstalls the package.
///
/// # Errors
/// Exit code 32 when something was left, 41 when nothing is installed.
pub fn uninstall(args: &Args, screen: Screen) -> Result<(), Error> {
    let name = package_name(args)?;
    let root = open_root(args)?;
    let systemd = runs_systemd(&root);
    require_root(&root)?;
    let _lock = lock(&root)?;
    let machine = machine(root)?;
    interrupt::watch();
    let (recovered, remains) = recover::recover(&machine, &name, None)?;
    tell_recovered(recovered, screen);
    remains.kept.iter().chain(&remains.units).for_each(|line| screen.warn(&payload::printable(line)));
    let Some(receipt) = state::read_receipt(&machine.root, &name)? else {
        return Err(not_installed(&name, false));
    };
    let plan = removal::plan(&receipt, &machine, systemd, args.purge)?;
    uninstall::apply(&plan, &receipt, &machine, &|removal| screen.say(&payload::printable(&removal.describe())))?;
    screen.say(&format!("{name} is uninstalled"));
    Ok(())
}
