//! `mr`: a thin command line over the mech-robust libraries.
//!
//! Each command is one file of `command`. Results go to stdout (with `--json` exactly one JSON
//! object), everything else to stderr. Exit codes: 0, 1 where a command ran and a check failed, 2
//! for bad usage or input, 130 after Ctrl-C.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "doc comments of arguments are help texts, where brackets mean what they mean in a shell"
)]

mod command;
mod console;
mod device;
mod interrupt;
mod layout;
mod measure;
mod opened;
mod output;
mod preset;
mod progress;
mod report;
mod settings;
mod spread;
mod subject;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use clap::Parser;

use command::Command;
use console::{Console, Outcome, Verbosity};

/// Tensors come and go at every step: the system's allocator hands their pages back and forth to the
/// kernel, which costs small models as much as their arithmetic.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Mechanistic interpretability and adversarial robustness of neural networks.
#[derive(Debug, Parser)]
#[command(
    name = "mr",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "Examples:
  mr train --arch mlp --epochs 5 --out runs/mlp
  mr attack --model runs/mlp --epsilon 0.1
  mr measure --model runs/mlp"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print exactly one JSON object on stdout
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no error.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let console = Console::new(cli.json, cli.verbosity);
    let outcome = guarded(|| cli.command.run(&console));
    console.exit_code(outcome)
}

/// A panic, which is a bug of ours whatever the input, ends in one line of error as well.
/// `RUST_BACKTRACE` shows where it came from.
fn guarded(run: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
    let said = Arc::new(Mutex::new(None));
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        let said = Arc::clone(&said);
        panic::set_hook(Box::new(move |panic| {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.get_or_insert_with(|| panic.to_string());
        }));
    }
    if let Ok(outcome) = panic::catch_unwind(AssertUnwindSafe(run)) {
        return outcome;
    }
    let said = said.lock().unwrap_or_else(PoisonError::into_inner).take();
    bail!("this is a bug in mr: {}", said.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
