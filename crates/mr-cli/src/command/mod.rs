//! The commands, each one file.

mod report;
mod verify;

use anyhow::Result;
use clap::Subcommand;

use crate::console::{Console, Outcome};

/// What `mr` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Verify(verify::Arguments),
    Report(report::Arguments),
}

impl Command {
    pub(crate) fn run(self, console: &Console) -> Result<Outcome> {
        match self {
            Self::Verify(arguments) => verify::run(arguments, console),
            Self::Report(arguments) => report::run(arguments, console),
        }
    }
}
