//! `mr circuit`.

mod ablation;
mod asked;
mod attribute;
mod damage;
mod diff;
mod discover;
mod draw;
mod evaluate;
mod features;
mod found;
mod given;
mod heads;
mod patch;

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
    Attribute(Box<attribute::Arguments>),
    Discover(Box<discover::Arguments>),
    Evaluate(Box<evaluate::Arguments>),
    Draw(draw::Arguments),
    Diff(diff::Arguments),
    Damage(Box<damage::Arguments>),
    Patch(Box<patch::Arguments>),
    Features(Box<features::Arguments>),
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    match &arguments.command {
        Command::Attribute(arguments) => attribute::run(arguments, console),
        Command::Discover(arguments) => discover::run(arguments, console),
        Command::Evaluate(arguments) => evaluate::run(arguments, console),
        Command::Draw(arguments) => draw::run(arguments, console),
        Command::Diff(arguments) => diff::run(arguments, console),
        Command::Damage(arguments) => damage::run(arguments, console),
        Command::Patch(arguments) => patch::run(arguments, console),
        Command::Features(arguments) => features::run(arguments, console),
    }
}
