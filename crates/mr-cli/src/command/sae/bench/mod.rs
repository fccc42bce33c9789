//! `mr sae bench`.

mod fitted;
mod judged;
mod ordering;
mod regime;
mod result;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_metrics::RecordKind;
use mr_models::data::{Hierarchy, Planted, PlantedConfig};
use mr_models::write_atomic;
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::device;
use crate::output::{Output, draft, writable};
use crate::settings::{Common, Settings};
use crate::subject::json;
use fitted::scores;
use regime::{KINDS, Regime, STEPS, Size};
use result::Shown;

/// Name of the plot that lies beside a record.
const PLOT: &str = "bench.svg";
/// The share of the features that are on which SynthSAEBench lets dictionaries have active: 25 of 34.
const SHARE: f64 = 25.0 / 34.0;
/// Examples that the number of features that are on is counted over.
const COUNTED: usize = 20_000;

/// Fit every kind of dictionary to features that are known, and say which found them
///
/// Activations are sums of planted features, after SynthSAEBench (Chanin & Garriga-Alonso 2026) with counts divided by 32: 512
/// features in 64 dimensions with a hierarchy, correlation and rates by Zipf's law, and dictionaries of 128 latents. Every kind
/// is fitted alike and at the same L0, which coefficients of sparsity follow. The published order of kinds is held against what
/// comes out, seed by seed. A second, easy regime has as few features as fit without superposition: there every kind should
/// find them all, with twice as many latents as features and at the L0 that the features have.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr sae bench --quick
  mr sae bench --out runs/sae-bench --plot bench.svg
  mr sae bench --latents 512 --l0 5 --json
  mr sae bench --regime easy")]
pub(crate) struct Arguments {
    /// Fewer seeds and steps
    #[arg(long, help_heading = "Benchmark")]
    quick: bool,
    /// Which features, with commas between: planted, easy
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "planted,easy",
        help_heading = "Benchmark"
    )]
    regime: Vec<String>,
    /// Kinds of dictionaries, with commas between [default: all]
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Benchmark"
    )]
    kind: Vec<String>,
    /// Seeds, each with features of its own [default: 5; 3 if quick]
    #[arg(long, value_name = "N", help_heading = "Benchmark")]
    seeds: Option<u64>,
    /// Planted features
    #[arg(
        long,
        value_name = "N",
        default_value_t = 512,
        help_heading = "Benchmark"
    )]
    features: usize,
    /// Dimensions of the planted features
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64,
        help_heading = "Benchmark"
    )]
    width: usize,
    /// Latents of dictionaries of the planted features [default: a quarter of the features]
    #[arg(long, value_name = "N", help_heading = "Benchmark")]
    latents: Option<usize>,
    /// Active latents of a sample [default: 25/34 of the planted features that are on, rounded]
    #[arg(long, value_name = "R", help_heading = "Benchmark")]
    l0: Option<f64>,
    /// Steps of a fit [default: 2500; 1000 if quick]
    #[arg(long, value_name = "N", help_heading = "Benchmark")]
    steps: Option<usize>,
    /// Draw F1, MCC and explained variance into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

impl Arguments {
    fn size(&self) -> Result<Size> {
        let (seeds, steps) = if self.quick { (3, 1000) } else { (5, STEPS) };
        let size = Size {
            steps: self.steps.unwrap_or(steps),
            batch: 1024,
            seeds: self.seeds.unwrap_or(seeds),
            judged: 20_000,
        };
        if size.seeds == 0 || size.seeds > 1000 {
            bail!("--seeds {}: must be from 1 to 1000", size.seeds);
        }
        Ok(size)
    }

