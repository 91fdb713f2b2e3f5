//! Progress bars for a terminal: one for each file at work and one for the total, with rate and time left.
//! Text for logs lives in `lines.rs`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use payload::{Bar, Prose, printable};

use super::lines::line;
use super::{Activity, Event, ItemId, ProgressSink};

/// Tells how many columns the terminal has now.
pub type Columns = fn() -> usize;

/// Bars on a draw target, usually `ProgressDrawTarget::stderr()`.
pub struct Bars {
    screen: MultiProgress,
    columns: Columns,
    state: Mutex<State>,
}

/// Of the files that are fetched, the total is shown too.
struct State {
    total: ProgressBar,
    files: BTreeMap<ItemId, File>,
}

struct File {
    name: String,
    bar: ProgressBar,
    /// Packing and writing go over the same bytes again: they do not count for the total.
    counted: bool,
}

impl Bars {
    /// Bars on `target`, as wide as `columns` says.
    pub fn new(target: ProgressDrawTarget, columns: Columns) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        let total = screen.add(ProgressBar::no_length().with_style(style("total", columns)));
        Self { screen, columns, state: Mutex::new(State { total, files: BTreeMap::new() }) }
    }

    /// Where other lines can be shown above the bars.
    pub fn screen(&self) -> MultiProgress {
        self.screen.clone()
    }

    fn say(&self, event: &Event<'_>) {
        if let Some(text) = line(event) {
            // A terminal that went away is no reason to stop a download.
            let prose = Prose { columns: Some((self.columns)()), colour: false };
            let _ = self.screen.println(prose.shown(&printable(&text)));
        }
    }

    fn start(&self, state: &mut State, item: ItemId, name: &str) {
        let name = printable(name);
        let bar = ProgressBar::no_length().with_style(style(&name, self.columns));
        let bar = self.screen.insert_before(&state.total, bar);
        state.files.insert(item, File { name, bar, counted: true });
    }

    fn work(&self, state: &mut State, item: ItemId, activity: Activity, position: u64, size: Option<u64>) {
        let State { total, files } = state;
        let Some(file) = files.get_mut(&item) else { return };
        let (before, length) = (file.bar.position(), file.bar.length().unwrap_or(0));
        file.bar.finish_and_clear();
        let label = format!("{} {}", activity.as_str(), file.name);
        let bar = size.map_or_else(ProgressBar::no_length, ProgressBar::new);
        file.bar = bar.with_style(style(&label, self.columns)).with_position(position);
        file.bar = self.screen.insert_before(total, file.bar.clone());
        file.counted = matches!(activity, Activity::Downloading | Activity::Hashing);
        if file.counted {
            total.set_length(total.length().unwrap_or(0).saturating_sub(length).saturating_add(size.unwrap_or(0)));
            total.set_position(total.position().saturating_sub(before).saturating_add(position));
        } else {
            total.finish_and_clear();
        }
        // What an earlier attempt left says nothing about the speed of this one.
        file.bar.reset_eta();
        total.reset_eta();
        // However short the work is, it is seen.
        file.bar.force_draw();
    }
}

fn style(label: &str, columns: Columns) -> ProgressStyle {
    let label = label.to_owned();
    let draw = move |state: &ProgressState, out: &mut dyn Write| {
        let bar =
            Bar { label: &label, done: state.pos(), all: state.len(), rate: whole(state.per_sec()), left: state.eta() };
        let _ = out.write_str(&bar.line(columns()));
    };
    ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("line", draw)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates")]
fn whole(rate: f64) -> u64 {
    rate as u64
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Ok(state) = self.state.lock() {
            state.total.finish_and_clear();
        }
    }
}

impl File {
    fn advance(&self, total: &ProgressBar, position: u64) {
        let before = self.bar.position();
        self.bar.set_position(position);
        if self.counted {
            total.set_position(total.position().saturating_sub(before).saturating_add(position));
        }
    }
}

