//! A pseudo-terminal of a given width: what a program shows to somebody who sits before it.
//! What it writes to files and pipes is caught by `command.rs`.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::pty::{Winsize, openpty};

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    pub code: i32,
    /// Each line at each moment, without escape sequences.
    pub lines: Vec<String>,
}

impl Seen {
    /// The rows of a terminal of `columns` columns, without the blanks at their ends.
    pub fn rows(&self, columns: usize) -> Vec<String> {
        let mut rows = Vec::new();
        for line in &self.lines {
            let chars: Vec<char> = line.chars().collect();
            rows.extend(chars.chunks(columns).map(|row| row.iter().collect::<String>().trim_end().to_owned()));
        }
        rows
    }
}

/// Every byte that came.
#[derive(Debug)]
pub struct Raw {
    pub code: i32,
    pub bytes: Vec<u8>,
}

/// Runs `command` in a terminal of `columns` columns, to its end.
///
/// # Errors
/// There is no pseudo-terminal, or the command cannot be started.
pub fn watch(command: &mut Command, columns: u16) -> Result<Seen> {
    let Raw { code, bytes } = raw(command, columns)?;
    let text = plain(&String::from_utf8_lossy(&bytes));
    let lines = text.split(['\r', '\n']).filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    Ok(Seen { code, lines })
}

/// The same, byte for byte.
///
/// # Errors
/// The same.
pub fn raw(command: &mut Command, columns: u16) -> Result<Raw> {
    let window = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&window), None)?;
    let end = || -> Result<Stdio> { Ok(pty.slave.try_clone()?.into()) };
    let command = command.env("TERM", "xterm").stdin(end()?).stdout(end()?).stderr(end()?);
    let mut started = command.spawn();
    // A file that was just written may still be open in a child of another thread that has not called `execve` yet.
    while started.as_ref().is_err_and(|error| error.kind() == ErrorKind::ExecutableFileBusy) {
        std::thread::yield_now();
        started = command.spawn();
    }
    let mut child = started.with_context(|| format!("{command:?} cannot be started"))?;
    // The terminal ends when nobody holds its other side.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(pty.slave);
    let bytes = read_all(File::from(pty.master))?;
    let code = child.wait()?.code().unwrap_or(-1);
    Ok(Raw { code, bytes })
}

/// The master's end is an error in Linux (EIO), not an end of file.
fn read_all(mut master: File) -> Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match master.read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EIO as i32) => return Ok(all),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Without control sequences (ECMA-48: ESC [ … final byte). A cursor that moves begins another line.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\u{1b}' {
            out.push(char);
        } else if chars.next() == Some('[') {
            let last = chars.by_ref().find(|char| ('@'..='~').contains(char));
            if last.is_some_and(|last| "ABCDEFGHJ".contains(last)) {
                out.push('\n');
            }
        }
    }
    out
}
