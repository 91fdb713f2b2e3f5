//! What `-v` and `-vv` show: the library's log, as lines on standard error, above bars.
//! What is told is told by the stages, with the macros of the crate `log`.

use std::sync::OnceLock;

use indicatif::MultiProgress;
use log::{LevelFilter, Log, Metadata, Record};

use super::output::warn;

static TELLER: Teller = Teller;
/// Where bars are: a line among them would be overwritten.
static SCREEN: OnceLock<MultiProgress> = OnceLock::new();

struct Teller;

/// Tells as much as was asked for from now on.
pub fn choose(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::Off,
        1 => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    // Nobody set another one before.
    let _only_once = log::set_logger(&TELLER);
    log::set_max_level(level);
}

/// Bars are shown here from now on.
pub fn above(screen: MultiProgress) {
    let _only_once = SCREEN.set(screen);
}

impl Log for Teller {
    /// What other crates tell may quote headers.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().split("::").next() == Some("builder")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = payload::printable(&record.args().to_string());
        match SCREEN.get() {
            // A terminal that went away is no reason to stop.
            Some(screen) => drop(screen.println(line)),
            None => warn(&line),
        }
    }

    fn flush(&self) {}
}
