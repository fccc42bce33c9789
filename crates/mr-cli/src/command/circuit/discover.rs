//! `mr circuit discover`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use mr_circuits::{
    Ablation, AtPositions, Circuit, MaskConfig, Pair, Pressure, acdc, learned_masks,
};
use mr_metrics::RecordKind;
use mr_models::{Model, Network};
use serde_json::json;

use super::ablation::ablation;
use super::asked::AskedFlags;
use super::found::FoundFlags;
use super::given::PairFlags;
use crate::console::{Console, Outcome};
use crate::opened::Begun;
use crate::settings::Common;
use crate::subject::NetworkFlags;

/// Name of the journal that lies beside a record.
const JOURNAL: &str = "acdc.jsonl";
/// Divergence that ACDC gives up for an edge.
const TAU: f32 = 0.01;

/// How edges are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Cut one by one, from the output back (ACDC, Conmy et al. 2023)
    Acdc,
    /// Gate all at once and learn which gates stay open (subnetwork probing, Cao et al. 2021; edge pruning,
    /// Bhaskar et al. 2024)
    Masks,
}

/// Find the edges that are needed, by cutting them one by one or by learned masks
///
/// ACDC: from the output back, an edge stays cut where that raises the divergence from the whole network by less
/// than --tau. With --out or --journal a run that was killed goes on where it stood. Masks: all edges are gated, and gates
/// learn to close while the divergence stays low; with --sparsity that share of edges goes, with --penalty as
/// many as are not worth it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit discover --model runs/induction --limit 50 --positions last --tau 0.01 --out runs/induction-acdc
  mr circuit discover --model runs/induction --clean '1 2 3 1' --corrupt '1 2 3 4' --objective kl \\
    --tau 0.01 --journal acdc.jsonl --save induction.json
  mr circuit discover --model runs/induction --method masks --sparsity 0.95 --ablation optimal
  mr circuit discover --model runs/half --pair pair.safetensors --ablation zero --tau 0.05 --plot half.svg")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    #[command(flatten)]
    given: PairFlags,
    /// How edges are found
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        default_value_t = Method::Acdc,
        help_heading = "Discovery"
    )]
    method: Method,
    /// By how much a cut may raise the divergence, in nats, of acdc [default: 0.01]
    #[arg(long, value_name = "NATS", help_heading = "Discovery")]
    tau: Option<f32>,
    /// Write every decision of acdc into this file, and go on from those that it holds [default: acdc.jsonl in --out]
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Discovery")]
    journal: Option<PathBuf>,
    /// Share of edges that masks close [default: 0.9]
    #[arg(
        long,
        value_name = "P",
        conflicts_with = "penalty",
        help_heading = "Discovery"
    )]
    sparsity: Option<f32>,
    /// Nats that all gates of masks together are worth
    #[arg(long, value_name = "NATS", help_heading = "Discovery")]
    penalty: Option<f32>,
    /// Steps of masks [default: 200]
    #[arg(long, value_name = "N", help_heading = "Discovery")]
    steps: Option<usize>,
    /// What cut edges carry: resample (the corrupt input), zero, mean, positional-mean, or optimal (learned
    /// constants)
    #[arg(
        long,
        value_name = "NAME",
        default_value = "resample",
        help_heading = "Discovery"
    )]
    ablation: String,
    #[command(flatten)]
    asked: AskedFlags,
    #[command(flatten)]
    found: FoundFlags,
    #[command(flatten)]
    common: Common,
}

impl Arguments {
    /// Refuses flags of the other method.
    fn check(&self) -> Result<()> {
        let (method, flags) = match self.method {
            Method::Acdc => (
                "acdc",
                [
                    ("--sparsity", self.sparsity.is_some()),
                    ("--penalty", self.penalty.is_some()),
                    ("--steps", self.steps.is_some()),
                ]
                .to_vec(),
            ),
            Method::Masks => (
                "masks",
                [
                    ("--tau", self.tau.is_some()),
                    ("--journal", self.journal.is_some()),
                ]
                .to_vec(),
            ),
        };
        match flags.iter().find(|(_, is_set)| *is_set) {
            Some((flag, _)) => bail!("{flag}: --method {method} has no such setting"),
            None => self.found.check(),
        }
    }

