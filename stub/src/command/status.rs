//! `--status`: what is installed, against the receipt.
//! What is compared, and how it is shown, is in `report/status.rs`.

use super::cli::Args;
use super::target::{UNFINISHED, machine, manager, not_installed, open_root, package_name};
use crate::apply::recover;
use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;
use crate::host::keys;
use crate::record::others::Others;
use crate::record::state;
use crate::report::evidence::Evidence;
use crate::report::screen::Screen;
use crate::report::status::{self, Remedy};

/// Nothing is trusted here: what is installed is looked at.
const NOBODY: &[&str] = &[];

/// Shows the state of the installation.
///
/// # Errors
/// Exit code 23 when something is not as it was installed, or is unfinished; 41 when nothing is installed.
pub fn status(args: &Args, screen: Screen, evidence: &Evidence) -> Result<(), Error> {
    let name = package_name(args)?;
    let root = open_root(args)?;
    let systemd = manager(&root);
    let machine = machine(root)?;
    let unfinished = recover::unfinished(&machine.root, &name)?.is_some();
    let receipt = state::read_receipt(&machine.root, &name)?;
    evidence.about(&name, receipt.as_ref());
    let Some(receipt) = receipt else {
        if !unfinished && state::read_leftovers(&machine.root, &name)?.is_some() {
            return Err(Error::new(Exit::NotFound, format!("{name} is not installed, but something of it is left"))
                .state(NOTHING_CHANGED)
                .hint(format!(
                    "see what that is: --uninstall --dry-run {name}; remove it: --uninstall --purge {name}"
                )));
        }
        return Err(not_installed(&name, unfinished));
    };
    let receipt = Others::read(&machine.root, &name)?.with_shared_command(receipt);
    let mut status = status::status(&receipt, &machine, systemd, args.full)?;
    if unfinished {
        status.add(UNFINISHED.to_owned(), Remedy::GoOnOrBack);
    }
    let revoked = keys::trust(&machine.root, NOBODY).map(|trust| trust.revoked).unwrap_or_default();
    if let Some(key) =
        receipt.signed_by.as_ref().filter(|key| revoked.iter().any(|revoked| revoked.id().to_string() == key.key_id))
    {
        screen.warn(&format!(
            "WARNING: the key {} that signed it has been revoked since: decide whether it stays installed",
            key.key_id
        ));
    }
    let document = status.to_json(&receipt);
    evidence.result(&document);
    if screen.json {
        screen.json(&document);
    } else {
        screen.say_all(&status.lines(&receipt));
    }
    if status.problems.is_empty() {
        return Ok(());
    }
    let wrong = match status.problems.len() {
        1 => "1 entry is not as it was installed".to_owned(),
        wrong => format!("{wrong} entries are not as they were installed"),
    };
    Err(Error::new(Exit::Conflict, wrong).state(NOTHING_CHANGED).hint(status.advice()))
}
