//! Places where tests make the program die or make a system call fail, in builds with the feature `failpoints` only.
//! A released stub has none of it: there this is an empty function.

use payload::RelPath;

use crate::root::FsError;

/// Called before every system call that changes the machine.
#[cfg(not(feature = "failpoints"))]
#[expect(clippy::unnecessary_wraps, reason = "the other build can fail here")]
pub fn before(_action: &'static str, _path: &RelPath) -> Result<(), FsError> {
    Ok(())
}
