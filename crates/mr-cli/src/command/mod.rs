//! The commands, each one file or folder.

mod aim;
mod attack;
mod bench_attacks;
mod certify;
mod checklist;
mod circuit;
mod completions;
mod corrupt;
mod data;
mod devices;
mod eval;
mod fitted;
mod gain;
mod generate;
mod lens;
mod measure;
mod models;
mod patch;
mod probe;
mod report;
mod sae;
mod search;
mod threat;
mod train;
mod universal;
mod verify;
mod visualize;
mod words;

use anyhow::Result;
use clap::Subcommand;

use crate::console::{Console, Outcome};

pub(crate) use attack::Run;

/// Confidence level of every interval over examples.
pub(crate) const LEVEL: f64 = 0.95;

/// What `mr` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Train(Box<train::Arguments>),
    Eval(Box<eval::Arguments>),
    Attack(Box<attack::Arguments>),
    Certify(Box<certify::Arguments>),
    Corrupt(Box<corrupt::Arguments>),
    Universal(Box<universal::Arguments>),
    Patch(Box<patch::Arguments>),
    Aim(Box<aim::Arguments>),
    Gain(Box<gain::Arguments>),
    Generate(generate::Arguments),
    BenchAttacks(Box<bench_attacks::Arguments>),
    Checklist(Box<checklist::Arguments>),
    Circuit(circuit::Arguments),
    Visualize(Box<visualize::Arguments>),
    Measure(Box<measure::Arguments>),
    Lens(Box<lens::Arguments>),
    Probe(Box<probe::Arguments>),
    Sae(sae::Arguments),
    Verify(verify::Arguments),
    Report(report::Arguments),
    Data(data::Arguments),
    Models(models::Arguments),
    Devices(devices::Arguments),
    Completions(completions::Arguments),
}

impl Command {
    pub(crate) fn run(self, console: &Console) -> Result<Outcome> {
        match self {
            Self::Train(arguments) => train::run(&arguments, console),
            Self::Eval(arguments) => eval::run(&arguments, console),
            Self::Attack(arguments) => attack::run(&arguments, console),
            Self::Certify(arguments) => certify::run(&arguments, console),
            Self::Corrupt(arguments) => corrupt::run(&arguments, console),
            Self::Universal(arguments) => universal::run(&arguments, console),
            Self::Patch(arguments) => patch::run(&arguments, console),
            Self::Aim(arguments) => aim::run(&arguments, console),
            Self::Gain(arguments) => gain::run(&arguments, console),
            Self::Generate(arguments) => generate::run(&arguments, console),
            Self::BenchAttacks(arguments) => bench_attacks::run(&arguments, console),
            Self::Checklist(arguments) => checklist::run(&arguments, console),
            Self::Circuit(arguments) => circuit::run(&arguments, console),
            Self::Visualize(arguments) => visualize::run(&arguments, console),
            Self::Measure(arguments) => measure::run(&arguments, console),
            Self::Lens(arguments) => lens::run(&arguments, console),
            Self::Probe(arguments) => probe::run(&arguments, console),
            Self::Sae(arguments) => sae::run(&arguments, console),
            Self::Verify(arguments) => verify::run(arguments, console),
            Self::Report(arguments) => report::run(arguments, console),
            Self::Data(arguments) => data::run(arguments, console),
            Self::Models(arguments) => models::run(&arguments, console),
            Self::Devices(arguments) => devices::run(&arguments, console),
            Self::Completions(arguments) => Ok(completions::run(&arguments, console)),
        }
    }
}
