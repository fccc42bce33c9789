//! The flags of `mr sae train`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::settings::{Common, DataFlags, Layers};
use crate::subject::NetworkFlags;

/// Fit sparse dictionaries to what passes a site of a network
///
/// Kinds are relu (l1), gated, top-k, batch-top-k, jump-relu and matryoshka. Several dictionaries, of several --kind, --k, --l0
/// or --sparsity, are fitted at once to the same activations. With --writes a dictionary is a transcoder from one site to
/// another; with several --site, or the same site of --other, a crosscoder. A fit that was stopped goes on where it was when
/// the same command is given again. Anything else is set in the tables [sae], [sae.length] and [sae.fit].
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr sae train --model runs/half --site conv2.hook_out --k 8 --width 256 --steps 2000 --out runs/dictionary
  mr sae train --model runs/bard --site blocks.1.hook_resid_post --k 8,16,32 --buffer 20000 --out runs/three
  mr sae train --model runs/half --site conv2.hook_out --kind top-k,relu,jump-relu --k 8 --l0 8 --out runs/kinds
  mr sae train --model runs/bard --site blocks.0.ln2.hook_normalized --writes blocks.0.hook_mlp_out --out runs/transcoder
  mr sae train --model runs/s0 --other runs/s1 --site conv2.hook_out --out runs/crosscoder
  mr sae train --model runs/bard --site blocks.1.hook_resid_post --shards activations --config sae.toml --out runs/big")]
pub(in super::super) struct Arguments {
    #[command(flatten)]
    pub(super) on: NetworkFlags,
    #[command(flatten)]
    data: DataFlags,
    /// Part of the data: train or test [default: train]
    #[arg(long, value_name = "PART", help_heading = "Data")]
    split: Option<String>,
    /// The site that is read; of a crosscoder several, with commas between
    #[arg(
        long,
        value_name = "SITE",
        alias = "reads",
        alias = "sites",
        value_delimiter = ',',
        help_heading = "Dictionary"
    )]
    site: Vec<String>,
    /// The site that a transcoder writes
    #[arg(long, value_name = "SITE", help_heading = "Dictionary")]
    writes: Option<String>,
    /// Put a linear map beside a transcoder
    #[arg(long, help_heading = "Dictionary")]
    skip: bool,
    /// A second network of the same architecture, whose site a crosscoder reads too
    #[arg(
        long,
        value_name = "FILE|DIR",
        conflicts_with = "writes",
        help_heading = "Dictionary"
    )]
    pub(super) other: Option<PathBuf>,
    /// Encode with the decoder's transpose
    #[arg(long, help_heading = "Dictionary")]
    tied: bool,
    /// Kinds of dictionaries, with commas between [default: top-k]
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Dictionary"
    )]
    kind: Vec<String>,
    /// Latents [default: 8 per channel]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Dictionary"
    )]
    width: Option<i64>,
    /// Active latents of top-k, batch-top-k and matryoshka dictionaries, with commas between [default: 32]
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "Dictionary"
    )]
    k: Vec<f64>,
    /// What activity costs in relu, gated and jump-relu dictionaries, with commas between
    #[arg(
        long,
        value_name = "R",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "Dictionary"
    )]
    sparsity: Vec<f64>,
    /// Active latents that relu, gated and jump-relu dictionaries are to have, with commas between: what activity costs, at
    /// first --sparsity, follows their number
    #[arg(
        long,
        value_name = "R",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "Dictionary"
    )]
    l0: Vec<f64>,
    /// Steps [default: 10000]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Fit"
    )]
    steps: Option<i64>,
    /// Samples per step [default: 4096]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Fit"
    )]
    batch_size: Option<i64>,
    /// Learning rate at the top of its schedule [default: 0.001]
    #[arg(
        long,
        value_name = "R",
        allow_negative_numbers = true,
        help_heading = "Fit"
    )]
    lr: Option<f64>,
    /// Stop when no dictionary's loss has fallen for N reports
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Fit"
    )]
    early_stop: Option<i64>,
    /// Samples that are shuffled together [default: 65536]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Activations"
    )]
    buffer: Option<i64>,
    /// Leave out the first N positions of each example
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Activations"
    )]
    skip_positions: Option<i64>,
    /// Leave out positions of these tokens, with commas between
    #[arg(
        long,
        value_name = "ID",
        value_delimiter = ',',
        help_heading = "Activations"
    )]
    without_tokens: Vec<i64>,
    /// Write the activations into this folder first, a file for each buffer, and read them from there; what is there of an
    /// earlier run is used
    #[arg(long, value_name = "DIR", help_heading = "Activations")]
    pub(super) shards: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Arguments {
    pub(super) fn apply(&self, layers: &mut Layers) -> Result<()> {
        self.data.apply(layers)?;
        layers.flag("--split", "split", self.split.clone())?;
        layers.beneath("split", "train");
        for (flag, path, list) in [
            ("--site", "sae.reads", texts(&self.site)),
            ("--kind", "sae.kind", texts(&self.kind)),
            ("--k", "sae.k", floats(&self.k)),
            ("--sparsity", "sae.sparsity", floats(&self.sparsity)),
            ("--l0", "sae.l0", floats(&self.l0)),
            (
                "--without-tokens",
                "sae.positions.without_tokens",
                self.without_tokens.iter().map(|&id| id.into()).collect(),
            ),
        ] {
            let list = Some(list).filter(|list: &Vec<toml::Value>| !list.is_empty());
            layers.flag(flag, path, list)?;
        }
        layers.flag("--writes", "sae.writes", self.writes.clone())?;
        layers.flag("--skip", "sae.skip", self.skip.then_some(true))?;
        layers.flag("--tied", "sae.tied", self.tied.then_some(true))?;
        layers.flag("--width", "sae.width", self.width)?;
        layers.flag("--steps", "sae.length.steps", self.steps)?;
        layers.flag("--batch-size", "sae.length.batch_size", self.batch_size)?;
        layers.flag("--lr", "sae.fit.lr", self.lr)?;
        layers.flag(
            "--early-stop",
            "sae.length.early_stop.patience",
            self.early_stop,
        )?;
        layers.flag("--buffer", "sae.buffer", self.buffer)?;
        layers.flag(
            "--skip-positions",
            "sae.positions.skip",
            self.skip_positions,
        )
    }
}

fn texts(list: &[String]) -> Vec<toml::Value> {
    list.iter().map(|text| text.as_str().into()).collect()
}

fn floats(list: &[f64]) -> Vec<toml::Value> {
    list.iter().map(|&number| number.into()).collect()
}
