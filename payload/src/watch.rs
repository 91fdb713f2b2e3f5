//! What a long task tells, and what it asks, while it goes on.
//! Signals and progress bars belong to the programs.

use crate::PayloadError;

/// Told how many more bytes have been dealt with; called from several threads.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

/// Who watches a long task. Asked at every chunk, so that a task ends within a moment of being told to.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    pub progress: Progress<'a>,
    /// Whether to stop; called from several threads.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl Watch<'static> {
    /// Nobody.
    pub fn nobody() -> Self {
        Self { progress: &|_| (), stop: &|| false }
    }
}

impl Watch<'_> {
    /// Goes on, unless it is time to stop.
    pub(crate) fn go_on(&self) -> Result<(), PayloadError> {
        if (self.stop)() { Err(PayloadError::Interrupted) } else { Ok(()) }
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}
