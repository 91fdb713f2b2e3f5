//! `measure REPORT PROGRAM ARGUMENT…` runs a program and writes what the kernel counted of it to REPORT, as JSON.
//! What the numbers mean is in `scenario/measure.rs`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use e2e::scenario::measure::Used;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let report = PathBuf::from(arguments.next().context("REPORT is missing")?);
    let program = arguments.next().context("PROGRAM is missing")?;
    let mut child = Command::new(program).args(arguments).spawn()?;
    // Ended, but not yet waited for: its accounts are complete and still there.
    waitid(Id::Pid(Pid::from_raw(i32::try_from(child.id())?)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    let accounts = std::fs::read_to_string(format!("/proc/{}/io", child.id()))?;
    let account = |name: &str| -> Result<u64> {
        let line = accounts.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        Ok(line.trim().parse()?)
    };
    let (read, written) = (account("rchar:")?, account("wchar:")?);
    let status = child.wait()?;
    let resident = u64::try_from(getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss())? * 1024;
    std::fs::write(report, serde_json::to_vec(&Used { read, written, resident })?)?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
