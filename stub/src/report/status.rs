//! What is installed, compared with the receipt: files, units, and where the service's sockets lead (`host/sockets.rs`).
//! Putting things right again is done by installing again.

use std::collections::{BTreeSet, HashMap};

use payload::RelPath;
use serde_json::{Value, json};

use super::{json, text};
use crate::error::Error;
use crate::host::contents::{Contents, Known, Tally};
use crate::host::machine::Machine;
use crate::host::root::{Attributes, Found, Stat};
use crate::host::sockets::{self, Sockets};
use crate::host::unit::{Manager, UnitState};
use crate::record::receipt::{FileEntry, LinkTarget, Origin, Receipt};

/// What puts a problem right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    GoOnOrBack,
    AsRoot,
    /// No `--replace` takes away what is no file, nor a link that leads elsewhere.
    MoveAway,
    Replace,
    LookAtUnit,
}

/// What is wrong with what stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Missing,
    Changed,
    OtherMode,
    OtherOwner,
    Unreadable,
    NoFile,
    OtherLink,
}

impl Fault {
    fn words(self) -> &'static str {
        match self {
            Self::Missing => "is missing",
            Self::Changed => "was changed",
            Self::OtherMode => "has another mode",
            Self::OtherOwner => "has another owner",
            Self::Unreadable => "cannot be read by this user",
            Self::NoFile => "is not a regular file",
            Self::OtherLink => "is not the link that was installed",
        }
    }

    fn remedy(self) -> Remedy {
        match self {
            Self::Unreadable => Remedy::AsRoot,
            Self::NoFile | Self::OtherLink => Remedy::MoveAway,
            Self::Missing | Self::Changed | Self::OtherMode | Self::OtherOwner => Remedy::Replace,
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Status {
    pub intact: usize,
    /// How many files were trusted without reading them, and how many were read.
    pub looked_at: Tally,
    pub problems: Vec<String>,
    remedies: BTreeSet<Remedy>,
    pub units: Vec<UnitStatus>,
}

/// A unit as systemd sees it.
#[derive(Debug)]
pub struct UnitStatus {
    pub name: String,
    pub state: UnitState,
    /// `None` when the service does not run, or this user may not look.
    pub sockets: Option<Sockets>,
}

/// Compares the machine with a receipt; `full` reads every file, also what the receipt vouches for.
pub fn status(receipt: &Receipt, machine: &Machine, systemd: Option<Manager>, full: bool) -> Result<Status, Error> {
    let mut status = Status::default();
    let mut known = Known::default();
    if !full {
        receipt.tell(&mut known);
    }
    let entries = entries(receipt, machine)?;
    let files = entries.iter().filter_map(|entry| match (&entry.found, entry.should_be) {
        (Found::File(facts), ShouldBe::File(file)) if facts.size == file.size => Some((entry.path, *facts)),
        _ => None,
    });
    let contents = Contents::find_out(&machine.root, files, &known)?;
    for entry in &entries {
        status.count(&entry.path.to_string(), entry.problem(&contents));
    }
    status.looked_at = contents.tally;
    if let Some(manager) = systemd {
        status.units = receipt.units.iter().map(|unit| unit_status(unit, manager)).collect();
        let problems: Vec<String> = status.units.iter().filter_map(UnitStatus::problem).collect();
        for problem in problems {
            status.add(problem, Remedy::LookAtUnit);
        }
    }
    Ok(status)
}

/// What the receipt has at a path, and what stands there.
struct Entry<'a> {
    path: &'a RelPath,
    should_be: ShouldBe<'a>,
    /// As it was when the receipt was written.
    stat: Option<Stat>,
    found: Found,
    /// A second name of a file of the receipt: that is compared under its first one.
    second: bool,
}

#[derive(Clone, Copy)]
enum ShouldBe<'a> {
    File(&'a FileEntry),
    Link(&'a str),
    /// A hard link to what the receipt does not have.
    Unknown,
}

fn entries<'a>(receipt: &'a Receipt, machine: &Machine) -> Result<Vec<Entry<'a>>, Error> {
    let mut entries = Vec::new();
    let mut inodes = HashMap::new();
    for file in &receipt.files {
        let found = machine.root.look(&file.path)?;
        inodes.insert(&file.path, inode(&found));
        entries.push(Entry {
            path: &file.path,
            should_be: ShouldBe::File(file),
            stat: file.stat,
            found,
            second: false,
        });
    }
    for link in &receipt.links {
        let found = machine.root.look(&link.path)?;
        let (should_be, second) = match &link.target {
            LinkTarget::Symbolic(target) => (ShouldBe::Link(target), false),
            LinkTarget::Hard(to) => {
                let second = inode(&found).is_some() && inodes.get(to) == Some(&inode(&found));
                (receipt.file(to).map_or(ShouldBe::Unknown, ShouldBe::File), second)
            }
        };
        entries.push(Entry { path: &link.path, should_be, stat: link.stat, found, second });
    }
    Ok(entries)
}

