//! The plan: from an index and the facts about a machine to the steps between them, and to what keeps these from being taken.
//! Nothing is changed here; the steps are carried out in `apply.rs`.

pub mod choice;
pub mod command;
mod earlier;
pub mod facts;
pub(crate) mod gpus;
pub mod memory;
mod placing;
mod planner;
pub mod preflight;
pub mod removal;
mod root_power;
mod services;
pub mod step;
pub mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use payload::RelPath;

pub use planner::plan;

use crate::record::made::Made;
use step::{PlaceFile, Step};

/// What the administrator asked for.
#[expect(clippy::struct_excessive_bools, reason = "a set of switches, as they were typed")]
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub enable: bool,
    pub start: bool,
    pub replace: bool,
    /// Whether a service that does not come up takes the installation back.
    pub rollback: bool,
    pub downgrade: Downgrade,
}

/// Whether an older package may take the place of a newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Downgrade {
    /// It was asked for, or nobody vouches for the package anyway.
    #[default]
    Allowed,
    Refused,
}

/// What will be done, and what was found.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// In order. They succeed together or are undone together.
    pub steps: Vec<Step>,
    /// After the installation is complete: they are reported, but not undone.
    pub afterwards: Vec<Step>,
    /// What is asked when the service runs.
    pub proof: Option<Proof>,
    /// Whether what fails after the steps takes them back.
    pub rollback: bool,
    /// Directories that hold verified copies while the steps run.
    pub areas: Vec<RelPath>,
    /// Paths that already are as the package wants them.
    pub unchanged: Vec<RelPath>,
    pub conflicts: Vec<Conflict>,
    /// The newer version that is installed, and would go.
    pub downgrade: Option<String>,
    /// What of the package decides what runs as root on this machine.
    pub root_power: Vec<String>,
    /// Worth knowing, and no obstacle.
    pub notes: Vec<String>,
    /// What will probably not work once everything is in place, and no obstacle to putting it there.
    pub warnings: Vec<Warning>,
    /// What will be written, by the device number of the file system.
    pub space: BTreeMap<u64, Space>,
    /// What the receipt will say was made.
    pub made: Made,
}

/// What does not speak against the plan, but against what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// The models that have to answer, and the service that they are asked of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub unit: String,
    pub models: Vec<String>,
}

/// Something in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub path: RelPath,
    pub problem: String,
    /// Whether `--replace` settles it.
    pub replaceable: bool,
}

/// What one file system has to take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Space {
    /// The existing directory nearest to the largest file that goes to this file system.
    pub directory: String,
    /// Size of that file.
    pub largest: u64,
    pub bytes: u64,
    pub inodes: u64,
    pub available: u64,
    pub free_inodes: Option<u64>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.afterwards.is_empty()
    }

    /// The files that will be placed.
    pub fn placed(&self) -> impl Iterator<Item = &PlaceFile> {
        self.steps.iter().filter_map(|step| match step {
            Step::PlaceFile(place) => Some(place),
            _ => None,
        })
    }
}
