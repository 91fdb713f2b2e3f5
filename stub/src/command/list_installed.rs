//! `--list-installed`: the packages that are installed below the root, by their receipts. Needs no package and no root.
//! How one of them stands is said by `--status`.

use serde_json::json;

use super::cli::Args;
use super::target::open_root;
use crate::apply::recover;
use crate::error::Error;
use crate::record::others::package_names;
use crate::record::state;
use crate::report::screen::Screen;

/// Lists them.
///
/// # Errors
/// A receipt cannot be read.
pub fn list_installed(args: &Args, screen: Screen) -> Result<(), Error> {
    let root = open_root(args)?;
    let mut packages = Vec::new();
    for name in package_names(&root)? {
        let unfinished = recover::unfinished(&root, &name)?.is_some();
        let receipt = state::read_receipt(&root, &name)?;
        let left = receipt.is_none() && !unfinished;
        if left && state::read_leftovers(&root, &name)?.is_none() {
            continue;
        }
        let version = receipt.as_ref().map(|receipt| receipt.version.clone());
        let key_id = receipt.as_ref().and_then(|receipt| receipt.signed_by.as_ref()).map(|key| key.key_id.clone());
        let shown = version
            .as_deref()
            .map_or_else(|| if left { "is not installed" } else { "not complete" }.to_owned(), payload::printable);
        let signed = key_id.as_ref().map_or_else(String::new, |key| format!(", signed by key {key}"));
        let state = match (unfinished, left) {
            (true, _) => ", interrupted: --recover or --install",
            (_, true) => ": leftovers of an uninstallation, which --uninstall --purge removes",
            _ => "",
        };
        screen.say(&format!("{name} {shown}{signed}{state}"));
        packages.push(json!({
            "package": name.as_str(),
            "version": version,
            "prefix": receipt.as_ref().map(|receipt| receipt.prefix.to_string()),
            "index": receipt.as_ref().map(|receipt| receipt.index.to_string()),
            "key_id": key_id,
            "unfinished": unfinished,
            "left": left,
        }));
    }
    if packages.is_empty() {
        screen.say("no package is installed");
    }
    if screen.json {
        screen.json(&json!({"list_installed": 1, "packages": packages}));
    }
    Ok(())
}
