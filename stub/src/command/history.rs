//! `--history`: what was done with packages on this machine, by their logs. Needs no package and no root.
//! What is in a log is in `record/log.rs`.

use payload::names::LOG_DIRECTORY;
use serde_json::json;

use super::cli::Args;
use super::target::open_root;
use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;
use crate::record::log::{self, Entry};
use crate::report::screen::Screen;

/// Tells it, the oldest first.
///
/// # Errors
/// A log cannot be read. Exit code 41: nothing is known of the package that was named.
pub fn history(args: &Args, screen: Screen) -> Result<(), Error> {
    let root = open_root(args)?;
    let entries = log::history(&root, args.package.as_ref())?;
    if let Some(package) = args.package.as_ref().filter(|_| entries.is_empty()) {
        return Err(Error::new(Exit::NotFound, format!("there is no log of {package} in /{LOG_DIRECTORY}/"))
            .state(NOTHING_CHANGED)
            .hint("see what there is: --history without a name"));
    }
    if screen.json {
        screen.json(&json!({"history": 1, "entries": entries}));
        return Ok(());
    }
    if entries.is_empty() {
        screen.say(&format!("no history: there is no log in /{LOG_DIRECTORY}/"));
    }
    screen.say_all(&entries.iter().map(|entry| payload::printable(&line(entry))).collect::<Vec<_>>());
    Ok(())
}

fn line(entry: &Entry) -> String {
    let about = &entry.about;
    let subject = match (&about.package, &about.file) {
        (Some(package), _) => format!("{package} {}", about.version.as_deref().unwrap_or("-")),
        (None, Some(file)) => file.clone(),
        (None, None) => "a file that was not opened".to_owned(),
    };
    let ended = match (entry.exit_code, &entry.error) {
        (Some(0), _) => "done".to_owned(),
        (Some(code), Some(why)) => format!("exit code {code}: {why}"),
        (Some(code), None) => format!("exit code {code}"),
        (None, _) => "has not ended: it is still running, or was killed".to_owned(),
    };
    let signed = about.key_id.as_ref().map_or_else(String::new, |key| format!(", signed by key {key}"));
    let who = match &entry.sudo_user {
        Some(user) => format!("{user} with sudo"),
        None => format!("uid {}", entry.uid),
    };
    let started = entry.started.split('.').next().unwrap_or_default().replace('T', " ");
    format!("{started} UTC  {:<9}  {subject}{signed}  by {who}  {ended}", entry.action)
}