    /// Where decisions are written: the file of the flag, else one beside the record.
    fn journal(&self, begun: &Begun<'_>) -> Result<Option<PathBuf>> {
        let beside = begun.output.as_ref().map(|output| output.path(JOURNAL));
        if let (Some(path), None, true) = (&beside, &self.journal, self.common.overwrite)
            && path.exists()
        {
            std::fs::remove_file(path).with_context(|| path.display().to_string())?;
        }
        Ok(self.journal.clone().or(beside))
    }

    fn masks(&self, seed: u64) -> MaskConfig {
        let usual = MaskConfig::default();
        let pressure = match (self.penalty, self.sparsity) {
            (Some(penalty), _) => Pressure::Penalty(penalty),
            (None, Some(share)) => Pressure::Sparsity(share),
            (None, None) => usual.pressure,
        };
        MaskConfig {
            pressure,
            steps: self.steps.unwrap_or(usual.steps),
            seed,
            ..usual
        }
    }
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    arguments.check()?;
    let opened = arguments
        .given
        .open(&arguments.on, &arguments.common, |_| Ok(()))?;
    let (network, pair) = (&opened.subject.network, &opened.data.pair);
    let asked = arguments.asked.of(&opened.data, &network.device())?;
    let masks = arguments.masks(opened.settings.seed.unwrap_or(0));
    let tau = arguments.tau.unwrap_or(TAU);
    let edges = network.spec().wiring.edges();
    let (method, about) = match arguments.method {
        Method::Acdc => ("ACDC", format!("at {tau} nats")),
        Method::Masks => ("masks", format!("{:?}", masks.pressure).to_lowercase()),
    };
    let config = json!({
        "discover": {
            "method": method.to_lowercase(),
            "setting": about,
            "steps": (arguments.method == Method::Masks).then_some(masks.steps),
            "ablation": arguments.ablation,
            "positions": arguments.asked.positions.to_string(),
            "pruned": arguments.found.prunes(),
        },
    });
    let begun = opened.begin(RecordKind::CircuitDiscover, config)?;
    let ablation = ablation(&arguments.ablation, network, pair, &edges, console)?;
    let journal = match arguments.method {
        Method::Acdc => arguments.journal(&begun)?,
        Method::Masks => None,
    };
    let search = Search {
        method: arguments.method,
        pair,
        ablation: &ablation,
        tau,
        masks,
        journal,
    };
    let found = search.run(&AtPositions::new(network, asked), console)?;
    let title = format!("{method} {about}: {}", opened.title());
    arguments.found.tell(found, &title, begun, console)
}

/// What is looked for, and how.
struct Search<'a> {
    method: Method,
    pair: &'a Pair,
    ablation: &'a Ablation,
    tau: f32,
    masks: MaskConfig,
    journal: Option<PathBuf>,
}

impl Search<'_> {
    fn run(&self, model: &AtPositions<&Network>, console: &Console) -> Result<Circuit> {
        let (pair, ablation) = (self.pair, self.ablation);
        Ok(match self.method {
            Method::Acdc => {
                let bar = console.bar("edges", model.spec().wiring.edges().len());
                let told = &mut |done, _| bar.at(done, String::new);
                let journal = self.journal.as_deref();
                acdc(model, pair, ablation, self.tau, journal, told)?
            }
            Method::Masks => {
                let bar = console.bar("masks", self.masks.steps);
                let told = &mut |done, _| bar.at(done, String::new);
                learned_masks(model, pair, ablation, &self.masks, told)?
            }
        })
    }
}
