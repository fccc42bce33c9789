//! The flags of `mr attack`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use mr_attacks::AttackConfig;

use crate::command::checklist;
use crate::command::search::{StepFlags, choose, pgd_beneath};
use crate::command::threat::{CurveFlags, ThreatFlags};
use crate::settings::{Layers, RunFlags};
use crate::subject::SubjectFlags;

/// Attack a network and judge what it withstands
///
/// What an attack proposes is projected into the threat and judged by a fresh forward pass. The result
/// does not depend on batch size or threads.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr attack --model runs/half --epsilon 0.1
  mr attack --model runs/half --data mnist --limit 1000 --attack pgd --steps 40 --epsilon 0.3 --json
  mr attack --model runs/half --attack autoattack --epsilon 0.1 --out runs/half-autoattack
  mr attack --model runs/half --attack fmn --norm l2 --epsilon inf --epsilons 0.5,1,1.5
  mr attack --model runs/half --norm l2 --epsilons 0.5,1,2 --steps 20 --restarts 5
  mr attack --model runs/half --epsilon 0.1 --checklist
  mr attack --model runs/half --place conv2.hook_out --norm l2 --epsilon 3
  mr attack --model runs/half --defence quantize=8,backward=identity --epsilon 0.1
  mr attack --model runs/half --epsilon 0.1 --target next --save adversarial.safetensors
  mr attack --config attacks.toml --model runs/half --out runs/half-attacked")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) on: SubjectFlags,
    #[command(flatten)]
    threat: ThreatFlags,
    #[command(flatten)]
    curve: CurveFlags,
    /// Class that every example shall get: a number, next or random [default: any wrong one]
    #[arg(long, value_name = "CLASS", help_heading = "Threat")]
    target: Option<String>,
    #[command(flatten)]
    attack: AttackFlags,
    #[command(flatten)]
    pub(super) running: RunFlags,
    /// Add what became of each example to the result
    #[arg(long, help_heading = "Output")]
    pub(super) per_example: bool,
    /// Do not attack, but ask whether an attack can be believed: see `mr checklist --help`
    #[arg(long, help_heading = "Attack")]
    pub(super) checklist: bool,
    /// Keep what is finished in this folder, and go on from what lies there [default: DIR/states of
    /// --out, removed at the end]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(super) state: Option<PathBuf>,
    /// Write the result as RobustBench's model information
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub(super) robustbench: Option<PathBuf>,
    /// Attack this network instead, and try what was found on --model
    #[arg(long, value_name = "FILE|DIR", help_heading = "Attack")]
    pub(super) transfer_from: Option<PathBuf>,
    /// Write the adversarial examples into this file of safetensors: adversarial, clean, index, label
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) save: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Attack")]
struct AttackFlags {
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', help = attack_help())]
    attack: Vec<String>,
    /// Which autoattack: standard, plus, rand [default: standard]
    #[arg(long, value_name = "NAME")]
    version: Option<String>,
    /// Random draws and reviews as in the reference implementations: decisions depend on the batch
    #[arg(long)]
    compat: bool,
    /// Likeliest wrong classes to run towards, one after the other
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    targets: Option<i64>,
    /// Queries of a search without gradients
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    queries: Option<i64>,
    /// Passes of a random model that gradients are averaged over
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    eot: Option<i64>,
    #[command(flatten)]
    steps: StepFlags,
    /// Runs for each example that is not broken yet
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    restarts: Option<i64>,
    /// What to climb: cross-entropy, margin, dlr, kl, squared-error [default: cross-entropy]
    #[arg(long, value_name = "NAME")]
    objective: Option<String>,
}

/// What `--attack` may name.
fn attack_help() -> String {
    format!(
        "How to search [default: pgd]; several, by commas, run one after the other on what is left. \
         One of {}",
        AttackConfig::NAMES.join(", ")
    )
}

impl Arguments {
    pub(super) fn apply(&self, layers: &mut Layers) -> Result<()> {
        layers.flag("--target", "target", self.target.clone())?;
        self.curve.apply(layers)?;
        self.threat.apply(layers)?;
        self.attack.apply(layers)?;
        if self.checklist {
            layers.beneath("data.limit", checklist::EXAMPLES);
        }
        Ok(())
    }
}

impl AttackFlags {
    fn apply(&self, layers: &mut Layers) -> Result<()> {
        choose("--attack", &self.attack, layers)?;
        pgd_beneath(layers);
        layers.flag("--version", "attack.version", self.version.clone())?;
        layers.flag("--compat", "attack.compat", self.compat.then_some(true))?;
        layers.flag("--targets", "attack.targets", self.targets)?;
        layers.flag("--queries", "attack.queries", self.queries)?;
        layers.flag("--eot", "attack.eot", self.eot)?;
        layers.flag("--restarts", "attack.restarts", self.restarts)?;
        layers.flag("--objective", "attack.objective", self.objective.clone())?;
        self.steps.apply(layers)
    }
}
