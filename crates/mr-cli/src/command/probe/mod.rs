//! `mr probe`.

mod data;
mod fitted;
mod reloaded;
mod result;
mod trees;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use mr_circuits::{Origin, Positions};
use mr_metrics::RecordKind;
use mr_models::Model;
use serde_json::json;

use self::data::Probed;
use crate::console::{Console, Outcome};
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::settings::{Layers, ProbeSettings, ReadOut, RunFlags};
use crate::subject::{SubjectFlags, digest, json};

/// Name of the plot that lies beside a record.
const PLOT: &str = "probe.svg";
/// Examples that are looked at where nothing says how many.
const EXAMPLES: i64 = 2000;
/// The same where trees are read.
const TREES: i64 = 200;

/// Read classes or a concept off the sites of a network by linear probes
///
/// Each example is judged by a probe that was fitted without it. Beside the accuracy stands that of a
/// control task of the same form, in which every type of input has a label drawn at random: a probe that
/// does as well there has learned the inputs by heart, so that it says little of the site. Selectivity is
/// the difference. The type of an example is the nearest of some examples that the seed draws.
///
/// Of prompts the answers are read. Structural probes read the trees of brackets, which bracket hangs on
/// which or how deep each is, and their control task has the tree of another sentence. The accuracy of
/// distances is the share of the tree's edges that their minimum spanning tree has (UUAS), that of depths
/// the share of roots that are found.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr probe --model runs/half --limit 1000 --plot accuracy.svg
  mr probe --model runs/half --site conv2.hook_out --kind linear --lambda 0.01
  mr probe --model runs/half --concept Sandal --concept Sneaker --kind mass-mean
  mr probe --model runs/half --concept 7 --kind cav --site linear1.hook_out --save seven.safetensors
  mr probe --model runs/half --load seven.safetensors --concept 7 --split train --json
  mr probe --model runs/half --positions all --folds 10 --out runs/half-probed
  mr probe --model runs/brackets --kind depth --rank 8 --plot depth.svg")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    /// What is fitted [default: logistic]
    #[arg(long, value_name = "KIND", value_enum, help_heading = "Probe")]
    kind: Option<ReadOut>,
    /// A site to read; may be repeated [default: every layer's output, of a transformer its residual
    /// stream]
    #[arg(long, value_name = "SITE", help_heading = "Probe")]
    site: Vec<String>,
    /// A class, by name or number, or an answer to prompts that belongs to the concept; may be repeated
    /// [default: read every class]
    #[arg(long, value_name = "CLASS", help_heading = "Probe")]
    concept: Vec<String>,
    /// What of a site is a sample: the mean over positions, each, all side by side, the last, or one of
    /// them, from 0 [default: mean; of prompts last]
    #[arg(long, value_name = "mean|each|all|last|N", help_heading = "Probe")]
    positions: Option<Positions>,
    /// Penalty on squared weights [default: 0.001]
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "Probe"
    )]
    lambda: Option<f64>,
    /// Folds, each judged by a probe of the others [default: 5]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Probe"
    )]
    folds: Option<i64>,
    /// Dimensions of a structural probe's tree [default: 16, or the site's channels]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Probe"
    )]
    rank: Option<i64>,
    /// Judge this probe instead of fitting one; it must be of this network
    #[arg(long, value_name = "FILE", help_heading = "Probe", conflicts_with_all = ["kind", "site", "positions", "lambda", "folds", "rank", "save", "plot"])]
    load: Option<PathBuf>,
    #[command(flatten)]
    running: RunFlags,
    /// Write the probe of one site, fitted to all examples, into this file
    #[arg(long, value_name = "FILE.safetensors", help_heading = "Output")]
    save: Option<PathBuf>,
    /// Write a plot of accuracy and control accuracy by site into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let own = |layers: &mut Layers| {
        layers.flag(
            "--kind",
            "probe.kind",
            arguments.kind.map(name).transpose()?,
        )?;
        let named = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
        layers.flag("--site", "probe.sites", named(&arguments.site))?;
        layers.flag("--concept", "probe.concept", named(&arguments.concept))?;
        let positions = arguments.positions.map(|positions| positions.to_string());
        layers.flag("--positions", "probe.positions", positions)?;
        layers.flag("--lambda", "probe.lambda", arguments.lambda)?;
        layers.flag("--folds", "probe.folds", arguments.folds)?;
        layers.flag("--rank", "probe.structural.rank", arguments.rank)?;
        let of_trees = arguments.kind.is_some_and(|kind| kind.tree().is_some());
        layers.beneath("data.limit", if of_trees { TREES } else { EXAMPLES });
        Ok(())
    };
    let opened = Opened::with(&arguments.on, &arguments.running, own, Probed::load)?;
    let (subject, probe) = (&opened.subject, &opened.settings.probe);
    subject.undefended("mr probe")?;
    opened.classifies()?;
    let origin = Origin {
        architecture: subject.network.spec().name.clone(),
        weights: digest(&subject.network),
    };
    if let Some(path) = &arguments.load {
        return reloaded::run(&opened, path, &origin, console);
    }
    let sites = probe.sites(subject.network.spec())?;
    if let (Some(path), [_, _, ..]) = (&arguments.save, sites.as_slice()) {
        bail!(
            "--save {}: {} sites are probed; name the one to save with --site",
            path.display(),
            sites.len()
        );
    }
    writable("--plot", arguments.plot.as_ref())?;
    writable("--save", arguments.save.as_ref())?;

    let config =
        json!({ "probe": json(&ProbeSettings { sites: sites.clone(), ..probe.clone() })? });
    let mut begun = opened.begin(RecordKind::Probe, config)?;
    let found = match probe.kind.tree() {
        Some(measure) => trees::fit(&opened, &sites, measure, console)?,
        None => fitted::fit(&opened, &sites, console)?,
    };
    found.fill(&mut begun.record)?;
    for (line, probe) in found.lines.iter().zip(&found.probes) {
        let about = line.about();
        if let Some(path) = &arguments.save {
            probe.save(&origin, &about, path)?;
        }
        let (what, file) = (
            format!("probe of {}", line.site),
            format!("probe-{}.safetensors", line.site),
        );
        begun.keep_by(&what, &file, |path| Ok(probe.save(&origin, &about, path)?))?;
    }
    begun.draw(PLOT, &found.plot(&opened), arguments.plot.as_ref())?;
    let told = Told {
        listing: found.listing(&opened),
        examples: None,
        object: begun.object(),
    };
    begun.finish(told, console)
}

/// What a settings file calls a kind.
fn name(kind: ReadOut) -> Result<String> {
    let name = json(&kind)?;
    Ok(name.as_str().unwrap_or_default().to_string())
}
