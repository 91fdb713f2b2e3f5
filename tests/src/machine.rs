//! Machines with a real init as PID 1, no network but loopback, and no way to the outside: systemd-nspawn.
//! What they keep on the host is in `state.rs`; the base they boot from in `base.rs`.

use std::fs::{self, File};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::base::{self, Suite};
use crate::command::{Captured, argv, capture, capture_watched, succeed, wait_until};
use crate::state::State;

const BOOTED_WITHIN: Duration = Duration::from_secs(2 * 60);
const DOWN_WITHIN: Duration = Duration::from_secs(2 * 60);
/// How long a command inside may take when nothing else is said.
pub const COMMAND_BOUND: Duration = Duration::from_secs(5 * 60);
/// How long after its bound a command may take to be gone.
const GRACE: Duration = Duration::from_secs(2 * 60);
/// systemd-nspawn's exit code, with `--keep-unit`, for a machine that wants to be started again.
const REBOOT: i32 = 133;

/// A directory of this host that the machine sees read-only, as a mounted USB stick.
#[derive(Debug, Clone)]
pub struct BindRo {
    pub host: PathBuf,
    pub inside: String,
}

impl BindRo {
    pub fn new(host: &Path, inside: &str) -> Self {
        Self { host: host.to_owned(), inside: inside.to_owned() }
    }
}

/// A running machine. Dropping it takes it off, however far it got; it also goes when the thread that booted it ends.
#[derive(Debug)]
pub struct Machine {
    suite: Suite,
    nspawn: Child,
    /// PID of the machine's PID 1 on this host.
    leader: u32,
    base: PathBuf,
    arguments: Vec<String>,
    commands: AtomicU32,
    state: State,
}

impl Machine {
    /// Boots a machine and waits until its init has started everything. Needs root.
    pub fn boot(suite: Suite, mounts: &[BindRo]) -> Result<Self> {
        Self::boot_image(suite, base::provide(suite)?, mounts)
    }

    /// The same from a root directory that was made of a suite's.
    ///
    /// # Errors
    /// It does not boot.
    pub fn boot_image(suite: Suite, base: PathBuf, mounts: &[BindRo]) -> Result<Self> {
        let state = State::create()?;
        let arguments: Vec<String> =
            mounts.iter().map(|bind| format!("--bind-ro={}:{}", bind.host.display(), bind.inside)).collect();
        let nspawn = start(&base, &state, &arguments)?;
        let mut machine = Self { suite, nspawn, leader: 0, base, arguments, commands: AtomicU32::new(1), state };
        machine.wait_for_boot()?;
        Ok(machine)
    }

    /// Runs a command inside as root.
    pub fn run(&self, arguments: &[&str]) -> Result<Captured> {
        self.run_within("root", COMMAND_BOUND, arguments)
    }

    /// Runs a command inside as a user, with the environment of a login: `HOME`, `USER`, `LOGNAME`, `SHELL`.
    pub fn run_as(&self, user: &str, arguments: &[&str]) -> Result<Captured> {
        self.run_within(user, COMMAND_BOUND, arguments)
    }

    /// Runs a command inside that systemd stops when `bound` has passed; what it said until then is kept.
    pub fn run_within(&self, user: &str, bound: Duration, arguments: &[&str]) -> Result<Captured> {
        self.run_until(user, bound, |_| false, arguments)
    }

    /// As [`Machine::run_within`]; the command is also stopped once `enough` holds for its standard output so far.
    pub fn run_until(
        &self,
        user: &str,
        bound: Duration,
        enough: impl Fn(&str) -> bool,
        arguments: &[&str],
    ) -> Result<Captured> {
        if !self.suite.has_systemd() {
            return capture(self.nsenter()?.args(["runuser", "-u", user, "--"]).args(arguments), bound);
        }
        let unit = format!("harness-{}.service", self.commands.fetch_add(1, Ordering::Relaxed));
        let mut command = self.nsenter()?;
        command.args(["systemd-run", "--wait", "--pipe", "--quiet", "--collect"]).arg(format!("--unit={unit}"));
        command.arg(format!("--uid={user}")).arg(format!("--property=RuntimeMaxSec={}", bound.as_secs().max(1)));
        command.arg("--property=WorkingDirectory=~").arg("--").args(arguments);
        let mut cut = false;
        let mut captured = capture_watched(&mut command, bound + GRACE, |said| {
            if !cut && enough(said) {
                cut = true;
                // It fails when the command has just ended by itself.
                capture(self.nsenter()?.args(["systemctl", "stop", &unit]), GRACE)?;
            }
            Ok(())
        })?;
        captured.cut = cut;
        captured.timed_out |= captured.elapsed >= bound;
        Ok(captured)
    }

