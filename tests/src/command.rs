//! Child processes: argument lists in, exit code and output out, never longer than a bound.
//! What the commands mean is the caller's business; no shell is involved.

use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How often a condition is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(20);

/// What a finished command left behind.
#[derive(Debug, Clone)]
pub struct Captured {
    /// The exit code; 128 + the signal for a command that a signal ended, as a shell counts.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub elapsed: Duration,
    /// The bound was reached and the command was killed.
    pub timed_out: bool,
    /// The command was stopped because it had said enough.
    pub cut: bool,
}

impl Captured {
    /// Exit code 0, within the bound.
    pub fn ok(&self) -> bool {
        self.code == 0 && !self.timed_out
    }

    /// Both streams, one after the other.
    pub fn both(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Exit code and output, for the text of a failure.
    pub fn describe(&self) -> String {
        let mut text = format!("exit code {} after {:.1} s", self.code, self.elapsed.as_secs_f32());
        if self.timed_out {
            text.push_str(" (killed at its bound)");
        }
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.is_empty() {
                let _ = write!(text, "\n{name}:\n{stream}");
            }
        }
        text
    }
}

/// Makes a command from an argument list. Standard input is empty.
///
/// # Errors
/// The list is empty.
pub fn argv(arguments: &[&str]) -> Result<Command> {
    let (program, rest) = arguments.split_first().context("an empty argument list")?;
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null());
    Ok(command)
}

/// Runs a command and captures its output; it is killed, children included, when `bound` has passed.
///
/// # Errors
/// The command cannot be started or waited for. A non-zero exit code is not an error here.
pub fn capture(command: &mut Command, bound: Duration) -> Result<Captured> {
    capture_watched(command, bound, |_| Ok(()))
}

/// As [`capture`]; while the command runs, `watch` gets to see again and again what it wrote to standard output so far.
///
/// # Errors
/// Those of [`capture`], and those of `watch`; the command is killed first.
pub fn capture_watched(
    command: &mut Command,
    bound: Duration,
    mut watch: impl FnMut(&str) -> Result<()>,
) -> Result<Captured> {
    let started = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("{command:?} cannot be started"))?;
    let stdout = Stream::drain(child.stdout.take());
    let stderr = Stream::drain(child.stderr.take());
    let ended = wait_until(bound, || {
        watch(&stdout.text())?;
        Ok(child.try_wait()?.is_some())
    });
    if !matches!(ended, Ok(true)) {
        kill_group(&child);
    }
    let status = child.wait()?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    let (stdout, stderr) = (stdout.finish(), stderr.finish());
    Ok(Captured { code, stdout, stderr, elapsed: started.elapsed(), timed_out: !ended?, cut: false })
}

/// Runs a command that must succeed and returns what it said.
///
/// # Errors
/// The command cannot be started, ran into `bound`, or its exit code is not 0.
pub fn succeed(command: &mut Command, bound: Duration) -> Result<Captured> {
    let captured = capture(command, bound)?;
    if !captured.ok() {
        bail!("{command:?}: {}", captured.describe());
    }
    Ok(captured)
}

/// Looks at `condition` until it holds or `bound` has passed; says whether it held.
///
/// # Errors
/// Those of the condition, at once.
pub fn wait_until(bound: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<bool> {
    let deadline = Instant::now() + bound;
    loop {
        if condition()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(POLL);
    }
}

/// Makes the command receive `signal` when the process that started it dies, however it dies.
///
/// # Errors
/// The command names no program.
pub fn with_death_signal(signal: &str, arguments: &[&str]) -> Result<Command> {
    let mut all = vec!["setpriv", "--pdeathsig", signal, "--"];
    all.extend(arguments);
    argv(&all)
}

fn kill_group(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// An output stream that a thread of its own reads to the end.
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn drain(stream: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let filled = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            let Some(mut stream) = stream else { return };
            while let Ok(length @ 1..) = stream.read(&mut piece) {
                filled.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..length]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn finish(self) -> String {
        let _ = self.reader.join();
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(30);

    #[test]
    fn exit_codes_signals_and_both_streams_arrive() {
        let said = capture(&mut argv(&["sh", "-c", "echo out; echo err >&2; exit 9"]).unwrap(), BOUND).unwrap();
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (9, "out\n", "err\n"));
        let killed = capture(&mut argv(&["sh", "-c", "kill -TERM $$"]).unwrap(), BOUND).unwrap();
        assert_eq!(killed.code, 143);
    }

    #[test]
    fn a_command_at_its_bound_is_killed_with_its_children_and_keeps_what_it_said() {
        let mut command = argv(&["sh", "-c", "echo begun; sleep 600 & wait"]).unwrap();
        let said = capture(&mut command, Duration::from_millis(300)).unwrap();
        assert!(said.timed_out && !said.ok());
        assert_eq!(said.stdout, "begun\n");
    }

    #[test]
    fn a_failure_tells_code_and_output() {
        let error = succeed(&mut argv(&["sh", "-c", "echo why >&2; exit 3"]).unwrap(), BOUND).unwrap_err().to_string();
        assert!(error.contains("exit code 3") && error.contains("why"), "{error}");
    }
}
