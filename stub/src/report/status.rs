//! What is installed, compared with the receipt: files, units, and where the service's sockets lead (`host/sockets.rs`).
//! Putting things right again is done by installing again.

use std::collections::BTreeSet;

use payload::{Digest, RelPath};
use serde_json::{Value, json};

use crate::error::Error;
use crate::host::machine::Machine;
use crate::host::root::Found;
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
            Self::Unreadable => "cannot be read by this user",
            Self::NoFile => "is no regular file",
            Self::OtherLink => "is not the link that was installed",
        }
    }

    fn remedy(self) -> Remedy {
        match self {
            Self::Unreadable => Remedy::AsRoot,
            Self::NoFile | Self::OtherLink => Remedy::MoveAway,
            Self::Missing | Self::Changed | Self::OtherMode => Remedy::Replace,
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Status {
    pub intact: usize,
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

/// Compares the machine with a receipt.
pub fn status(receipt: &Receipt, machine: &Machine, systemd: Option<Manager>) -> Result<Status, Error> {
    let mut status = Status::default();
    for file in &receipt.files {
        let problem = file_problem(file, &file.path, machine)?;
        status.count(&file.path.to_string(), problem);
    }
    for link in &receipt.links {
        let problem = match (&link.target, machine.root.look(&link.path)?) {
            (_, Found::Absent) => Some(Fault::Missing),
            (LinkTarget::Symbolic(target), Found::Link { target: found }) if found == *target => None,
            (LinkTarget::Hard(to), Found::File(facts)) => match (machine.root.look(to)?, receipt.file(to)) {
                // One file with two names: it was compared under the other one.
                (Found::File(other), _) if (other.device, other.inode) == (facts.device, facts.inode) => None,
                (_, Some(file)) => file_problem(file, &link.path, machine)?,
                _ => Some(Fault::Changed),
            },
            (_, Found::Hidden) => Some(Fault::Unreadable),
            (LinkTarget::Hard(_), _) => Some(Fault::NoFile),
            (LinkTarget::Symbolic(_), _) => Some(Fault::OtherLink),
        };
        status.count(&link.path.to_string(), problem);
    }
    if let Some(manager) = systemd {
        status.units = receipt.units.iter().map(|unit| unit_status(unit, manager)).collect();
        let problems: Vec<String> = status.units.iter().filter_map(UnitStatus::problem).collect();
        for problem in problems {
            status.add(problem, Remedy::LookAtUnit);
        }
    }
    Ok(status)
}

/// What is wrong with what stands at `path`, which should be the recorded `file`.
fn file_problem(file: &FileEntry, path: &RelPath, machine: &Machine) -> Result<Option<Fault>, Error> {
    Ok(match machine.root.look(path)? {
        Found::Absent => Some(Fault::Missing),
        Found::Hidden => Some(Fault::Unreadable),
        Found::File(facts) if facts.size != file.size => Some(Fault::Changed),
        // What was there before the package keeps the mode that it has.
        Found::File(facts) if facts.mode != file.mode.bits() && file.origin != Origin::AlreadyPresent => {
            Some(Fault::OtherMode)
        }
        Found::File(_) => match machine.root.digest(path) {
            Ok(digest) => changed(digest, file.digest),
            Err(_) => Some(Fault::Unreadable),
        },
        _ => Some(Fault::NoFile),
    })
}

fn changed(found: Digest, recorded: Digest) -> Option<Fault> {
    (found != recorded).then_some(Fault::Changed)
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
                Some("move what is in the place of a file or link out of the way, then install again with --replace")
            }
            Remedy::Replace if away => None,
            Remedy::Replace => Some("install again with --replace to put them right"),
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
                None => "not signed by a key that was trusted when it was installed".to_owned(),
            },
            format!("{} entries are as installed, {} are not", self.intact, self.problems.len()),
        ];
        lines.extend(self.problems.iter().map(|problem| format!("  {problem}")));
        for unit in &self.units {
            lines.push(format!("{}: {}", unit.name, unit.words()));
            lines.extend(unit.network().map(|line| format!("  network: {line}")));
        }
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
            "problems": self.problems,
            "units": units,
            "models": receipt.models,
        })
    }
}
