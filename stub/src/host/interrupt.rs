//! Signals that ask the program to stop: noticed between two chunks or steps, never in the middle of one.
//! What happens then (rollback) is decided in `apply/commit.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static REQUESTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Starts to notice SIGINT, SIGTERM and SIGHUP instead of dying from them.
pub fn watch() {
    let flag = REQUESTED.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // Registering fails only for signals that cannot be caught.
        let _ = signal_hook::flag::register(signal, Arc::clone(flag));
    }
    // A limit on the length of files (`ulimit -f`) is then an error of the write, which is undone, not a sudden death.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Whether somebody asked the program to stop.
pub fn requested() -> bool {
    REQUESTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}
