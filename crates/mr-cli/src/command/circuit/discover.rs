//! `mr circuit discover`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use mr_circuits::acdc;

use super::found::FoundFlags;
use super::given::{NetworkFlags, PairFlags, ablation};
use crate::console::{Console, Outcome};

/// Find the edges that are needed, by cutting them one by one
///
/// ACDC (Conmy et al. 2023): from the output back, an edge stays cut where that raises the divergence from the
/// whole network by less than --tau. With --journal a run that was killed goes on where it stood.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit discover --model runs/induction --clean '1 2 3 1' --corrupt '1 2 3 4' --objective kl \\
    --tau 0.01 --journal acdc.jsonl --save induction.json
  mr circuit discover --model runs/half --pair pair.safetensors --ablation zero --tau 0.05 --plot half.svg")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    #[command(flatten)]
    given: PairFlags,
    /// By how much a cut may raise the divergence, in nats
    #[arg(
        long,
        value_name = "NATS",
        default_value_t = 0.01,
        help_heading = "Discovery"
    )]
    tau: f32,
    /// What cut edges carry: resample (the corrupt input), zero, mean, positional-mean
    #[arg(
        long,
        value_name = "NAME",
        default_value = "resample",
        help_heading = "Discovery"
    )]
    ablation: String,
    /// Write every decision into this file, and go on from those that it holds
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Discovery")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    found: FoundFlags,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    arguments.found.check()?;
    let (network, device) = arguments.on.open()?;
    let pair = arguments.given.pair(&network, &device)?;
    let ablation = ablation(&arguments.ablation, &pair)?;
    let edges = mr_models::Model::spec(&network).wiring.edges().len();
    let bar = console.bar("edges", edges);
    let journal = arguments.journal.as_deref();
    let found = acdc(
        &network,
        &pair,
        &ablation,
        arguments.tau,
        journal,
        &mut |done, _| {
            bar.at(done, String::new);
        },
    )?;
    drop(bar);
    let title = format!("{}: ACDC at {} nats", arguments.on.title(), arguments.tau);
    arguments.found.tell(found, &title, console)
}
