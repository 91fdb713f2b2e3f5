//! A run that stands still before one of its changes, so that somebody else can do something there.
//! What they do is the tests' business.

use std::io::Read;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::program::{Ended, Run};

/// Starts a run and waits until it has stopped before its change `number`; `None` when it ended before that.
///
/// # Errors
/// It failed.
pub fn stopped(run: Run, number: u64) -> Result<Option<Child>> {
    let mut child = run.set("STOP_AT", number).command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    match waitpid(pid, Some(WaitPidFlag::WUNTRACED))? {
        WaitStatus::Stopped(..) => Ok(Some(child)),
        WaitStatus::Exited(_, 0) => Ok(None),
        other => {
            let mut text = String::new();
            child.stderr.take().context("no stderr")?.read_to_string(&mut text)?;
            bail!("{other:?}: {text}")
        }
    }
}

/// Sends a signal.
///
/// # Errors
/// There is nobody to send it to.
pub fn signal(child: &Child, signal: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
}

/// Lets it go on to its end.
///
/// # Errors
/// It is gone.
pub fn go_on(child: Child) -> Result<Ended> {
    signal(&child, Signal::SIGCONT)?;
    Ok(child.wait_with_output()?.into())
}
