//! A running strace of everything that a machine's systemd starts, from outside the machine.
//! Reading what it wrote is in `strace.rs`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::command::{wait_until, with_death_signal};
use crate::machine::Machine;
use crate::strace::{Event, parse};

const ATTACHED_WITHIN: Duration = Duration::from_secs(30);

/// A strace at work. Dropping it lets go of the machine.
#[derive(Debug)]
pub struct Tracer {
    strace: Child,
    dir: TempDir,
}

impl Tracer {
    /// Follows the machine's PID 1 and every process it starts from now on: services, commands, their children.
    /// Processes that already run are not followed. Commands and units stay as they are.
    pub fn attach(machine: &Machine) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let output = dir.path().join("trace").display().to_string();
        let leader = machine.leader().to_string();
        let arguments =
            ["strace", "-f", "-s", "4096", "-e", "trace=network", "-e", "signal=none", "-o", &output, "-p", &leader];
        let said = File::create(dir.path().join("said"))?;
        let mut command = with_death_signal("TERM", &arguments)?;
        let strace = command.stdout(Stdio::null()).stderr(said).spawn().context("strace cannot be started")?;
        let mut tracer = Self { strace, dir };
        tracer.wait_until_attached(machine)?;
        Ok(tracer)
    }

    /// Lets go, keeps the trace as written in `evidence`, and gives what was seen.
    pub fn finish(mut self, evidence: &Path) -> Result<Vec<Event>> {
        if let Some(status) = self.strace.try_wait()? {
            bail!("strace ended on its own ({status}): {}", self.said());
        }
        self.let_go()?;
        let trace = fs::read(self.dir.path().join("trace"))?;
        fs::write(evidence, &trace).with_context(|| format!("{} cannot be written", evidence.display()))?;
        parse(&String::from_utf8_lossy(&trace))
    }

    fn wait_until_attached(&mut self, machine: &Machine) -> Result<()> {
        let status = format!("/proc/{}/status", machine.leader());
        let own = format!("TracerPid:\t{}", self.strace.id());
        let attached = wait_until(ATTACHED_WITHIN, || {
            if let Some(status) = self.strace.try_wait()? {
                bail!("strace ended at once ({status}): {}", self.said());
            }
            Ok(fs::read_to_string(&status)?.lines().any(|line| line == own))
        })?;
        if !attached {
            bail!("strace did not attach within {ATTACHED_WITHIN:?}: {}", self.said());
        }
        Ok(())
    }

    fn let_go(&mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.strace.id())?), Signal::SIGTERM)?;
        self.strace.wait()?;
        Ok(())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("said")).unwrap_or_default()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if matches!(self.strace.try_wait(), Ok(None)) {
            let _ = self.let_go();
        }
    }
}
