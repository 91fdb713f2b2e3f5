//! What stands on a terminal after a command, row by row, with its colours: the terminal itself is the crate `vt100`.
//! Which commands are recorded is said in `tour.rs`.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Result, ensure};
use vt100::{Cell, Color, Parser, Screen};

use crate::terminal::{Raw, raw};

/// More rows than any step of the tour takes.
const ROWS: u16 = 1000;

/// What was recorded of one command.
#[derive(Debug)]
pub struct Recording {
    pub code: i32,
    /// What a line says, and in how many rows.
    pub lines: Vec<Line>,
    /// All of it, as bytes for something that understands colours alone.
    pub coloured: String,
    /// Whether there was any escape sequence but those that move a progress bar's cursor or erase it.
    pub has_colours: bool,
}

/// A line, in more than one row where the terminal broke it inside a word.
#[derive(Debug)]
pub struct Line {
    pub rows: Vec<String>,
}

impl Line {
    /// Whether the terminal broke it, though it could have been broken between words.
    pub fn is_badly_broken(&self) -> bool {
        let line = self.rows.concat();
        // The branches of a tree are no words.
        let words = line.split_whitespace().filter(|word| !word.chars().all(|c| "│├└─".contains(c)));
        self.rows.len() > 1 && words.count() > 1
    }
}

/// Runs `command` on a terminal of `columns` columns, to its end.
///
/// # Errors
/// It cannot be started, or says more than fits on the screen.
pub fn record(command: &mut Command, columns: u16) -> Result<Recording> {
    let Raw { code, bytes } = raw(command, columns)?;
    let mut terminal = Parser::new(ROWS, columns, 0);
    terminal.process(&bytes);
    let screen = terminal.screen();
    let used = screen.cursor_position().0;
    ensure!(used + 1 < ROWS, "{command:?} says more than {ROWS} rows");
    let mut lines: Vec<Line> = Vec::new();
    let mut goes_on = false;
    for (number, row) in (0..used).zip(screen.rows(0, columns)) {
        let is_full = |row: &str| row.chars().count() == usize::from(columns) && !row.ends_with(' ');
        match lines.last_mut().filter(|_| goes_on && !row.starts_with(' ')) {
            Some(line) => line.rows.push(row.clone()),
            None => lines.push(Line { rows: vec![row.clone()] }),
        }
        // A bar fills its row with blanks, and lets the terminal begin the next one.
        goes_on = screen.row_wrapped(number) && is_full(&row);
    }
    let sgr = |bytes: &[u8]| bytes.windows(2).any(|pair| pair == b"\x1b[") && has_sgr(bytes);
    Ok(Recording { code, lines, coloured: coloured(screen, used, columns), has_colours: sgr(&bytes) })
}

/// Whether an escape sequence sets colours: one that ends with `m`.
fn has_sgr(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == 0x1b).skip(1).any(|rest| {
        let end = rest.iter().skip(1).position(|byte| (b'@'..=b'~').contains(byte));
        rest.first() == Some(&b'[') && end.is_some_and(|end| rest.get(end + 1) == Some(&b'm'))
    })
}

/// The rows with their colours and nothing else.
fn coloured(screen: &Screen, used: u16, columns: u16) -> String {
    let mut text = String::new();
    for row in 0..used {
        let mut before = String::new();
        let mut shown = String::new();
        for cell in (0..columns).filter_map(|column| screen.cell(row, column)) {
            let style = style(cell);
            if style != before {
                let _ = write!(shown, "\u{1b}[0{style}m");
                before = style;
            }
            shown.push_str(if cell.has_contents() { cell.contents() } else { " " });
        }
        text.push_str(shown.trim_end());
        text.push_str("\u{1b}[0m\n");
    }
    text
}

/// What follows `ESC [ 0` for a cell.
fn style(cell: &Cell) -> String {
    let mut style = String::new();
    for (is_set, code) in [(cell.bold(), 1), (cell.dim(), 2), (cell.italic(), 3), (cell.underline(), 4)] {
        if is_set {
            let _ = write!(style, ";{code}");
        }
    }
    match cell.fgcolor() {
        Color::Default => {}
        Color::Idx(index @ 0..8) => {
            let _ = write!(style, ";{}", 30 + index);
        }
        Color::Idx(index) => {
            let _ = write!(style, ";38;5;{index}");
        }
        Color::Rgb(red, green, blue) => {
            let _ = write!(style, ";38;2;{red};{green};{blue}");
        }
    }
    style
}
