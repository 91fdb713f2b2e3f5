//! Ctrl-C and its like: what is unfinished goes, what was downloaded stays, and the program ends at once.
//! What is unfinished is known to the library (`unfinished.rs`).

use std::io::Write;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const EXIT_CODE: u8 = 130;
const WHAT: &str = "interrupted: nothing was written to the output; what was downloaded so far is kept";
const HINT: &str = "run the same command again: it goes on from there";

/// Ends the program as soon as somebody asks for it, whatever it is doing.
pub fn end_on_signals(json: bool) {
    let Ok(mut signals) = Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _nothing_new = builder::remove_unfinished();
            let _no_silence = super::password::end_silence();
            if json {
                let error = serde_json::json!({
                    "error": 1, "exit_code": EXIT_CODE, "what": WHAT, "hint": HINT, "details": null
                });
                let _ = writeln!(std::io::stdout().lock(), "{error}");
            }
            // Below a progress bar.
            super::output::fail("\n", WHAT, HINT);
            std::process::exit(i32::from(EXIT_CODE));
        }
    });
}
