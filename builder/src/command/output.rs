//! What the program prints: lines, JSON, progress; and the warnings of a manifest, which every command shows alike.
//! What is said lives with those who say it.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;

use builder::manifest::Parsed;
use builder::progress::{Bars, JsonLines, Lines, ProgressSink, Silent};
use builder::{BuildError, read_manifest};
use console::Term;
use indicatif::ProgressDrawTarget;
use payload::Prose;
use payload::index::Arch;

use super::cli::{Colour, OutputArgs};
use super::{Failure, own, verbose};

static COLOUR: OnceLock<Colour> = OnceLock::new();
/// Why the answer could not be written, the first time that happened.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Follows `--color` from now on.
pub fn choose_colour(colour: Colour) {
    let _only_once = COLOUR.set(colour);
}

/// Standard output, which remembers that something could not be written.
pub struct Answer;

impl Write for Answer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        remember(io::stdout().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        remember(io::stdout().lock().flush())
    }
}

/// A reader that went away has seen what it wanted; everything else is an error.
fn remember<T>(result: io::Result<T>) -> io::Result<T> {
    if let Err(error) = &result
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _the_first_counts = UNWRITTEN.set(error.to_string());
    }
    result
}

/// Whether everything that was said arrived.
pub fn written() -> Result<(), Failure> {
    let _remembered = Answer.flush();
    let Some(error) = UNWRITTEN.get() else { return Ok(()) };
    let hint = "the work is done; make room for the answer, and ask again";
    Err(Failure::new(44, format!("cannot write the answer to standard output: {error}"), hint))
}

/// Whether messages are coloured.
pub fn colour() -> bool {
    coloured(std::io::stderr().is_terminal())
}

/// Colours go to a terminal that wants them (<https://no-color.org>).
fn coloured(is_terminal: bool) -> bool {
    match COLOUR.get() {
        Some(Colour::Always) => return true,
        Some(Colour::Never) => return false,
        Some(Colour::Auto) | None => {}
    }
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    is_terminal && !is_dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

pub fn say(out: OutputArgs, line: &str) {
    if !out.quiet && !out.json {
        let _ = writeln!(Answer, "{}", shown_on(&Term::stdout()).shown(&own(line)));
    }
}

/// On a terminal lines are as wide as that is; elsewhere they stay as they are.
fn shown_on(term: &Term) -> Prose {
    let size = term.size_checked().filter(|_| term.is_term());
    Prose { columns: size.map(|(_, columns)| usize::from(columns)), colour: coloured(term.is_term()) }
}

/// A name as it is typed into a shell. What no shell takes is shown as it is.
pub fn typed(name: &str) -> String {
    let name = payload::printable(name);
    shlex::try_quote(&name).map_or_else(|_| name.clone(), std::borrow::Cow::into_owned)
}

pub fn warn(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown_on(&Term::stderr()).shown(&own(line)));
}

pub fn print_json(value: &serde_json::Value) {
    let _ = writeln!(Answer, "{value}");
}

pub fn sink(out: OutputArgs) -> Box<dyn ProgressSink> {
    if out.quiet {
        Box::new(Silent)
    } else if out.json {
        Box::new(JsonLines::new(Answer))
    } else if std::io::stderr().is_terminal() {
        let bars = Bars::new(ProgressDrawTarget::stderr(), columns);
        verbose::above(bars.screen());
        Box::new(bars)
    } else {
        Box::new(Lines::new(std::io::stderr()))
    }
}

/// What went wrong, and what to do about it, in the lines that it is made of.
pub fn fail(above: &str, what: &str, hint: &str) {
    // It may quote what came from elsewhere.
    let what: Vec<String> = what.lines().map(payload::printable).collect();
    let text = format!("error: {}\nnext:  {hint}", what.join("\n"));
    let shown = shown_on(&Term::stderr());
    let _ = writeln!(std::io::stderr().lock(), "{}{}", drawn(shown, above), shown.shown(&text));
}

/// What is drawn in its colours already.
fn drawn(on: Prose, text: &str) -> String {
    Prose { colour: false, ..on }.shown(text)
}

/// Columns of the terminal on standard error.
fn columns() -> usize {
    usize::from(Term::stderr().size().1)
}

pub fn manifest_with_warnings(path: &Path, target: Arch, out: OutputArgs) -> Result<Parsed, BuildError> {
    let parsed = read_manifest(path, target)?;
    if !out.quiet {
        let warnings = parsed.render_warnings(colour());
        if !warnings.is_empty() {
            let drawn = drawn(shown_on(&Term::stderr()), warnings.trim_end());
            let _ = writeln!(std::io::stderr().lock(), "{drawn}");
        }
    }
    Ok(parsed)
}
