//! The log of a package: who did what, each step with what became of it, and how it ended; and the history that follows.
//! How lines reach the disk is in `host/root/log.rs`. A log that cannot be written is a note, never a failure.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use payload::RelPath;
use payload::index::PackageName;
use payload::names::LOG_DIRECTORY;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::journald::Journald;
use crate::host::root::{Found, FsError, LogFile, Root};
use crate::record::state;

/// A log of this many bytes is moved aside before the next action.
const FULL: u64 = 1 << 20;
/// An action that makes a log larger than this goes on without its steps in it.
const LIMIT: u64 = 4 << 20;
/// Where actions on files are that were never opened: no package has this name.
const UNOPENED: &str = "_unopened";
const SUFFIX: &str = ".log";
const ASIDE: &str = ".log.1";

/// One action: what stands behind `begin` and `end` in a log, version 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `install`, `uninstall` or `recover`.
    pub action: String,
    /// RFC 3339, in UTC.
    pub started: String,
    /// `None` while it goes on, and of one that was killed.
    pub ended: Option<String>,
    pub uid: u32,
    /// Who became root with sudo, as sudo says.
    pub sudo_user: Option<String>,
    #[serde(flatten)]
    pub about: About,
    pub exit_code: Option<u8>,
    pub error: Option<String>,
}

/// What an action was about, as far as it was known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub package: Option<String>,
    pub version: Option<String>,
    /// Digest of `index.json`.
    pub index: Option<String>,
    /// The key that signed it.
    pub key_id: Option<String>,
    /// The file of the package, as the caller named it.
    pub file: Option<String>,
}

/// A log that is being kept, or none.
#[derive(Debug, Default)]
pub struct Log(Option<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    root: Root,
    now: fn() -> SystemTime,
    entry: Entry,
    file: Option<LogFile>,
    journald: Option<Journald>,
    left_out: u64,
    trouble: Option<String>,
}

impl Log {
    /// None is kept.
    pub fn none() -> Self {
        Self(None)
    }

    /// Begins one, in memory: to which package it belongs is not known yet.
    pub fn begin(root: Root, now: fn() -> SystemTime, entry: Entry) -> Self {
        let journald = if root.is_live() { Journald::open() } else { None };
        let entry = Entry { started: time(now()), ..entry };
        Self(Some(Mutex::new(Kept { root, now, entry, file: None, journald, left_out: 0, trouble: None })))
    }

    fn kept(&self) -> Option<MutexGuard<'_, Kept>> {
        self.0.as_ref().map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says what the action is about. What was known already stays.
    pub fn about(&self, name: &PackageName, about: About) {
        let Some(mut kept) = self.kept() else { return };
        let begins = kept.entry.about.package.is_none();
        let known = &mut kept.entry.about;
        known.package.get_or_insert_with(|| name.to_string());
        known.version = known.version.take().or(about.version);
        known.index = known.index.take().or(about.index);
        known.key_id = known.key_id.take().or(about.key_id);
        known.file = known.file.take().or(about.file);
        if begins {
            kept.open(name.as_str());
            kept.put_entry("begin");
        }
    }

    /// A step, and what became of it.
    pub fn step(&self, sentence: &str, outcome: &str) {
        let Some(mut kept) = self.kept() else { return };
        kept.tell("step", &[("AIRGAP_DEPLOY_STEP", sentence), ("AIRGAP_DEPLOY_OUTCOME", outcome)]);
        kept.put(&format!("step {sentence}: {outcome}"), false);
    }

    /// Ends it. Says why no log was kept, where one should have been.
    pub fn end(&self, outcome: &Result<(), Error>) -> Option<String> {
        let mut kept = self.kept()?;
        kept.entry.ended = Some(time((kept.now)()));
        kept.entry.exit_code = Some(outcome.as_ref().err().map_or(0, |error| error.exit() as u8));
        kept.entry.error = outcome.as_ref().err().map(Error::in_one_line);
        if kept.entry.about.package.is_none() {
            kept.open(UNOPENED);
        }
        if kept.left_out > 0 {
            let line = format!("note {} steps are left out: the log is full", kept.left_out);
            kept.put(&line, true);
        }
        kept.put_entry("end");
        kept.trouble.take()
    }
}

