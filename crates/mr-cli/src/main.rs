//! `mr`: a thin command line over the mech-robust libraries.
//!
//! Each command is one file of `command`. Results go to stdout (with `--json` exactly one JSON
//! object), everything else to stderr. Exit codes: 0, 1 where a command ran and a check failed, 2
//! for bad usage or input, 130 after Ctrl-C.

mod command;
mod console;
mod device;
mod interrupt;
mod layout;
mod measure;
mod output;
mod preset;
mod progress;
mod report;
mod settings;
mod subject;

use std::process::ExitCode;

use clap::Parser;

use command::Command;
use console::{Console, Verbosity};

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
    disable_help_subcommand = true
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
    let outcome = cli.command.run(&console);
    console.exit_code(outcome)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
