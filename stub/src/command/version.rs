//! `--version`: the package that is meant, and the program that reads it.
//! What a package consists of is shown by `--list` and `--dry-run`.

use payload::printable;
use serde_json::json;

use super::cli::Args;
use super::open;
use crate::error::Error;
use crate::report::screen::Screen;

const INSTALLER: &str = env!("CARGO_PKG_VERSION");

/// Says which package this is. A program without one says that.
///
/// # Errors
/// What was named with `--payload` cannot be read.
pub fn version(args: &Args, screen: Screen) -> Result<(), Error> {
    let package = match args.payload {
        None => open::open_own(args)?,
        Some(_) => Some(open::open(args)?),
    };
    let index = package.as_ref().map(payload::Package::index);
    if screen.json {
        screen.json(&json!({
            "about": 1,
            "package": index.map(|index| index.package.name.as_str()),
            "version": index.map(|index| index.package.version.as_str()),
            "index": package.as_ref().map(|package| package.digest().to_string()),
            "installer": INSTALLER,
        }));
        return Ok(());
    }
    match index {
        Some(index) => screen.say(&format!("{} {}", index.package.name, printable(&index.package.version))),
        None => screen.say("no package: this is the installer alone"),
    }
    screen.say(&format!("airgap-deploy {INSTALLER}"));
    Ok(())
}
