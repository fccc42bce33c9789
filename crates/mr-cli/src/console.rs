//! What a command says: results on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use clap::{ArgAction, Args};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::interrupt;
use crate::progress::Bar;

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Verbosity {
    /// Say nothing on stderr but errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more on stderr: -v what is done, -vv why
    #[arg(long, short, global = true, action = ArgAction::Count)]
    verbose: u8,
}

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what it was asked.
    Done,
    /// It ran, and a check or a finding failed.
    CheckFailed,
    /// Ctrl-C stopped it; what it had is kept.
    Interrupted,
}

/// Where a command says things. Writing to it never fails: what could not be written is reported
/// when the program ends, and a reader that closed its pipe is no error.
#[derive(Debug)]
pub(crate) struct Console {
    json: bool,
    quiet: bool,
    failed: Mutex<Option<io::Error>>,
}

impl Console {
    pub(crate) fn new(json: bool, verbosity: Verbosity) -> Self {
        let level = match (verbosity.quiet, verbosity.verbose) {
            (true, _) => "error",
            (false, 0) => "warn",
            (false, 1) => "info",
            (false, _) => "debug",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        // Only a second subscriber could be refused, and this is the first.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .without_time()
            .try_init();
        Self {
            json,
            quiet: verbosity.quiet,
            failed: Mutex::new(None),
        }
    }

    /// A line of the result for a person, on stdout; nothing under `--json`.
    pub(crate) fn say(&self, line: impl Display) {
        if !self.json {
            self.out(&format!("{line}\n"));
        }
    }

    /// The result as the one JSON object on stdout; nothing without `--json`.
    pub(crate) fn object(&self, object: &impl Serialize) -> Result<()> {
        if self.json {
            let text = serde_json::to_string_pretty(object)?;
            self.out(&format!("{text}\n"));
        }
        Ok(())
    }

    /// Text on stdout whatever the flags: completions.
    pub(crate) fn out(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(error);
        }
    }

    /// A line for a person who waits, on stderr; nothing under `--quiet`.
    pub(crate) fn note(&self, line: impl Display) {
        if !self.quiet {
            Self::err(&format!("{line}\n"));
        }
    }

    /// Something that a person should worry about, on stderr; nothing under `--quiet`.
    pub(crate) fn warn(&self, line: impl Display) {
        self.note(format!("warning: {line}"));
    }

    /// A progress bar for work of so many parts.
    pub(crate) fn bar(&self, what: &str, total: usize) -> Bar {
        Bar::new(what, total, self.quiet)
    }

    fn err(text: &str) {
        // There is no better place to report that stderr is closed.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Reports an error, if there is one, and gives the exit code.
    pub(crate) fn exit_code(&self, outcome: Result<Outcome>) -> ExitCode {
        let failed = self
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let outcome = match (outcome, failed) {
            (Ok(_), Some(error)) => {
                Err(anyhow::Error::new(error).context("cannot write to stdout"))
            }
            (outcome, _) => outcome,
        };
        match outcome {
            Ok(Outcome::Done) => ExitCode::SUCCESS,
            Ok(Outcome::CheckFailed) => ExitCode::from(1),
            Ok(Outcome::Interrupted) => ExitCode::from(interrupt::EXIT_CODE),
            Err(error) => {
                Self::err(&format!("error: {}\n", one_line(&error)));
                ExitCode::from(2)
            }
        }
    }
}

/// An error and its causes in one line; a cause that the text before it already tells is left out.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::one_line;

    #[test]
    fn an_error_is_one_line_and_says_nothing_twice() {
        let error = anyhow!("no\n  such file")
            .context("a.toml: no such file")
            .context("--config");
        assert_eq!(one_line(&error), "--config: a.toml: no such file");
    }
}
