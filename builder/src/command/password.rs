//! Passwords of secret keys: from a file, or from the terminal without an echo. Never from the command line, where every
//! user of the machine could read them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use builder::signing::SignError;
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};

/// What no key types (`_POSIX_VDISABLE`).
const NO_KEY: u8 = 0;
/// A terminal gives no longer line, in bytes.
const MAX_LINE: usize = 4096;

/// The terminal that is silent, and what it was before. Held while that changes, so that no signal comes between.
static SILENCED: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// The password of the key at `key`.
pub fn existing(key: &Path, file: Option<&Path>) -> Result<String, SignError> {
    match file {
        Some(file) => from_file(key, file),
        None => Silence::begin()
            .and_then(|mut terminal| {
                terminal.ask(&format!("Password of {}: ", payload::printable(&key.display().to_string())))
            })
            .map_err(|error| nobody(key, &error)),
    }
}

/// A password for a key that is made, typed twice.
pub fn new(key: &Path, file: Option<&Path>) -> Result<String, SignError> {
    let refused = |problem: &str| SignError::Password { path: key.to_owned(), problem: problem.to_owned() };
    let not_empty = |password: String| {
        let why = "it is empty; --no-password makes a key without one";
        if password.is_empty() { Err(refused(why)) } else { Ok(password) }
    };
    let Some(file) = file else {
        let failed = |error| nobody(key, &error);
        let mut terminal = Silence::begin().map_err(failed)?;
        let password = not_empty(terminal.ask("Password for the new key: ").map_err(failed)?)?;
        let again = terminal.ask("The same password again: ").map_err(failed)?;
        return if again == password { Ok(password) } else { Err(refused("the two passwords are different")) };
    };
    not_empty(from_file(key, file)?)
}

fn nobody(key: &Path, error: &io::Error) -> SignError {
    SignError::Password { path: key.to_owned(), problem: format!("there is no terminal to ask at ({error})") }
}

/// Gives the terminal its echo back. Until what it gives is dropped, nobody takes it away again.
pub fn end_silence() -> impl Drop {
    let mut silenced = silenced();
    if let Some((terminal, before)) = silenced.take() {
        // The terminal may be gone: then there is nothing to give back.
        let _ = tcsetattr(&terminal, SetArg::TCSANOW, &before);
    }
    silenced
}

fn silenced() -> MutexGuard<'static, Option<(File, Termios)>> {
    SILENCED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal, which shows nothing of what is typed until this is dropped.
struct Silence {
    terminal: File,
}

impl Silence {
    fn begin() -> io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        silent.local_flags.insert(LocalFlags::ECHONL | LocalFlags::ICANON);
        // These two would end or stop this program without a word to it.
        for key in [SpecialCharacterIndices::VQUIT, SpecialCharacterIndices::VSUSP] {
            silent.control_chars[key as usize] = NO_KEY;
        }
        let mut silenced = silenced();
        *silenced = Some((terminal.try_clone()?, before));
        tcsetattr(&terminal, SetArg::TCSANOW, &silent)?;
        Ok(Self { terminal })
    }

    /// A line without its end. Nothing is read beyond it.
    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.terminal.write_all(question.as_bytes())?;
        let (mut line, mut byte) = (Vec::new(), [0]);
        while line.len() < MAX_LINE {
            match self.terminal.read(&mut byte) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if byte == *b"\n" => break,
                Ok(_) => line.extend(byte),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        String::from_utf8(line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "what was typed is not UTF-8"))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        drop(end_silence());
    }
}

/// The first line of the file.
fn from_file(key: &Path, file: &Path) -> Result<String, SignError> {
    let problem = |problem: String| SignError::Password { path: key.to_owned(), problem };
    let text =
        builder::read_small(file).map_err(|error| problem(format!("cannot read {}: {error}", file.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