fn inode(found: &Found) -> Option<(u64, u64)> {
    match found {
        Found::File(facts) => Some((facts.device, facts.inode)),
        _ => None,
    }
}

impl Entry<'_> {
    /// What is wrong with what stands there.
    fn problem(&self, contents: &Contents) -> Option<Fault> {
        match (&self.found, self.should_be) {
            _ if self.second => None,
            (Found::Absent, _) => Some(Fault::Missing),
            (Found::Link { target: found }, ShouldBe::Link(target)) if found == target => None,
            (Found::Hidden, _) => Some(Fault::Unreadable),
            (_, ShouldBe::Link(_)) => Some(Fault::OtherLink),
            (Found::File(_), ShouldBe::Unknown) => Some(Fault::Changed),
            (Found::File(facts), ShouldBe::File(file)) => self.file_problem(facts, file, contents),
            _ => Some(Fault::NoFile),
        }
    }

    /// What was there before the package keeps the mode and the owner that it has.
    fn file_problem(&self, facts: &Attributes, file: &FileEntry, contents: &Contents) -> Option<Fault> {
        let made = file.origin != Origin::AlreadyPresent;
        let now = facts.stat();
        let another_owner = |stat: Stat| stat.is_same_file(&now) && (stat.uid, stat.gid) != (now.uid, now.gid);
        if facts.size != file.size {
            return Some(Fault::Changed);
        }
        if made && facts.mode != file.mode.bits() {
            return Some(Fault::OtherMode);
        }
        match contents.of(facts).map(|content| &content.digest) {
            Some(Ok(digest)) if *digest == file.digest => {
                (made && self.stat.is_some_and(another_owner)).then_some(Fault::OtherOwner)
            }
            Some(Ok(_)) => Some(Fault::Changed),
            Some(Err(_)) | None => Some(Fault::Unreadable),
        }
    }
}

fn unit_status(unit: &str, manager: Manager) -> UnitStatus {
    let unknown = |_| UnitState { active: "unknown".to_owned(), ..UnitState::default() };
    let state = manager.look(unit).unwrap_or_else(unknown);
    UnitStatus { name: unit.to_owned(), sockets: sockets::of_unit(&state), state }
}

impl UnitStatus {
    /// The network check, as a sentence.
    fn network(&self) -> Option<String> {
        let sockets = match (&self.sockets, self.state.active.as_str()) {
            (Some(sockets), _) => sockets,
            (None, "active") => return Some("cannot be read by this user (run it as root)".to_owned()),
            (None, _) => return None,
        };
        Some(match sockets.elsewhere.as_slice() {
            [] => format!("{} sockets, all of them on loopback", sockets.loopback),
            elsewhere => format!("NOT ONLY LOOPBACK: {}", elsewhere.join(", ")),
        })
    }

    /// `active (running), enabled`, and how often systemd had to start it again.
    fn words(&self) -> String {
        let UnitState { active, sub, enabled, restarts, .. } = &self.state;
        let sub = if sub.is_empty() { String::new() } else { format!(" ({sub})") };
        let enabled = if enabled.is_empty() { String::new() } else { format!(", {enabled}") };
        let restarts = if *restarts == 0 { String::new() } else { format!(", started again {restarts} times") };
        format!("{active}{sub}{enabled}{restarts}")
    }

