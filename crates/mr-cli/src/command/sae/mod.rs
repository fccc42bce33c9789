//! `mr sae`.

mod bench;
mod card;
mod eval;
mod export;
mod features;
mod fed;
mod held;
mod import;
mod placed;
mod train;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::console::{Console, Outcome};

pub(super) use held::open;
pub(super) use placed::ManyFlags;

/// Sparse dictionaries of what is inside a network
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::Arguments>),
    Eval(Box<eval::Arguments>),
    Features(Box<features::Arguments>),
    Card(Box<card::Arguments>),
    Bench(Box<bench::Arguments>),
    Import(import::Arguments),
    Export(export::Arguments),
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    match &arguments.command {
        Command::Train(arguments) => train::run(arguments, console),
        Command::Eval(arguments) => eval::run(arguments, console),
        Command::Features(arguments) => features::run(arguments, console),
        Command::Card(arguments) => card::run(arguments, console),
        Command::Bench(arguments) => bench::run(arguments, console),
        Command::Import(arguments) => import::run(arguments, console),
        Command::Export(arguments) => export::run(arguments, console),
    }
}