impl State {
    fn advance(&self, item: ItemId, position: u64) {
        if let Some(file) = self.files.get(&item) {
            file.advance(&self.total, position);
        }
    }

    fn end(&mut self, item: ItemId) {
        if let Some(file) = self.files.remove(&item) {
            file.bar.finish_and_clear();
        }
    }
}

impl ProgressSink for Bars {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *event {
            Event::Started { item, name, .. } => self.start(&mut state, item, name),
            Event::Working { item, activity, position, size } => {
                self.work(&mut state, item, activity, position, size);
            }
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
        let bars = Bars::new(ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255), || 120);
        (term, bars)
    }

    fn working(item: ItemId, activity: Activity, position: u64, size: u64) -> Event<'static> {
        Event::Working { item, activity, position, size: Some(size) }
    }

    #[test]
    fn a_bar_shows_size_rate_and_time_left_and_so_does_the_total() {
        let (term, bars) = bars();
        let item = ItemId(0);
        bars.event(&Event::Started { item, name: "llama2-7b", location: "https://x", size: None });
        bars.event(&working(item, Activity::Downloading, 0, 4_000_000_000));
        bars.event(&Event::Advanced { item, position: 1_000_000_000 });
        let state = bars.state.lock().unwrap();
        state.files[&item].bar.force_draw();
        state.total.force_draw();
        let screen = term.contents();
        for (name, line) in ["downloading llama2-7b", "total"].iter().zip(screen.lines()) {
            assert!(line.starts_with(name) && line.contains("1.0 GB/4.0 GB") && line.contains(" 25% "), "{screen}");
            assert!(line.contains("/s") && line.ends_with("left"), "{screen}");
        }
        assert_eq!(screen.lines().count(), 2, "{screen}");
    }

    #[test]
    fn the_total_is_the_sum_of_the_files_even_after_a_restart() {
        let (_term, bars) = bars();
        for (item, size) in [(0, 100), (1, 50)] {
            bars.event(&Event::Started { item: ItemId(item), name: "f", location: "https://x", size: Some(size) });
            bars.event(&working(ItemId(item), Activity::Downloading, 0, size));
        }
        bars.event(&Event::Advanced { item: ItemId(0), position: 80 });
        bars.event(&Event::Advanced { item: ItemId(1), position: 20 });
        bars.event(&Event::Advanced { item: ItemId(0), position: 10 });
        let state = bars.state.lock().unwrap();
        assert_eq!((state.total.position(), state.total.length()), (30, Some(150)));
    }

    #[test]
    fn what_an_interrupted_download_left_is_no_speed_of_this_one() {
        let (_term, bars) = bars();
        bars.event(&Event::Started { item: ItemId(0), name: "f", location: "https://x", size: None });
        bars.event(&working(ItemId(0), Activity::Downloading, 1 << 40, 2 << 40));
        let state = bars.state.lock().unwrap();
        assert_eq!(state.files[&ItemId(0)].bar.position(), 1 << 40);
        assert!(state.files[&ItemId(0)].bar.per_sec() < 1.0);
        assert!(state.total.per_sec() < 1.0);
    }

    #[test]
    fn while_it_is_packed_nothing_says_that_all_is_done() {
        let (term, bars) = bars();
        bars.event(&Event::Started { item: ItemId(0), name: "f", location: "https://x", size: None });
        bars.event(&working(ItemId(0), Activity::Hashing, 0, 100));
        let digest = Digest::of(b"x");
        bars.event(&Event::Finished { item: ItemId(0), name: "f", size: 100, digest, origin: Origin::Local });
        bars.event(&Event::Started { item: ItemId(1), name: "demo.run", location: "", size: None });
        bars.event(&working(ItemId(1), Activity::Packing, 0, 100));
        bars.state.lock().unwrap().files[&ItemId(1)].bar.force_draw();
        let screen = term.contents();
        assert!(screen.contains("packing demo.run") && screen.contains("  0% "), "{screen}");
        assert!(!screen.contains("100%") && !screen.contains("total"), "{screen}");
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
