//! `mr circuit`.

mod damage;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::console::{Console, Outcome};

/// Ask which parts of a network carry what it does
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Damage(Box<damage::Arguments>),
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    match &arguments.command {
        Command::Damage(arguments) => damage::run(arguments, console),
    }
}
