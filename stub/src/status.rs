//! What is installed, compared with the receipt: files, units, and where the service's sockets lead (`sockets.rs`).
//! Putting things right again is done by installing again.

use payload::Digest;
use serde_json::{Value, json};

use crate::error::Error;
use crate::machine::Machine;
use crate::receipt::{LinkTarget, Receipt};
use crate::root::Found;
use crate::sockets::{self, Sockets};
use crate::tool::Tool;

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
    /// `active`, `inactive`, `failed`…
    pub active: String,
    /// `enabled`, `disabled`…
    pub enabled: String,
    /// `None` when the service does not run, or this user may not look.
    pub sockets: Option<Sockets>,
}

/// Compares the machine with a receipt.
pub fn status(receipt: &Receipt, machine: &Machine, systemd: bool) -> Result<Status, Error> {
    let mut status = Status::default();
    for file in &receipt.files {
        let problem = match machine.root.look(&file.path)? {
            Found::Absent => Some("is missing"),
            Found::Hidden => Some("cannot be read by this user"),
            Found::File(facts) if facts.size != file.size => Some("was changed"),
            Found::File(facts) if facts.mode != file.mode.bits() => Some("has another mode"),
            Found::File(_) => match machine.root.digest(&file.path) {
                Ok(digest) => changed(digest, file.digest),
                Err(_) => Some("cannot be read by this user"),
            },
            _ => Some("is no regular file"),
        };
        status.count(&file.path.to_string(), problem);
    }
    for link in &receipt.links {
        let problem = match (&link.target, machine.root.look(&link.path)?) {
            (_, Found::Absent) => Some("is missing"),
            (LinkTarget::Symbolic(target), Found::Link { target: found }) if found == *target => None,
            (LinkTarget::Hard(_), Found::File(_)) => None,
            _ => Some("was changed"),
        };
        status.count(&link.path.to_string(), problem);
    }
    if systemd {
        status.units = receipt.units.iter().map(|unit| unit_status(unit)).collect();
        status.problems.extend(status.units.iter().filter_map(UnitStatus::problem));
    }
    Ok(status)
}

fn changed(found: Digest, recorded: Digest) -> Option<&'static str> {
    (found != recorded).then_some("was changed")
}

fn unit_status(unit: &str) -> UnitStatus {
    let property = |name: &str| {
        let argument = format!("--property={name}");
        let answer = Tool::Systemctl.run(&["show", "--value", &argument, unit]).unwrap_or_default();
        answer.trim().to_owned()
    };
    UnitStatus {
        name: unit.to_owned(),
        active: property("ActiveState"),
        enabled: property("UnitFileState"),
        sockets: sockets::of_unit(unit),
    }
}

impl UnitStatus {
    /// The network check, as a sentence.
    fn network(&self) -> Option<String> {
        let sockets = match (&self.sockets, self.active.as_str()) {
            (Some(sockets), _) => sockets,
            (None, "active") => return Some("cannot be read by this user (run it as root)".to_owned()),
            (None, _) => return None,
        };
        Some(match sockets.elsewhere.as_slice() {
            [] => format!("{} sockets, all of them on loopback", sockets.loopback),
            elsewhere => format!("NOT ONLY LOOPBACK: {}", elsewhere.join(", ")),
        })
    }

    /// What is wrong with it.
    fn problem(&self) -> Option<String> {
        let beyond = self.sockets.as_ref().is_some_and(|sockets| !sockets.elsewhere.is_empty());
        match self.active.as_str() {
            "failed" => Some(format!("{} has failed: journalctl -u {}", self.name, self.name)),
            _ if beyond => Some(format!("{} has sockets beyond loopback", self.name)),
            _ => None,
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
            format!("{} entries are as installed, {} are not", self.intact, self.problems.len()),
        ];
        lines.extend(self.problems.iter().map(|problem| format!("  {problem}")));
        for unit in &self.units {
            lines.push(format!("{}: {}, {}", unit.name, unit.active, unit.enabled));
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
                    "active": unit.active,
                    "enabled": unit.enabled,
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
            "intact": self.intact,
            "problems": self.problems,
            "units": units,
            "models": receipt.models,
        })
    }
}
