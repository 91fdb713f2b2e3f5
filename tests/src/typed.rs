//! Programs that ask at a terminal: run on a pseudo-terminal, and answered when they ask.
//! What they ask is said by the tests.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs a program on a terminal of its own (util-linux's `script`), and types each answer once its question stands there.
/// Gives the exit code and all that was said.
///
/// # Errors
/// It cannot be started, or ends before it asked everything.
pub fn typed(command: &str, answers: &[(&str, &str)]) -> Result<(i32, String)> {
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command", command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("the test needs the package bsdutils")?;
    let mut input = child.stdin.take().context("no standard input")?;
    let mut output = child.stdout.take().context("no standard output")?;
    let (mut said, mut seen, mut answers) = (Vec::new(), 0, answers.iter().peekable());
    let mut piece = [0; 1024];
    loop {
        let count = output.read(&mut piece)?;
        if count == 0 {
            break;
        }
        said.extend_from_slice(&piece[..count]);
        if let Some((question, answer)) = answers.peek()
            && String::from_utf8_lossy(&said[seen..]).contains(question)
        {
            seen = said.len();
            writeln!(input, "{answer}")?;
            answers.next();
        }
    }
    let code = child.wait()?.code().unwrap_or(-1);
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(answers.peek().is_none(), "it never asked {:?}: {said}", answers.peek());
    Ok((code, said))
}
