//! Limits of this process: enough open files to do the work, and to undo it.
//! What an installation takes of the machine is computed in `plan/preflight.rs`.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::error::{Error, NOTHING_CHANGED};
use crate::exit::Exit;

/// Paths are walked component by component, each of them open: this is enough for any path of a package.
const OPEN_FILES: u64 = 256;

/// Raises the limit of open files where that is needed and allowed.
///
/// # Errors
/// Exit code 21 when too few files may be open.
pub fn check() -> Result<(), Error> {
    // A kernel without limits has none to raise.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if soft >= OPEN_FILES || (hard >= OPEN_FILES && setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, hard).is_ok()) {
        return Ok(());
    }
    Err(Error::new(Exit::IncompatibleHost, format!("this process may open {soft} files, and needs {OPEN_FILES}"))
        .state(NOTHING_CHANGED)
        .hint(format!("raise the limit (ulimit -n {OPEN_FILES}), then run it again")))
}
