//! Steps that ask systemd: which they are, and how a unit goes back to how it was.
//! What each of them says and does is in `step.rs`.

use super::Step;
use crate::host::machine::{StepError, Undone};
use crate::host::root::Root;
use crate::host::unit::{Enabler, Manager};

impl Step {
    /// Whether it is about units: what runs is only ever asked of the systemd that runs this machine.
    pub(super) fn is_about_units(&self) -> bool {
        match self {
            Self::StopUnit { .. }
            | Self::ReloadSystemd
            | Self::EnableUnit { .. }
            | Self::DisableUnit { .. }
            | Self::StartUnit { .. } => true,
            Self::CreateGroup(_)
            | Self::CreateUser { .. }
            | Self::MakeDirectory { .. }
            | Self::PlaceFile(_)
            | Self::MakeHardLink { .. }
            | Self::MakeSymbolicLink { .. }
            | Self::RemoveFile { .. }
            | Self::RemoveSymbolicLink { .. }
            | Self::SetOwner { .. }
            | Self::RestoreLabels { .. }
            | Self::KeepInstaller { .. } => false,
        }
    }

    /// Puts a unit back to how it was. systemd may refuse, for reasons that nothing here can mend: everything else goes
    /// back all the same. Below another root nothing runs that could be started or stopped.
    pub(super) fn undo_unit(&self, root: &Root) -> Undone {
        let outcome = match (self, Enabler::of(root), Manager::of(root)) {
            (Self::EnableUnit { unit }, Some(enabler), _) => enabler.disable(unit),
            (Self::DisableUnit { unit }, Some(enabler), _) => enabler.enable(unit),
            (Self::EnableUnit { unit }, None, _) => {
                return Undone::Unit(format!("{unit} may still be enabled: this machine has no systemctl"));
            }
            (Self::DisableUnit { unit }, None, _) => {
                return Undone::Unit(format!("{unit} may be disabled: this machine has no systemctl"));
            }
            (Self::StopUnit { unit }, _, Some(manager)) => manager.start(unit),
            (Self::StartUnit { unit }, _, Some(manager)) => manager.stop_if_up(unit),
            // Reloading again makes sense only when the units are back as they were: see `apply/recover.rs`.
            _ => Ok(()),
        };
        outcome.map_or_else(|error| Undone::Unit(error.to_string()), |()| Undone::Clean)
    }
}

/// What somebody else did to a unit since the plan is theirs: it is neither done once more nor undone.
pub(super) fn still(as_planned: bool, unit: &str, done: &str) -> Result<(), StepError> {
    let others = || StepError::DoneByOthers(format!("{unit} was {done} by somebody else while the installation ran"));
    if as_planned { Ok(()) } else { Err(others()) }
}

/// Below another root there is nobody to ask, and nothing to do.
pub(super) fn ask(root: &Root, what: impl FnOnce(Manager) -> Result<(), StepError>) -> Result<(), StepError> {
    Manager::of(root).map_or(Ok(()), what)
}
