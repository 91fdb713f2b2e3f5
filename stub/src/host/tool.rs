//! Programs of the host that this installer runs: found at fixed absolute paths, with a cleared environment.
//! Which of them a step runs, and with which arguments, is decided in `plan/step.rs`.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::host::failpoint;

/// A program of the host that the installer may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    Getent,
    Groupadd,
    Groupdel,
    Journalctl,
    Restorecon,
    Systemctl,
    SystemdRun,
    Useradd,
    Userdel,
}

/// Where programs are looked for. `PATH` is never read.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A program of the host failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{command} failed{}: {detail}", .code.map_or(String::new(), |code| format!(" with exit code {code}")))]
pub struct ToolError {
    pub command: String,
    pub code: Option<i32>,
    pub detail: String,
}

impl Tool {
    /// The name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Getent => "getent",
            Self::Groupadd => "groupadd",
            Self::Groupdel => "groupdel",
            Self::Journalctl => "journalctl",
            Self::Restorecon => "restorecon",
            Self::Systemctl => "systemctl",
            Self::SystemdRun => "systemd-run",
            Self::Useradd => "useradd",
            Self::Userdel => "userdel",
        }
    }

    /// Where it is on this machine; `None` when it is in none of the usual directories.
    pub fn find(self) -> Option<PathBuf> {
        DIRECTORIES.iter().map(|directory| Path::new(directory).join(self.name())).find(|path| path.is_file())
    }

    /// Whether it acts on a root that it is told.
    pub fn takes_root(self) -> bool {
        matches!(self, Self::Groupadd | Self::Groupdel | Self::Useradd | Self::Userdel)
    }

    /// Whether a run with these arguments changes the machine.
    fn changes(self, arguments: &[&str]) -> bool {
        match self {
            // A transient unit is in /run, and is no change that a crash leaves.
            Self::Getent | Self::Journalctl | Self::SystemdRun => false,
            Self::Groupadd | Self::Groupdel | Self::Restorecon | Self::Useradd | Self::Userdel => true,
            Self::Systemctl => {
                matches!(
                    arguments.first(),
                    Some(&("daemon-reload" | "disable" | "enable" | "reset-failed" | "start" | "stop"))
                )
            }
        }
    }

    /// Runs it and gives what it printed. Only for those beside it, who know on which root it acts: `unit.rs` for systemd,
    /// `machine.rs` for accounts and labels.
    ///
    /// # Errors
    /// [`ToolError`] when it is missing, cannot be started or ends with another code than 0.
    pub(in crate::host) fn run(self, arguments: &[&str]) -> Result<String, ToolError> {
        self.run_if(arguments, || Ok(true)).map(Option::unwrap_or_default)
    }

    /// Runs it if `still` says so, which is asked at the last moment: who changes something by its name cannot hold it.
    /// `None` when it was not run.
    ///
    /// # Errors
    /// As [`Self::run`], and whatever `still` fails with.
    pub(in crate::host) fn run_if<E: From<ToolError>>(
        self,
        arguments: &[&str],
        still: impl FnOnce() -> Result<bool, E>,
    ) -> Result<Option<String>, E> {
        let shown = format!("{} {}", self.name(), arguments.join(" "));
        let failed = |code, detail: String| ToolError { command: shown.clone(), code, detail };
        let Some(program) = self.find() else {
            return Err(failed(None, "this machine does not have the program".to_owned()).into());
        };
        if self.changes(arguments) {
            failpoint::tool(&shown).map_err(|errno| failed(None, errno.desc().to_owned()))?;
        }
        if !still()? {
            return Ok(None);
        }
        let output = Command::new(&program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            // A Ctrl-C is for this program, which then undoes what it did: a tool is not stopped half-way.
            .process_group(0)
            .output()
            .map_err(|error| failed(None, format!("{}: {error}", program.display())))?;
        if output.status.success() {
            return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        let printed = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let lines: Vec<String> = printed.lines().map(payload::printable).collect();
        let detail = if lines.is_empty() { output.status.to_string() } else { lines.join("; ") };
        Err(failed(output.status.code(), detail).into())
    }
}
