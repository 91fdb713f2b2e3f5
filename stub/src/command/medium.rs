//! Packages on several media: whether all volumes are here, and who is asked for those that are not.
//! Finding a volume, and telling it from others, is done by the crate `payload`.

use std::fs::File;
use std::io::{self, IsTerminal, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use payload::{Absent, Answer, Ask, Package, Volume, printable};
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::{Value, json};

use super::cli::Args;
use super::open::OWN_FILE;
use crate::error::Error;
use crate::host::interrupt;
use crate::report::screen::{Screen, question};

/// How long a signal may wait while nobody types, in milliseconds.
const PATIENCE: u16 = 200;

/// Who is asked for the next medium: whoever sits at the terminal; nobody where there is none.
pub fn ask(args: &Args) -> Option<Ask> {
    asks(args).then(|| -> Ask { Box::new(ask_for) })
}

fn asks(args: &Args) -> bool {
    !args.json && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// What has to be known before content is read: that all volumes are here, or that somebody can be asked for them. Gives the
/// number of workers: one, which reads from the first byte to the last, when media are going to be exchanged.
///
/// # Errors
/// Exit code 24 when volumes are missing, 10 when one is not of this package.
pub fn prepare(package: &Package, args: &Args, workers: usize, screen: Screen) -> Result<usize, Error> {
    let Err(error) = package.parts().require_all() else { return Ok(workers) };
    if !asks(args) {
        // Comparing every byte names these too.
        return if args.verify { Ok(workers) } else { Err(Error::payload(&error)) };
    }
    leave_medium(args, screen);
    // Whoever is asked for a volume is told what is wrong with the one that is there.
    for volume in error.missing() {
        screen.warn(&format!("not here: {volume}"));
    }
    Ok(1)
}

/// What a plan, which needs the first volume alone, says of those that an installation will need.
pub fn absent(package: &Package) -> Option<String> {
    let error = package.parts().require_all().err()?;
    Some(format!("{error}: --install needs all of them; if there is only one file, it was cut off: copy it again"))
}

/// The files that the package is in, as programs are told of them.
pub fn volumes(package: &Package) -> Value {
    let volumes = package.parts().look_at_all();
    let told = volumes.into_iter().map(|(Volume { name, number, length, .. }, looked)| {
        let (state, problem) = match looked {
            Ok(()) => ("found", None),
            Err(Absent::Nowhere) => ("missing", None),
            Err(Absent::Wrong(path, problem)) => ("wrong", Some(format!("{path} {problem}"))),
        };
        json!({"name": name, "number": number, "length": length, "state": state, "problem": problem})
    });
    told.collect()
}

/// A program that runs from a medium keeps that in its place: it goes on as a copy in memory.
fn leave_medium(args: &Args, screen: Screen) {
    let Ok(own) = std::fs::read_link(OWN_FILE) else { return };
    let payload = args.payload.as_deref().map_or_else(|| Ok(own.clone()), std::path::absolute);
    let device = |path: &PathBuf| path.metadata().map(|facts| facts.dev());
    let runs_from_medium =
        payload.is_ok_and(|payload| matches!((device(&own), device(&payload)), (Ok(one), Ok(other)) if one == other));
    if !runs_from_medium {
        return;
    }
    if std::env::current_dir()
        .is_ok_and(|here| matches!((device(&here), device(&own)), (Ok(one), Ok(other)) if one == other))
    {
        screen.warn("note: started from a directory of the medium, which keeps it from being unmounted: cd / first");
    }
    if let Err(error) = go_on_in_memory(args, &own) {
        screen.warn(&format!(
            "note: this program cannot be copied into memory ({error}): leave the medium with it in its place"
        ));
    }
}

fn go_on_in_memory(args: &Args, own: &PathBuf) -> io::Result<()> {
    let mut program = File::open(OWN_FILE)?;
    let length = payload::elf_length(&program).map_err(io::Error::other)?;
    program.rewind()?;
    let mut copy = File::from(memfd_create("airgap-deploy", MemfdFlags::CLOEXEC)?);
    io::copy(&mut io::Read::take(&mut program, length), &mut copy)?;
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if args.payload.is_none() {
        arguments.extend(["--payload".into(), own.into()]);
    }
    let mut command = Command::new(format!("/proc/self/fd/{}", copy.as_raw_fd()));
    Err(command.arg0("airgap-deploy").args(arguments).exec())
}

fn ask_for(volume: &Volume, problem: Option<&str>) -> Answer {
    let Volume { name, number, count, .. } = volume;
    let mut screen = io::stderr().lock();
    if let Some(problem) = problem {
        let _ = writeln!(screen, "\n{}", question(&printable(problem)));
    }
    let insert = format!(
        "insert the medium with {} (volume {number} of {count}), then press Enter to look again;",
        printable(name)
    );
    let _ = write!(screen, "\n{}\n{} ", question(&insert), question("or type the directory that it is in; q stops:"));
    let _ = screen.flush();
    match line().as_deref().map(str::trim) {
        Some("") => Answer::LookAgain,
        None if interrupt::requested() => Answer::Interrupted,
        None | Some("q" | "Q") => Answer::Stop,
        Some(directory) => Answer::LookIn(PathBuf::from(directory)),
    }
}

/// A line that somebody types; `None` when nobody will, or this program was told to stop.
fn line() -> Option<String> {
    let stdin = io::stdin();
    loop {
        if interrupt::requested() {
            return None;
        }
        let mut waiting = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::from(PATIENCE)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => break,
            Err(_) => return None,
        }
    }
    let mut line = String::new();
    match stdin.read_line(&mut line) {
        Ok(1..) => Some(line),
        _ => None,
    }
}
