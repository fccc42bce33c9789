//! The flags of `mr attack`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use mr_attacks::AttackConfig;
use toml::{Table, Value};

use crate::command::search::{named, norm};
use crate::settings::{Common, DataFlags, Layers, RunFlags};
use crate::subject::ModelFlags;

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
    pub(super) model: ModelFlags,
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    threat: ThreatFlags,
    #[command(flatten)]
    attack: AttackFlags,
    #[command(flatten)]
    running: RunFlags,
    #[command(flatten)]
    pub(super) common: Common,
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
#[command(next_help_heading = "Threat")]
struct ThreatFlags {
    /// Norm of the perturbation: linf, l2, l1, l0 [default: linf]
    #[arg(long, value_name = "NORM")]
    norm: Option<String>,
    /// Largest perturbation, in pixel units of [0, 1]; inf for attacks that look for the smallest
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// A security curve: robust accuracy at each of these
    #[arg(
        long,
        value_name = "R,...",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    epsilons: Vec<f64>,
    /// Where the perturbation lives: input or a site; see `mr models --sites` [default: input]
    #[arg(long, value_name = "SITE")]
    place: Option<String>,
    /// Class that every example shall get: a number, next or random [default: any wrong one]
    #[arg(long, value_name = "CLASS")]
    target: Option<String>,
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
    /// Gradient steps
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<i64>,
    /// Length of a step [default: 2.5 epsilon / steps]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    step_size: Option<f64>,
    /// Start from a random point of the ball
    #[arg(long, overrides_with = "no_random_start")]
    random_start: bool,
    /// Start from the clean example
    #[arg(long, overrides_with = "random_start")]
    no_random_start: bool,
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
    /// The settings of the file under those of the flags, with an attack's defaults beneath.
    pub(super) fn layers(&self) -> Result<Layers> {
        let mut layers = self.common.layers()?;
        self.data.apply(&mut layers)?;
        self.running.apply(&mut layers)?;
        self.threat.apply(&mut layers)?;
        self.attack.apply(&mut layers)?;
        Ok(layers)
    }
}

impl ThreatFlags {
    fn apply(&self, layers: &mut Layers) -> Result<()> {
        let norm = self.norm.as_deref().map(norm);
        layers.flag("--norm", "threat.norm", norm)?;
        layers.flag("--epsilon", "threat.epsilon", self.epsilon)?;
        layers.flag("--place", "threat.place", self.place.clone())?;
        layers.flag("--target", "target", self.target.clone())?;
        let epsilons = (!self.epsilons.is_empty()).then(|| self.epsilons.clone());
        layers.flag("--epsilons", "epsilons", epsilons)?;
        // A curve without a radius of its own is about its largest.
        let number = |value: &Value| value.as_float().or(value.as_integer().map(|i| i as f64));
        let largest = layers
            .get("epsilons")
            .and_then(Value::as_array)
            .and_then(|list| list.iter().filter_map(number).max_by(f64::total_cmp));
        if let Some(largest) = largest {
            layers.beneath("threat.epsilon", largest);
        }
        if layers.get("threat").is_some() {
            layers.beneath("threat.norm", "Linf");
        }
        Ok(())
    }
}

impl AttackFlags {
    fn apply(&self, layers: &mut Layers) -> Result<()> {
        match &self.attack[..] {
            [] => {}
            [name] => {
                let several = layers
                    .get("attack")
                    .and_then(Value::as_array)
                    .is_some_and(|list| list.len() > 1);
                if several || layers.text("attack.type") != Some(name) {
                    layers.replace("attack", named(name), "--attack")?;
                }
            }
            names => {
                let list = names.iter().map(|name| named(name)).collect();
                layers.replace("attack", Value::Array(list), "--attack")?;
            }
        }
        layers.beneath("attack", Value::Array(vec![Table::new().into()]));
        layers.beneath("attack.type", "pgd");
        layers.flag("--version", "attack.version", self.version.clone())?;
        layers.flag("--compat", "attack.compat", self.compat.then_some(true))?;
        layers.flag("--targets", "attack.targets", self.targets)?;
        layers.flag("--queries", "attack.queries", self.queries)?;
        layers.flag("--eot", "attack.eot", self.eot)?;
        layers.flag("--steps", "attack.steps", self.steps)?;
        layers.flag("--step-size", "attack.step_size", self.step_size)?;
        layers.flag("--restarts", "attack.restarts", self.restarts)?;
        layers.flag("--objective", "attack.objective", self.objective.clone())?;
        let start = self.random_start.then_some(true);
        layers.flag("--random-start", "attack.random_start", start)?;
        let start = self.no_random_start.then_some(false);
        layers.flag("--no-random-start", "attack.random_start", start)
    }
}