impl Kept {
    /// Its directory comes with a package that is new: a package that is there may have made the one above, which must go
    /// with it.
    fn open(&mut self, name: &str) {
        let Ok((path, aside)) = paths(name) else { return };
        let receipt = name.parse().map(|name| self.root.look(&state::receipt(&name)));
        let make = self.entry.action == "install" && matches!(receipt, Err(_) | Ok(Ok(Found::Absent)));
        match self.root.open_log(&path, &aside, FULL, make) {
            Ok(file) => self.file = file,
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    fn put_entry(&mut self, kind: &str) {
        let entry = serde_json::to_string(&self.entry).unwrap_or_default();
        self.put(&format!("{kind} {entry}"), true);
        let exit_code = self.entry.exit_code.map(|code| code.to_string());
        let mut fields = vec![("AIRGAP_DEPLOY_EVENT", kind.to_owned())];
        fields.extend(exit_code.map(|code| ("AIRGAP_DEPLOY_EXIT_CODE", code)));
        fields.extend(self.entry.error.clone().map(|error| ("AIRGAP_DEPLOY_ERROR", error)));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.tell(kind, &fields);
    }

    /// What is needed to know how an action ended is written in any case.
    fn put(&mut self, text: &str, needed: bool) {
        let line = format!("{} {} {}", time((self.now)()), std::process::id(), payload::printable(text));
        let Some(file) = &mut self.file else { return };
        if !needed && file.size() > LIMIT {
            self.left_out += 1;
        } else if let Err(error) = file.add(&line) {
            self.trouble = Some(error.to_string());
        }
    }

    fn tell(&self, kind: &str, fields: &[(&str, &str)]) {
        let Some(journald) = &self.journald else { return };
        let Entry { action, about, sudo_user, exit_code, error, .. } = &self.entry;
        let package = about.package.as_deref().unwrap_or("a file that was not opened");
        let said: Vec<&str> = fields.iter().map(|(_, value)| *value).collect();
        let message = match (kind, exit_code) {
            ("step", _) => format!("{action} {package}: {}", said.join(": ")),
            ("end", Some(0)) => format!("{action} {package}: done"),
            ("end", Some(code)) => format!("{action} {package}: exit code {code}: {}", error.as_deref().unwrap_or("")),
            _ => format!("{action} {package}: begins"),
        };
        let priority = if exit_code.is_some_and(|code| code != 0) { "3" } else { "6" };
        let own = [
            ("MESSAGE", Some(message)),
            ("PRIORITY", Some(priority.to_owned())),
            ("SYSLOG_IDENTIFIER", Some("airgap-deploy".to_owned())),
            ("AIRGAP_DEPLOY_ACTION", Some(action.clone())),
            ("AIRGAP_DEPLOY_PACKAGE", about.package.clone()),
            ("AIRGAP_DEPLOY_VERSION", about.version.clone()),
            ("AIRGAP_DEPLOY_INDEX", about.index.clone()),
            ("AIRGAP_DEPLOY_KEY_ID", about.key_id.clone()),
            ("AIRGAP_DEPLOY_SUDO_USER", sudo_user.clone()),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let given = fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
        journald.send(&own.chain(given).collect::<Vec<_>>());
    }
}

/// Whether logs are kept below this root: where there is a place for logs at all.
pub fn is_kept(root: &Root) -> bool {
    let above = LOG_DIRECTORY.parse::<RelPath>().ok().and_then(|directory| directory.parent());
    above.is_some_and(|above| matches!(root.look_directory(&above), Ok(Found::Directory(_))))
}

/// The log of a package, as it is named to people.
pub fn path(package: &PackageName) -> String {
    format!("/{LOG_DIRECTORY}/{package}{SUFFIX}")
}

fn paths(name: &str) -> Result<(RelPath, RelPath), payload::PathError> {
    Ok((format!("{LOG_DIRECTORY}/{name}{SUFFIX}").parse()?, format!("{LOG_DIRECTORY}/{name}{ASIDE}").parse()?))
}

/// Fine enough to tell the order of actions that are in different logs.
fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

/// What the logs below this root tell, of one package or of all, in the order of time.
///
/// # Errors
/// A log cannot be read.
pub fn history(root: &Root, package: Option<&PackageName>) -> Result<Vec<Entry>, FsError> {
    let mut names = match (package, LOG_DIRECTORY.parse::<RelPath>()) {
        (Some(package), _) => vec![package.to_string()],
        (None, Ok(directory)) => root
            .names(&directory)?
            .iter()
            .filter_map(|name| name.strip_suffix(SUFFIX).or_else(|| name.strip_suffix(ASIDE)).map(str::to_owned))
            .collect(),
        (None, Err(_)) => Vec::new(),
    };
    names.sort_unstable();
    names.dedup();
    let mut entries = Vec::new();
    for (path, aside) in names.iter().filter_map(|name| paths(name).ok()) {
        for path in [aside, path] {
            if let Some(bytes) = root.read(&path, 2 * LIMIT)? {
                entries.extend(entries_of(&String::from_utf8_lossy(&bytes)));
            }
        }
    }
    entries.sort_by(|one, other| one.started.cmp(&other.started));
    Ok(entries)
}

/// The actions in a log. One without an end was killed, or goes on; lines that say something else are passed over.
fn entries_of(text: &str) -> Vec<Entry> {
    let mut open: BTreeMap<&str, Entry> = BTreeMap::new();
    let mut entries = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(4, ' ');
        let (Some(_), Some(process), Some(kind), Some(rest)) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let Ok(entry) = serde_json::from_str::<Entry>(rest) else { continue };
        match kind {
            "begin" => entries.extend(open.insert(process, entry)),
            "end" => {
                open.remove(process);
                entries.push(entry);
            }
            _ => {}
        }
    }
    entries.extend(open.into_values());
    entries
}

#[cfg(test)]
mod tests {
    use super::{Entry, entries_of};

    #[test]
    fn an_action_without_an_end_is_told_too() {
        let line = |kind: &str, process: u32, started: &str, code: Option<u8>| {
            let ended = code.map(|_| started.to_owned());
            let entry = Entry { started: started.to_owned(), ended, exit_code: code, ..Entry::default() };
            format!("2026-01-01T00:00:00Z {process} {kind} {}\n", serde_json::to_string(&entry).unwrap())
        };
        let text = line("begin", 1, "a", None)
            + "2026-01-01T00:00:00Z 1 step remove {}: done\nnot a line\n"
            + &line("begin", 2, "b", None)
            + &line("end", 1, "a", Some(0))
            + &line("begin", 2, "c", None);
        let ended: Vec<(String, Option<u8>)> =
            entries_of(&text).into_iter().map(|entry| (entry.started, entry.exit_code)).collect();
        assert_eq!(ended, [("a".to_owned(), Some(0)), ("b".to_owned(), None), ("c".to_owned(), None)]);
    }
}
