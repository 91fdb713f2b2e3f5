//! Progress bars for a terminal: one for each file at work and one for the total, with rate and time left.
//! Text for logs lives in `lines.rs`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use payload::printable;

use super::lines::line;
use super::{Event, ItemId, ProgressSink};

const FILE: &str = "{msg:28!} {bar:24} {bytes:>11}/{total_bytes:11} {bytes_per_sec:>13} {eta:>4} left";
const UNSIZED: &str = "{msg:28!} {spinner} {bytes:>11} {bytes_per_sec:>13}";

/// Bars on a draw target, usually `ProgressDrawTarget::stderr()`.
pub struct Bars {
    screen: MultiProgress,
    state: Mutex<State>,
}

struct State {
    total: ProgressBar,
    files: BTreeMap<ItemId, ProgressBar>,
}

impl Bars {
    /// Bars on `target`; colours follow `NO_COLOR` as indicatif reads it.
    pub fn new(target: ProgressDrawTarget) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        let total = screen.add(ProgressBar::no_length().with_style(style(FILE)).with_message("total"));
        Self { screen, state: Mutex::new(State { total, files: BTreeMap::new() }) }
    }

    fn say(&self, event: &Event<'_>) {
        if let Some(text) = line(event) {
            // A terminal that went away is no reason to stop a download.
            let _ = self.screen.println(printable(&text));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Ok(state) = self.state.lock() {
            state.total.finish_and_clear();
        }
    }
}

impl State {
    fn start(&mut self, screen: &MultiProgress, item: ItemId, name: &str, size: Option<u64>) {
        let bar = ProgressBar::no_length().with_style(style(UNSIZED)).with_message(printable(name));
        self.files.insert(item, screen.insert_before(&self.total, bar));
        if let Some(size) = size {
            self.resize(item, size);
        }
    }

    fn resize(&mut self, item: ItemId, size: u64) {
        let Some(bar) = self.files.get(&item) else { return };
        let before = bar.length().unwrap_or(0);
        bar.set_style(style(FILE));
        bar.set_length(size);
        let total = self.total.length().unwrap_or(0);
        self.total.set_length(total.saturating_sub(before).saturating_add(size));
    }

    fn advance(&mut self, item: ItemId, position: u64) {
        let Some(bar) = self.files.get(&item) else { return };
        let before = bar.position();
        bar.set_position(position);
        self.total.set_position(self.total.position().saturating_sub(before).saturating_add(position));
    }

    fn end(&mut self, item: ItemId) {
        if let Some(bar) = self.files.remove(&item) {
            bar.finish_and_clear();
        }
    }
}

impl ProgressSink for Bars {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *event {
            Event::Started { item, name, size, .. } => state.start(&self.screen, item, name, size),
            Event::Sized { item, size } => state.resize(item, size),
            Event::Advanced { item, position } => state.advance(item, position),
            Event::Finished { item, size, .. } => {
                state.advance(item, size);
                state.end(item);
                self.say(event);
            }
            Event::Stopped { item } => state.end(item),
            Event::Retrying { .. } | Event::Note { .. } => self.say(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;
    use payload::Digest;

    use super::super::Origin;
    use super::*;

    fn bars() -> (InMemoryTerm, Bars) {
        let term = InMemoryTerm::new(24, 120);
        let bars = Bars::new(ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255));
        (term, bars)
    }

    #[test]
    fn a_bar_shows_size_rate_and_time_left_and_so_does_the_total() {
        let (term, bars) = bars();
        let item = ItemId(0);
        bars.event(&Event::Started { item, name: "llama2-7b", location: "https://x", size: Some(4 << 30) });
        bars.event(&Event::Advanced { item, position: 1 << 30 });
        let state = bars.state.lock().unwrap();
        state.files[&item].force_draw();
        state.total.force_draw();
        let screen = term.contents();
        for (name, line) in ["llama2-7b", "total"].iter().zip(screen.lines()) {
            assert!(line.starts_with(name) && line.contains("1.00 GiB/4.00 GiB"), "{screen}");
            assert!(line.contains("/s") && line.ends_with("left"), "{screen}");
        }
        assert_eq!(screen.lines().count(), 2, "{screen}");
    }

    #[test]
    fn the_total_is_the_sum_of_the_files_even_after_a_restart() {
        let (_term, bars) = bars();
        for (item, size) in [(0, 100), (1, 50)] {
            bars.event(&Event::Started { item: ItemId(item), name: "f", location: "https://x", size: Some(size) });
        }
        bars.event(&Event::Advanced { item: ItemId(0), position: 80 });
        bars.event(&Event::Advanced { item: ItemId(1), position: 20 });
        bars.event(&Event::Advanced { item: ItemId(0), position: 10 });
        let state = bars.state.lock().unwrap();
        assert_eq!((state.total.position(), state.total.length()), (30, Some(150)));
    }

    #[test]
    fn a_finished_file_leaves_its_line_and_no_bar() {
        let (term, bars) = bars();
        let item = ItemId(0);
        bars.event(&Event::Started { item, name: "llama2-7b", location: "https://x", size: Some(10) });
        let digest = Digest::of(b"x");
        bars.event(&Event::Finished { item, name: "llama2-7b", size: 10, digest, origin: Origin::Resumed });
        drop(bars);
        assert_eq!(term.contents(), format!("llama2-7b: 10 B resumed, {digest}"));
    }
}
