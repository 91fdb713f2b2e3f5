//! One JSON object a line for each event, for programs.
//! The text for people is in `lines.rs` and `bars.rs`.

use std::io::Write;
use std::sync::Mutex;

use serde::Serialize;

use super::{Event, ProgressSink};

/// Writes JSON lines to `out`, in one write each.
pub struct JsonLines<W> {
    out: Mutex<W>,
}

impl<W: Write + Send> JsonLines<W> {
    /// JSON lines on `out`.
    pub fn new(out: W) -> Self {
        Self { out: Mutex::new(out) }
    }
}

/// The wire type; `event` names the kind. Sizes and positions are in bytes, `wait` in seconds.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Wire<'a> {
    Started { item: usize, name: &'a str, location: &'a str, size: Option<u64> },
    Working { item: usize, activity: &'static str, position: u64, size: Option<u64> },
    Advanced { item: usize, position: u64 },
    Retrying { item: usize, name: &'a str, reason: &'a str, wait: f64 },
    Finished { item: usize, name: &'a str, size: u64, digest: String, origin: &'static str },
    Stopped { item: usize },
    Note { text: &'a str },
}

impl<'a> From<&Event<'a>> for Wire<'a> {
    fn from(event: &Event<'a>) -> Self {
        match *event {
            Event::Started { item, name, location, size } => Self::Started { item: item.0, name, location, size },
            Event::Working { item, activity, position, size } => {
                Self::Working { item: item.0, activity: activity.as_str(), position, size }
            }
            Event::Advanced { item, position } => Self::Advanced { item: item.0, position },
            Event::Retrying { item, name, reason, wait } => {
                Self::Retrying { item: item.0, name, reason, wait: wait.as_secs_f64() }
            }
            Event::Finished { item, name, size, digest, origin } => {
                Self::Finished { item: item.0, name, size, digest: digest.to_string(), origin: origin.as_str() }
            }
            Event::Stopped { item } => Self::Stopped { item: item.0 },
            Event::Note { text } => Self::Note { text },
        }
    }
}

impl<W: Write + Send> ProgressSink for JsonLines<W> {
    fn event(&self, event: &Event<'_>) {
        let Ok(mut line) = serde_json::to_vec(&Wire::from(event)) else { return };
        line.push(b'\n');
        if let Ok(mut out) = self.out.lock() {
            // A closed pipe is no reason to stop a download.
            let _ = out.write_all(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ItemId;
    use super::*;

    #[test]
    fn every_event_is_one_json_line() {
        let sink = JsonLines::new(Vec::new());
        sink.event(&Event::Started { item: ItemId(2), name: "n\n", location: "https://x", size: None });
        sink.event(&Event::Advanced { item: ItemId(2), position: 7 });
        let text = String::from_utf8(sink.out.into_inner().unwrap()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["event"], "started");
        assert_eq!(lines[0]["name"], "n\n");
        assert_eq!(lines[1], serde_json::json!({"event": "advanced", "item": 2, "position": 7}));
    }
}
