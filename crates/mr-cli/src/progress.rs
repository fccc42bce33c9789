//! Progress bars: on stderr, after two seconds, for people only.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long something may take before it shows a bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// A bar that appears once the work has taken two seconds and goes when it is dropped. It draws
/// nothing where stderr is no terminal.
#[derive(Debug)]
pub(crate) struct Bar {
    drawn: ProgressBar,
    started: Instant,
    quiet: bool,
    shown: OnceLock<()>,
}

impl Bar {
    pub(crate) fn new(what: &str, total: usize, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(
            "{prefix} {bar:24} {human_pos}/{human_len} {msg} ({elapsed}, {eta} to go)",
        );
        bar.set_style(style.expect("the template is valid"));
        bar.set_prefix(what.to_string());
        Self {
            drawn: bar,
            started: Instant::now(),
            quiet,
            shown: OnceLock::new(),
        }
    }

    /// Moves the bar; the message is made only for a bar that shows.
    pub(crate) fn at(&self, done: usize, message: impl FnOnce() -> String) {
        if self.quiet || self.started.elapsed() < PATIENCE {
            return;
        }
        self.shown.get_or_init(|| {
            self.drawn.set_draw_target(ProgressDrawTarget::stderr());
        });
        self.drawn.set_position(done as u64);
        if !self.drawn.is_hidden() {
            self.drawn.set_message(message());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
    }
}
