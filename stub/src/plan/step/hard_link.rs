//! Which file gets a second name, and how.
//! That it is planned at all is decided in `plan/placing.rs`.

use payload::RelPath;

use super::changed_meanwhile;
use crate::host::machine::{Machine, StepError};
use crate::host::root::{Attributes, Found};

/// The file that gets a second name: not whatever stands at the first one by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkSource {
    /// It is placed by the same plan: this is its staged name.
    Staged(RelPath),
    /// It was there already. `seen` is what the plan saw; a journal does not have it.
    Present { seen: Option<Attributes> },
}

impl LinkSource {
    pub fn staged(&self) -> Option<&RelPath> {
        match self {
            Self::Staged(staged) => Some(staged),
            Self::Present { .. } => None,
        }
    }

    /// The name by which the file is known whose first name is `to`.
    pub(super) fn name<'a>(&'a self, to: &'a RelPath) -> &'a RelPath {
        self.staged().unwrap_or(to)
    }

    pub(super) fn link(&self, path: &RelPath, to: &RelPath, machine: &Machine) -> Result<(), StepError> {
        let root = &machine.root;
        root.link(self.name(to), path)?;
        let Self::Present { seen: Some(seen) } = self else { return Ok(()) };
        match root.look(path)? {
            Found::File(facts) if facts.is_same(seen) => Ok(()),
            _ => {
                root.remove(path)?;
                Err(changed_meanwhile(to))
            }
        }
    }
}
