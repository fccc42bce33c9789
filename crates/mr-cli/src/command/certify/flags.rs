//! The flags of `mr certify`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use mr_attacks::Norm;
use toml::Table;

use crate::command::search::choose;
use crate::command::threat::{BallFlags, CurveFlags};
use crate::settings::{Layers, RunFlags};
use crate::subject::SubjectFlags;

/// Prove how many examples no attack can break
///
/// Bounds (ibp, crown) are on the network's own logits and pay for its rounding: certified accuracy is
/// at most what any attack leaves. With --attack the true robust accuracy is bracketed: it is at least
/// what is certified and at most what is left of the attack. Smoothing certifies another classifier, the
/// network's vote under Gaussian noise; each of its certificates holds with probability 1 - alpha. It
/// knows l0 too, and its norm is l2 where none is given.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr certify --model runs/ibp --epsilon 0.1
  mr certify --model runs/ibp --epsilons 0.05,0.1,0.2 --attack apgd --plot bracket.svg
  mr certify --model runs/mlp --method crown --norm l2 --epsilon 0.5 --limit 1000 --json
  mr certify --model runs/noisy --method smoothing --sigma 0.25 --n 10000 --epsilons 0.25,0.5 --limit 100
  mr certify --config certify.toml --model runs/ibp --out runs/ibp-certified")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) on: SubjectFlags,
    #[command(flatten)]
    ball: BallFlags,
    #[command(flatten)]
    curve: CurveFlags,
    #[command(flatten)]
    method: MethodFlags,
    /// Attack as well, for the upper end of a bracket: attacks by name, as in `mr attack --attack`
    /// [default: the [attack] tables, or none]
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        help_heading = "Attack"
    )]
    attack: Vec<String>,
    #[command(flatten)]
    pub(super) running: RunFlags,
    /// Add what is proven of each example to the result
    #[arg(long, help_heading = "Output")]
    pub(super) per_example: bool,
    /// Draw certified and attacked accuracy over epsilon into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    pub(super) plot: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Certificate")]
struct MethodFlags {
    /// How to prove: ibp (any classifier), crown (mlp), smoothing (any classifier) [default: ibp]
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Smoothing: standard deviation of the noise, in pixel units [default: 0.25]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    sigma: Option<f64>,
    /// Smoothing: noisy copies that a class's probability is estimated from [default: 1000]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    n: Option<i64>,
    /// Smoothing: noisy copies that pick the class [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    n0: Option<i64>,
    /// Smoothing: how probable a wrong certificate may be [default: 0.001]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    alpha: Option<f64>,
}

impl Arguments {
    pub(super) fn apply(&self, layers: &mut Layers) -> Result<()> {
        self.method.apply(layers)?;
        choose("--attack", &self.attack, layers)?;
        self.curve.apply(layers)?;
        let smoothing = layers.text("certify.type") == Some("smoothing");
        self.ball
            .apply(layers, if smoothing { Norm::L2 } else { Norm::Linf })
    }
}

impl MethodFlags {
    fn apply(&self, layers: &mut Layers) -> Result<()> {
        if let Some(name) = &self.method
            && layers.text("certify.type") != Some(name)
        {
            let mut table = Table::new();
            table.insert("type".into(), name.clone().into());
            layers.replace("certify", table.into(), "--method")?;
        }
        layers.beneath("certify.type", "ibp");
        layers.flag("--sigma", "certify.sigma", self.sigma)?;
        layers.flag("--n", "certify.n", self.n)?;
        layers.flag("--n0", "certify.n0", self.n0)?;
        layers.flag("--alpha", "certify.alpha", self.alpha)
    }
}