    /// What is wrong with it.
    fn problem(&self) -> Option<String> {
        let beyond = self.sockets.as_ref().is_some_and(|sockets| !sockets.elsewhere.is_empty());
        let name = &self.name;
        if self.state.has_failed() {
            Some(format!("{name} has failed ({}): journalctl -u {name}", self.state.result))
        } else if self.state.keeps_restarting() {
            Some(format!("{name} ends and is started over and over ({}): journalctl -u {name}", self.state.result))
        } else if beyond {
            Some(format!("{name} has sockets beyond loopback"))
        } else {
            None
        }
    }
}

impl Status {
    fn count(&mut self, path: &str, fault: Option<Fault>) {
        match fault {
            Some(fault) => self.add(format!("{path} {}", fault.words()), fault.remedy()),
            None => self.intact += 1,
        }
    }

    /// Adds a problem, and what puts it right.
    pub fn add(&mut self, problem: String, remedy: Remedy) {
        self.problems.push(problem);
        self.remedies.insert(remedy);
    }

    /// What to type next, for all problems together.
    pub fn advice(&self) -> String {
        let away = self.remedies.contains(&Remedy::MoveAway);
        let words = self.remedies.iter().filter_map(|remedy| match remedy {
            Remedy::GoOnOrBack => Some("run --install to go on, or --recover to go back"),
            Remedy::AsRoot => Some("run it as root"),
            Remedy::MoveAway => {
                Some("move away what is in the place of a file or link, then install again with --replace")
            }
            Remedy::Replace if away => None,
            Remedy::Replace => Some("install again with --replace to put that right"),
            Remedy::LookAtUnit => Some("look at what journalctl says of the service"),
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// For people.
    pub fn lines(&self, receipt: &Receipt) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{} {} is installed below {}",
                receipt.package,
                payload::printable(&receipt.version),
                receipt.prefix
            ),
            format!("index {}", receipt.index),
            match &receipt.signed_by {
                Some(key) => format!("signed by key {} ({})", key.key_id, payload::words_of_digest(key.fingerprint)),
                None => "not signed by a trusted key when it was installed".to_owned(),
            },
            match self.problems.len() {
                0 => format!("all {} entries are as installed", self.intact),
                1 => format!("{} entries are as installed, 1 is not", self.intact),
                wrong => format!("{} entries are as installed, {wrong} are not", self.intact),
            },
        ];
        lines.extend(text::trusted(&self.looked_at, "--status --full"));
        lines.extend(self.problems.iter().map(|problem| format!("  {problem}")));
        for unit in &self.units {
            lines.push(format!("{}: {}", unit.name, unit.words()));
            lines.extend(unit.network().map(|line| format!("  network: {line}")));
        }
        lines.extend(receipt.choice.line());
        lines.extend(receipt.models.iter().map(|model| format!("model: {}", payload::printable(model))));
        lines
    }

    /// For programs.
    pub fn to_json(&self, receipt: &Receipt) -> Value {
        let units: Vec<Value> = self
            .units
            .iter()
            .map(|unit| {
                let sockets = unit.sockets.as_ref();
                json!({
                    "name": unit.name,
                    "active": unit.state.active,
                    "sub": unit.state.sub,
                    "enabled": unit.state.enabled,
                    "result": unit.state.result,
                    "restarts": unit.state.restarts,
                    "loopback_sockets": sockets.map(|sockets| sockets.loopback),
                    "other_sockets": sockets.map(|sockets| &sockets.elsewhere),
                })
            })
            .collect();
        json!({
            "status": 1,
            "package": receipt.package.as_str(),
            "version": receipt.version,
            "prefix": receipt.prefix.to_string(),
            "index": receipt.index.to_string(),
            "signed_by": receipt.signed_by.as_ref().map(|key| json!({
                "key_id": key.key_id,
                "fingerprint": key.fingerprint.to_string(),
                "words": payload::words_of_digest(key.fingerprint),
            })),
            "intact": self.intact,
            "trusted": json::sum(self.looked_at.trusted),
            "read": json::sum(self.looked_at.read),
            "problems": self.problems,
            "units": units,
            "models": receipt.models,
            "optional": receipt.choice.to_json(),
        })
    }
}