    fn kinds(&self) -> Result<Vec<&'static str>> {
        if let Some(other) = self
            .kind
            .iter()
            .find(|name| !KINDS.contains(&name.as_str()))
        {
            bail!("--kind {other}: valid names: {}", KINDS.join(", "));
        }
        let asked = |kind: &&str| self.kind.is_empty() || self.kind.iter().any(|name| name == kind);
        Ok(KINDS.into_iter().filter(asked).collect())
    }

    fn regimes(&self) -> Result<Vec<Regime>> {
        self.regime.iter().map(|name| self.one(name)).collect()
    }

    fn one(&self, name: &str) -> Result<Regime> {
        match name {
            "planted" => {
                // SynthSAEBench has a tree to 128 features.
                let roots = self.features / 128;
                let hierarchy = Hierarchy {
                    roots,
                    ..Hierarchy::default()
                };
                let planted = PlantedConfig {
                    features: self.features,
                    width: self.width,
                    hierarchy: (roots > 0).then_some(hierarchy),
                    ..PlantedConfig::default()
                };
                let on = Planted::new(planted.clone(), 0)?.l0(COUNTED);
                let latents = self.latents.unwrap_or(self.features.div_ceil(4));
                let l0 = self.l0.unwrap_or((SHARE * on).round().max(1.0));
                if !(l0 > 0.0 && l0 <= latents as f64) {
                    bail!("--l0 {l0}: must be above 0 and at most the latents, {latents}");
                }
                Ok(Regime {
                    name: "planted",
                    planted,
                    latents,
                    on,
                    l0,
                    kinds: self.kinds()?,
                })
            }
            "easy" => {
                let planted = PlantedConfig::easy(32, 64, 0.1);
                // No dictionary is right at another L0 than that of the features.
                let on = planted.features as f64 * planted.rates.most;
                Ok(Regime {
                    name: "easy",
                    planted,
                    latents: 64,
                    on,
                    l0: on,
                    kinds: self.kinds()?,
                })
            }
            other => bail!("--regime {other}: valid names: planted, easy"),
        }
    }
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    writable("--plot", arguments.plot.as_ref())?;
    let settings = Settings::of(arguments.common.layers()?)?;
    let device = device::open(settings.device.as_deref())?;
    let (size, regimes) = (arguments.size()?, arguments.regimes()?);
    let seed = settings.seed.unwrap_or(0);
    let config = json!({ "bench": { "size": json(&size)?, "regimes": json(&regimes)? } });
    let name = settings.name.as_deref();
    let mut record = draft(RecordKind::SaeBench, name, config, seed, &device.name);
    let overwrite = arguments.common.overwrite;
    let output = settings.out.as_ref();
    let output = output
        .map(|folder| Output::open(folder, &record, overwrite))
        .transpose()?;

    let started = Instant::now();
    let bar = console.bar("steps", regimes.len() * size.steps * size.seeds as usize);
    let mut done = 0;
    let mut step = || {
        done += 1;
        bar.at(done, String::new);
    };
    let scores = scores(&regimes, &size, seed, &device.device, &mut step)?;
    let each = regimes.into_iter().zip(scores);
    let shown: Vec<Shown> = each
        .map(|(regime, scores)| Shown::new(regime, size.steps, seed, scores))
        .collect::<Result<_>>()?;
    drop(bar);

    for one in &shown {
        one.fill(&mut record);
    }
    let drawn = result::plot(&shown);
    if let Some(path) = &arguments.plot {
        write_atomic(path, drawn.as_bytes())
            .with_context(|| format!("--plot {}", path.display()))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let mut object = record.to_json();
    object["seconds"] = seconds.into();
    if let Some(output) = &output {
        write_atomic(&output.path(PLOT), drawn.as_bytes())?;
        record.artifacts.insert("plot".into(), PLOT.into());
        output.write(&record)?;
        object["out"] = json!(settings.out);
    }
    for one in &shown {
        for listing in one.listings() {
            console.say(listing);
        }
    }
    console.say(format!("time {seconds:.1} s"));
    for warning in &record.warnings {
        console.warn(warning);
    }
    console.object(&object)?;
    Ok(Outcome::Done)
}
