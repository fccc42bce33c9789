//! Progress bars: on stderr, after two seconds, for people only.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mr_attacks::Progress;

use crate::console::Console;

/// How long something may take before it shows a bar.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a bar is drawn anew while nothing is told.
const TICK: Duration = Duration::from_secs(1);

/// A bar that appears once the work has taken two seconds, whether or not any of it is done by then,
/// and goes when it is dropped. It draws nothing where stderr is no terminal.
#[derive(Debug)]
pub(crate) struct Bar {
    drawn: ProgressBar,
    /// What waits to show it, where there is someone to see it.
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Ends the thread when it is dropped.
    done: Sender<()>,
    thread: JoinHandle<()>,
}

impl Bar {
    pub(crate) fn new(what: &str, total: usize, quiet: bool) -> Self {
        let drawn = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(
            "{prefix} {bar:24} {human_pos}/{human_len} {msg} ({elapsed}, {eta} to go)",
        );
        drawn.set_style(style.expect("the template is valid"));
        drawn.set_prefix(what.to_string());
        let seen = !quiet && std::io::stderr().is_terminal();
        let waiting = seen.then(|| {
            let (done, wait) = channel();
            let bar = drawn.clone();
            let thread = std::thread::spawn(move || show(&bar, &wait, PATIENCE));
            Waiting { done, thread }
        });
        Self { drawn, waiting }
    }

    /// Moves the bar; the message is made only for a bar that someone can see.
    pub(crate) fn at(&self, done: usize, message: impl FnOnce() -> String) {
        if self.waiting.is_some() {
            self.drawn.set_position(done as u64);
            self.drawn.set_message(message());
        }
    }

    /// Moves the bar, and says what share of `all` is so: `robust 61.5 %`.
    pub(crate) fn share(&self, done: usize, what: &str, some: usize, all: usize) {
        self.at(done, || {
            let share = 100.0 * some as f64 / all.max(1) as f64;
            format!("{what} {share:.1} %")
        });
    }
}

/// The bars of an evaluation: one for each attack, of the examples that it is given.
#[derive(Debug)]
pub(crate) struct Bars<'a> {
    console: &'a Console,
    about: String,
    /// The attack at work, and how many examples it is given.
    now: Option<(String, usize, Bar)>,
}

impl<'a> Bars<'a> {
    pub(crate) fn new(console: &'a Console, about: String) -> Self {
        Self {
            console,
            about,
            now: None,
        }
    }

    pub(crate) fn at(&mut self, now: Progress<'_>) {
        let same =
            |(attack, total, _): &(String, usize, Bar)| attack == now.attack && *total == now.total;
        if !self.now.as_ref().is_some_and(same) {
            // The old bar goes before the new one comes.
            self.now = None;
            let what = format!("{} {}", self.about, now.attack);
            let bar = self.console.bar(&what, now.total);
            self.now = Some((now.attack.into(), now.total, bar));
        }
        if let Some((_, _, bar)) = &self.now {
            bar.share(now.done, "robust", now.robust, now.examples);
        }
    }
}

/// Shows a bar after a while, unless it is done by then.
fn show(bar: &ProgressBar, wait: &Receiver<()>, patience: Duration) {
    if wait.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.enable_steady_tick(TICK);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(Waiting { done, thread }) = self.waiting.take() {
            drop(done);
            // It has nothing to panic about, and a bar is no reason to fail.
            let _ = thread.join();
        }
        self.drawn.finish_and_clear();
    }
}
