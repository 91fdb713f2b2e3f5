//! What the program prints: text or JSON on stdout, progress and notes on stderr. A reader that went away is no error; an
//! answer that could not be written is.
//! What is said lives with those who say it.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use payload::{Bar, Prose};
use serde::Serialize;

use crate::error::Error;
use crate::exit::Exit;

/// Why the answer is not whole: a part of it must not be taken for all of it.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Quiet,
    Normal,
    Verbose,
}

/// The program's output.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub level: Level,
    /// Whether stdout carries JSON: then text for people goes to stderr.
    pub json: bool,
}

impl Screen {
    /// A line that was asked for.
    pub fn say(self, line: &str) {
        if self.level > Level::Quiet {
            self.put(line);
        }
    }

    /// Lines that were asked for.
    pub fn say_all(self, lines: &[String]) {
        for line in lines {
            self.say(line);
        }
    }

    /// A line about what goes on, or what went wrong.
    pub fn warn(self, line: &str) {
        let line = shown_on(&Term::stderr()).shown(line);
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// One JSON document.
    pub fn json(self, value: &impl Serialize) {
        let mut out = BufWriter::new(io::stdout().lock());
        require_written(payload::write_json(&mut out, value).and_then(|()| writeln!(out)).and_then(|()| out.flush()));
    }

    fn put(self, line: &str) {
        if self.json {
            self.warn(line);
        } else {
            let line = shown_on(&Term::stdout()).shown(line);
            require_written(writeln!(io::stdout().lock(), "{line}"));
        }
    }

    /// A bar over `total` bytes, as wide as the terminal is while it is drawn: on a terminal only. `label` says what is
    /// done.
    pub fn progress(self, label: &'static str, total: u64) -> ProgressBar {
        if self.level == Level::Quiet || self.json || !io::stderr().is_terminal() {
            return ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{line}") {
            bar.set_style(style.with_key("line", move |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = out.write_str(&line(label, state));
            }));
        }
        // However short the work is, it is seen.
        bar.force_draw();
        bar
    }
}

/// On a terminal lines are as wide as that is, and coloured if it wants it (`NO_COLOR`); elsewhere they stay as they are.
fn shown_on(term: &Term) -> Prose {
    if !term.is_term() {
        return Prose { columns: None, colour: false };
    }
    let columns = term.size_checked().map(|(_, columns)| usize::from(columns));
    Prose { columns, colour: term.features().colors_supported() }
}

/// For a question on standard error, which is answered at its end.
pub fn question(line: &str) -> String {
    shown_on(&Term::stderr()).shown(line)
}

fn line(label: &str, state: &ProgressState) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates")]
    let rate = state.per_sec() as u64;
    let columns = usize::from(Term::stderr().size().1);
    Bar { label, done: state.pos(), all: state.len(), rate, left: state.eta() }.line(columns)
}

fn require_written(outcome: io::Result<()>) {
    if let Err(error) = outcome
        && error.kind() != ErrorKind::BrokenPipe
    {
        UNWRITTEN.get_or_init(|| error.to_string());
    }
}

/// Whether everything that was to be said is written.
///
/// # Errors
/// Exit code 44: standard output takes no more.
pub fn complete() -> Result<(), Error> {
    require_written(io::stdout().lock().flush());
    let Some(why) = UNWRITTEN.get() else { return Ok(()) };
    Err(Error::new(Exit::Output, format!("the answer cannot be written to standard output: {why}"))
        .state("the work is done, but the answer is incomplete")
        .hint("free disk space, or write it somewhere else; --status shows what is installed"))
}
