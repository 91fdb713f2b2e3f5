//! Which entries of a package a target does without when it leaves optional components out.
//! What is left out on a target is chosen by its installer; that the entries of an index fit each other, in `check/optional.rs`.

/// The optional components that an entry is there for, by their positions in the index; none when every target gets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnlyFor(Vec<usize>);

impl OnlyFor {
    /// For these components alone.
    pub fn of(positions: Vec<usize>) -> Self {
        Self(positions)
    }

    /// For every target.
    pub fn everybody() -> Self {
        Self::default()
    }

    /// Positions in the components of the index, ascending.
    pub fn positions(&self) -> &[usize] {
        &self.0
    }

    /// Whether a target gets the entry that leaves these components out.
    pub fn is_there_without(&self, left_out: &[usize]) -> bool {
        self.0.is_empty() || self.0.iter().any(|position| !left_out.contains(position))
    }

    /// Whether every target that gets the entry `other` gets this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.is_empty() || (!other.0.is_empty() && other.0.iter().all(|position| self.0.contains(position)))
    }
}
