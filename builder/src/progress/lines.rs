//! One clean line for each file, for logs and pipes: no carriage return, no escape sequence.
//! Bars live in `bars.rs`, JSON in `json.rs`.

use std::io::Write;
use std::sync::Mutex;

use payload::printable;

use super::{Event, ProgressSink};

/// Writes lines to `out`, in one write each.
pub struct Lines<W> {
    out: Mutex<W>,
}

impl<W: Write + Send> Lines<W> {
    /// Lines on `out`, usually standard error.
    pub fn new(out: W) -> Self {
        Self { out: Mutex::new(out) }
    }
}

impl<W: Write + Send> ProgressSink for Lines<W> {
    fn event(&self, event: &Event<'_>) {
        let Some(text) = line(event) else { return };
        if let Ok(mut out) = self.out.lock() {
            // A closed pipe is no reason to stop a download.
            let _ = out.write_all(format!("{}\n", printable(&text)).as_bytes());
        }
    }
}

/// The line for an event; most events have none.
pub(super) fn line(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Finished { name, size, digest, origin, .. } => {
            Some(format!("{name}: {} {}, {digest}", payload::size(*size), origin.as_str()))
        }
        Event::Retrying { name, reason, wait, .. } => {
            Some(format!("{name}: {reason}; trying again in {} s", wait.as_secs_f64().ceil()))
        }
        Event::Note { text } => Some((*text).to_owned()),
        Event::Started { .. } | Event::Working { .. } | Event::Advanced { .. } | Event::Stopped { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use payload::Digest;

    use super::super::{ItemId, Origin};
    use super::*;

    #[test]
    fn a_file_is_one_line_without_control_characters() {
        let lines = Lines::new(Vec::new());
        let item = ItemId(0);
        lines.event(&Event::Started { item, name: "a\x1b[2J", location: "https://x/a", size: Some(5) });
        lines.event(&Event::Advanced { item, position: 3 });
        let digest = Digest::of(b"x");
        lines.event(&Event::Finished { item, name: "a\x1b[2J", size: 2048, digest, origin: Origin::Downloaded });
        let text = String::from_utf8(lines.out.into_inner().unwrap()).unwrap();
        assert_eq!(text, format!("a\\u{{1b}}[2J: 2.0 kB downloaded, {digest}\n"));
    }

    #[test]
    fn a_retry_says_why_and_when() {
        let event = Event::Retrying { item: ItemId(1), name: "m", reason: "HTTP 503", wait: Duration::from_secs(4) };
        assert_eq!(line(&event).unwrap(), "m: HTTP 503; trying again in 4 s");
    }
}
