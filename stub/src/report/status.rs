//! What is installed, compared with the receipt: files, units, and where the service's sockets lead (`host/sockets.rs`).
//! Putting things right again is done by installing again.

use payload::{Digest, RelPath};
use serde_json::{Value, json};

use crate::error::Error;
use crate::host::machine::Machine;
use crate::host::root::Found;
use crate::host::sockets::{self, Sockets};
use crate::host::unit::{Manager, UnitState};
use crate::record::receipt::{FileEntry, LinkTarget, Origin, Receipt};

/// What was found.
#[derive(Debug, Default)]
pub struct Status {
    pub intact: usize,
    pub problems: Vec<String>,
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
            (_, Found::Absent) => Some("is missing"),
            (LinkTarget::Symbolic(target), Found::Link { target: found }) if found == *target => None,
            (LinkTarget::Hard(to), Found::File(facts)) => match (machine.root.look(to)?, receipt.file(to)) {
                // One file with two names: it was compared under the other one.
                (Found::File(other), _) if (other.device, other.inode) == (facts.device, facts.inode) => None,
                (_, Some(file)) => file_problem(file, &link.path, machine)?,
                _ => Some("was changed"),
            },
            _ => Some("was changed"),
        };
        status.count(&link.path.to_string(), problem);
    }
    if let Some(manager) = systemd {
        status.units = receipt.units.iter().map(|unit| unit_status(unit, manager)).collect();
        status.problems.extend(status.units.iter().filter_map(UnitStatus::problem));
    }
    Ok(status)
}

/// What is wrong with what stands at `path`, which should be the recorded `file`.
fn file_problem(file: &FileEntry, path: &RelPath, machine: &Machine) -> Result<Option<&'static str>, Error> {
    Ok(match machine.root.look(path)? {
        Found::Absent => Some("is missing"),
        Found::Hidden => Some("cannot be read by this user"),
        Found::File(facts) if facts.size != file.size => Some("was changed"),
        // What was there before the package keeps the mode that it has.
        Found::File(facts) if facts.mode != file.mode.bits() && file.origin != Origin::AlreadyPresent => {
            Some("has another mode")
        }
        Found::File(_) => match machine.root.digest(path) {
            Ok(digest) => changed(digest, file.digest),
            Err(_) => Some("cannot be read by this user"),
        },
        _ => Some("is no regular file"),
    })
}

fn changed(found: Digest, recorded: Digest) -> Option<&'static str> {
    (found != recorded).then_some("was changed")
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
    fn count(&mut self, path: &str, problem: Option<&str>) {
        match problem {
            Some(problem) => self.problems.push(format!("{path} {problem}")),
            None => self.intact += 1,
        }
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
