//! Places where tests make the program die, stop or fail, in builds with the feature `failpoints` only.
//! A released stub has none of it: there these are empty functions.

#[cfg(feature = "failpoints")]
#[expect(clippy::disallowed_methods, reason = "it leaves half a write behind, and notes what it saw")]
mod armed;

#[cfg(feature = "failpoints")]
pub use armed::{around, patience, tool};

#[cfg(not(feature = "failpoints"))]
pub use disarmed::{around, patience, tool};

#[cfg(not(feature = "failpoints"))]
mod disarmed {
    use crate::host::change::Change;

    /// Makes the system call of a change.
    pub fn around<T>(_change: &Change<'_>, call: impl Fn() -> nix::Result<T>) -> nix::Result<T> {
        call()
    }

    /// How long a service is watched.
    pub fn patience(usual: std::time::Duration) -> std::time::Duration {
        usual
    }

    /// Called before a program of the host is run that changes the machine.
    #[expect(clippy::unnecessary_wraps, reason = "the other build can fail here")]
    pub fn tool(_command: &str) -> nix::Result<()> {
        Ok(())
    }
}
