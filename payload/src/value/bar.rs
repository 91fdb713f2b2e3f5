//! The line of a progress bar, as wide as the terminal and no wider.
//! Drawing it, and measuring rates, is the programs' business.

use std::time::Duration;

use super::size::size;

/// From this many columns on the bytes stand beside the percentage.
const ROOM_FOR_BYTES: usize = 64;
/// Shorter bars say less than the percentage beside them.
const SHORTEST_BAR: usize = 6;
/// Names are cut to a quarter of the line, within these.
const LABEL: std::ops::RangeInclusive<usize> = 20..=28;

/// How far a task has come.
#[derive(Debug, Clone, Copy)]
pub struct Bar<'a> {
    /// What is done to what: `downloading llama2-7b`.
    pub label: &'a str,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all, if known.
    pub all: Option<u64>,
    /// Bytes a second.
    pub rate: u64,
    pub left: Duration,
}

impl Bar<'_> {
    /// The line: at most `columns - 1` characters, because a full line makes some terminals wrap.
    pub fn line(&self, columns: usize) -> String {
        let room = columns.saturating_sub(1);
        let facts = self.facts(room);
        let label_room =
            room.saturating_sub(facts.chars().count() + 1).min((room / 4).clamp(*LABEL.start(), *LABEL.end()));
        let label: String = self.label.chars().take(label_room).collect();
        let bar = room.saturating_sub(label_room + facts.chars().count() + 2);
        let line = match self.all {
            Some(all) if bar >= SHORTEST_BAR => {
                format!("{label:label_room$} {} {facts}", drawn(self.done, all, bar))
            }
            _ => format!("{label:label_room$} {facts}"),
        };
        line.chars().take(room).collect()
    }

    fn facts(&self, room: usize) -> String {
        let rate = format!("{}/s", size(self.rate));
        let Some(all) = self.all else { return format!("{:>9} {rate:>11}", size(self.done)) };
        let percent = share(self.done, all, 100);
        let left = format!("{} left", short(self.left));
        let short_facts = format!("{percent:>3}% {rate:>11} {left:>11}");
        if room < ROOM_FOR_BYTES {
            return short_facts;
        }
        format!("{:>9}/{:<9} {short_facts}", size(self.done), size(all))
    }
}

/// `parts` × `done` / `all`, at most `parts`.
fn share(done: u64, all: u64, parts: u64) -> u64 {
    let share = u128::from(done) * u128::from(parts) / u128::from(all.max(1));
    u64::try_from(share).unwrap_or(parts).min(parts)
}

fn drawn(done: u64, all: u64, width: usize) -> String {
    let inside = width.saturating_sub(2);
    let filled = usize::try_from(share(done, all, inside as u64)).unwrap_or(inside);
    format!("[{}{}]", "#".repeat(filled), "-".repeat(inside - filled))
}

/// Six characters at most for what anybody waits for.
fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str) -> Bar<'_> {
        let left = Duration::from_secs(754);
        Bar { label, done: 1_000_000_000, all: Some(4_000_000_000), rate: 123_400_000, left }
    }

    #[test]
    fn no_line_is_as_wide_as_the_terminal() {
        let long = "downloading a-model-with-a-very-long-name:70b-instruct-q4_K_M";
        for columns in 0..250 {
            for label in [long, "x", ""] {
                for all in [None, Some(0), Some(1), Some(u64::MAX)] {
                    let line = Bar { all, done: u64::MAX, rate: u64::MAX, ..bar(label) }.line(columns);
                    assert!(line.chars().count() < columns.max(1), "{columns}: {line}");
                }
            }
        }
    }

    #[test]
    fn forty_columns_hold_what_counts() {
        let line = bar("verifying").line(40);
        assert_eq!(line, "verifying   25%  123.4 MB/s 12m34s left");
    }

    #[test]
    fn eighty_columns_hold_bytes_and_a_bar_too() {
        let line = bar("downloading llama2").line(80);
        assert_eq!(line, "downloading llama2   [#------]    1.0 GB/4.0 GB     25%  123.4 MB/s 12m34s left");
    }

    #[test]
    fn what_has_no_known_end_has_no_share_of_it() {
        let line = Bar { all: None, ..bar("packing") }.line(80);
        assert!(!line.contains('%') && line.contains("1.0 GB"), "{line}");
    }
}
