//! Whether an index makes sense as a whole: what refers to something else in it refers to something that is there, and
//! nothing is asked that no honest package needs. The form of single values is checked by their types.

mod contents;
mod entries;
mod links;
mod lookalikes;
mod optional;
mod places;
#[cfg(test)]
mod tests;
mod texts;
mod units;

pub use lookalikes::lookalikes;
pub use optional::optional_name_problem;
pub use places::{command_problem, file_problem, prefix_problem};

use super::Index;
use crate::PayloadError;

/// Larger than any model: keeps sums of sizes far from overflowing. In bytes.
const MAX_SIZE: u64 = 1 << 50;

/// Whether an installation of this index can be planned at all. What is refused here is refused before the machine is
/// looked at, so that a plan is never more hopeful than the installation.
///
/// # Errors
/// [`PayloadError::Format`] says what is impossible, or what no package may do.
pub(super) fn check(index: &Index) -> Result<(), PayloadError> {
    texts::check(index)?;
    let entries = entries::check(index)?;
    places::check(index)?;
    contents::check(index)?;
    links::check(index, &entries)?;
    units::check(index)?;
    optional::check(index)
}

fn refuse<T>(problem: impl Into<String>) -> Result<T, PayloadError> {
    Err(PayloadError::Format(problem.into()))
}