    /// Adds an ordinary user with a home directory.
    pub fn add_user(&self, name: &str) -> Result<()> {
        self.must(&["useradd", "--create-home", "--shell", "/bin/bash", name])?;
        Ok(())
    }

    /// Runs a command inside as root that must succeed.
    pub fn must(&self, arguments: &[&str]) -> Result<Captured> {
        let captured = self.run(arguments)?;
        if !captured.ok() {
            bail!("{}: {}", arguments.join(" "), captured.describe());
        }
        Ok(captured)
    }

    /// Reboots from the inside and waits until systemd has started everything again.
    pub fn reboot(&mut self) -> Result<()> {
        let code = self.leave("reboot")?;
        if code != REBOOT {
            bail!("the machine went down with {code}, not for a reboot\n{}", self.state.console());
        }
        self.nspawn = start(&self.base, &self.state, &self.arguments)?;
        self.wait_for_boot()
    }

    /// Powers off from the inside, in order, and clears away.
    pub fn power_off(mut self) -> Result<()> {
        match self.leave("poweroff")? {
            0 => Ok(()),
            code => bail!("the machine went down with {code}\n{}", self.state.console()),
        }
    }

    /// The PID of its PID 1 on this host.
    pub fn leader(&self) -> u32 {
        self.leader
    }

    /// A file of the machine, seen from this host.
    pub fn path(&self, inside: &str) -> PathBuf {
        Path::new("/proc").join(self.leader.to_string()).join("root").join(inside.trim_start_matches('/'))
    }

    fn wait_for_boot(&mut self) -> Result<()> {
        let booted = wait_until(BOOTED_WITHIN, || {
            if let Some(status) = self.nspawn.try_wait()? {
                bail!("systemd-nspawn ended while booting ({status})\n{}", self.state.console());
            }
            let Some(leader) = leader_of(self.nspawn.id()) else { return Ok(false) };
            self.leader = leader;
            if !self.suite.has_systemd() {
                return Ok(capture(self.nsenter()?.arg("runlevel"), BOOTED_WITHIN)?.stdout == "N 2\n");
            }
            Ok(fs::metadata(self.path("/run/systemd/private")).is_ok_and(|file| file.file_type().is_socket()))
        })?;
        if !booted {
            bail!("init did not come up within {BOOTED_WITHIN:?}\n{}", self.state.console());
        }
        if !self.suite.has_systemd() {
            return Ok(());
        }
        let state = capture(self.nsenter()?.args(["systemctl", "is-system-running", "--wait"]), BOOTED_WITHIN)?;
        if state.stdout.trim() != "running" {
            let failed = capture(self.nsenter()?.args(["systemctl", "--failed"]), BOOTED_WITHIN)?;
            bail!("systemd is {}, not running\n{}\n{}", state.both().trim(), failed.stdout, self.state.console());
        }
        Ok(())
    }

    /// `reboot` or `poweroff`; systemd-nspawn's exit code.
    fn leave(&mut self, verb: &str) -> Result<i32> {
        succeed(self.nsenter()?.args(["systemctl", "--no-block", verb]), DOWN_WITHIN)?;
        if !wait_until(DOWN_WITHIN, || Ok(self.nspawn.try_wait()?.is_some()))? {
            bail!("the machine did not {verb} within {DOWN_WITHIN:?}\n{}", self.state.console());
        }
        Ok(self.nspawn.wait()?.code().unwrap_or(-1))
    }

    /// The start of a command line that continues inside the machine.
    fn nsenter(&self) -> Result<std::process::Command> {
        let leader = self.leader.to_string();
        argv(&["nsenter", "-t", &leader, "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"])
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let killed = self.state.kill();
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
        if let Err(error) = killed {
            eprintln!("{error:#}");
        }
    }
}

fn start(base: &Path, state: &State, arguments: &[String]) -> Result<Child> {
    let console = File::options().create(true).append(true).open(state.dir().join("console.log"))?;
    let mut command = std::process::Command::new(boot_machine()?);
    command.arg(base).arg(state.dir()).arg(state.name()).args(arguments);
    command.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
    command.spawn().context("boot-machine cannot be started")
}

/// The program beside this one, or beside the directory of test programs.
fn boot_machine() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("boot-machine"))
        .find(|path| path.exists())
        .context("boot-machine is not built; `cargo build -p e2e --bins` builds it")
}

/// The child of systemd-nspawn that is PID 1 of its own PID namespace.
fn leader_of(nspawn: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        pids.split_whitespace().count() > 1 && pids.split_whitespace().last() == Some("1")
    })
}
