//! Ctrl-C while training, and in attacks that keep a state: the first asks the run to stop where nothing
//! is lost, the second ends it. Other commands have nothing to keep and end at once.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);
static INSTALLED: Once = Once::new();

/// The exit code of a program that Ctrl-C ended.
pub(crate) const EXIT_CODE: u8 = 130;

/// From now on Ctrl-C (and a polite request to end, as schedulers send it) only asks.
pub(crate) fn catch() {
    INSTALLED.call_once(|| {
        let caught = ctrlc::set_handler(|| {
            if ASKED.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(EXIT_CODE));
            }
            eprintln!("\nstopping at the next safe point; Ctrl-C again ends at once");
        });
        if let Err(error) = caught {
            tracing::warn!("Ctrl-C is not caught: {error}");
        }
    });
}

/// Whether the command was asked to stop.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
