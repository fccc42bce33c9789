//! `mr circuit patch`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use mr_circuits::{Direction, Grid, Question, Sweep};
use mr_metrics::{RecordKind, Short, Table};
use mr_models::{Input, Model, Network};
use serde_json::json;

use super::given::PairFlags;
use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::Told;
use crate::output::writable;
use crate::report::{Heat, heat};
use crate::settings::Common;
use crate::subject::NetworkFlags;

/// Spots that a person is told.
const TOLD: usize = 20;
/// Spots that a record holds, the strongest.
const RECORDED: usize = 200;
/// Name of the plot that lies beside a record.
const PLOT: &str = "patching.svg";

/// Patch activations of one run into another, one spot after the other
///
/// Activation patching (Vig et al. 2020; Meng et al. 2022). Denoising gives the corrupt run a clean activation and
/// asks whether the spot is enough; noising gives the clean run a corrupt one and asks whether it is needed.
/// 1 means that the spot carries the whole difference between the two runs, 0 that it carries none.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit patch --model runs/induction --clean '1 2 3 1' --corrupt '1 2 3 4' --right 2 --wrong 5
  mr circuit patch --model runs/induction --data repeated --limit 100 --over heads --of pattern --out runs/patched
  mr circuit patch --model runs/induction --clean '1 2 3 1' --corrupt '1 2 3 4' --right 2 --wrong 5 \\
    --over positions --of resid_pre --noise --plot positions.svg
  mr circuit patch --model runs/half --pair pair.safetensors --over channels --of conv2.hook_out --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    #[command(flatten)]
    given: PairFlags,
    /// What spots are: heads, positions, channels or sites [default: heads, where there are any, else channels]
    #[arg(long, value_name = "WHAT", help_heading = "Patching")]
    over: Option<String>,
    /// Of heads or positions one short name of a site (z, q, k, v, result, pattern; resid_pre, mlp_out, ...), of
    /// channels or sites their sites' names; may be repeated [default: z, resid_pre, every hook_out]
    #[arg(
        long,
        value_name = "SITE",
        requires = "over",
        help_heading = "Patching"
    )]
    of: Vec<String>,
    /// Corrupt the clean run, rather than restore the corrupt one
    #[arg(long, help_heading = "Patching")]
    noise: bool,
    /// Rows that one thread holds at a time; does not change the result
    #[arg(long, value_name = "N", default_value_t = 32, help_heading = "Running")]
    batch_size: usize,
    /// Threads; does not change the result [default: all cores]
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Running")]
    threads: usize,
    /// Write a heat map into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    writable("--plot", arguments.plot.as_ref())?;
    if arguments.batch_size == 0 {
        bail!("--batch-size 0: must be at least 1");
    }
    let opened = arguments
        .given
        .open(&arguments.on, &arguments.common, |_| Ok(()))?;
    let (network, given) = (&opened.subject.network, &opened.data);
    let objective = opened.objective()?;
    let grid = grid(arguments, network, given.pair.clean())?;
    let spots = grid.spots();
    let direction = if arguments.noise {
        Direction::Noise
    } else {
        Direction::Denoise
    };
    let sweep = Sweep {
        batch_size: arguments.batch_size,
        threads: arguments.threads,
    };
    let config = json!({
        "objective": objective.name(),
        "patching": {
            "over": arguments.over,
            "of": arguments.of,
            "noise": arguments.noise,
        },
    });
    let mut begun = opened.begin(RecordKind::CircuitPatch, config)?;
    let question = Question::new(network, objective.as_ref(), &given.labels);
    let bar = console.bar("spots", spots.len());
    let patches = sweep.patch(question, &given.pair, direction, &spots, &mut |done, _| {
        bar.at(done, String::new);
    })?;
    drop(bar);
    let carried = patches.mean_restored();
    if carried.iter().any(|value| !value.is_finite()) {
        bail!(
            "the objective is the same in both runs: there is no difference that a spot could carry"
        );
    }

    let (verb, name) = if arguments.noise {
        ("broken", "noise")
    } else {
        ("restored", "denoise")
    };
    let objective = objective.name();
    let title = format!("{objective} {verb} by patching: {}", opened.title());
    let mut order: Vec<usize> = (0..spots.len()).collect();
    order.sort_by(|&a, &b| carried[b].abs().total_cmp(&carried[a].abs()));
    let mut listing = Listing::new(format!("{title}, {} spots", spots.len()));
    listing.row(["spot", verb].map(String::from));
    for &at in order.iter().take(TOLD) {
        let value = Short(f64::from(carried[at])).to_string();
        listing.row([spots[at].to_string(), value]);
    }
    let drawn = heat(&Heat {
        title: title.clone(),
        about: format!("share of the difference that is {verb}"),
        values: grid.spread(&carried).into_iter().rev().collect(),
        rows: grid.rows.iter().rev().cloned().collect(),
        columns: grid.columns.clone(),
        labels: Vec::new(),
    });
    begun.draw(PLOT, &drawn, arguments.plot.as_ref())?;
    let record = &mut begun.record;
    record.number("spots", spots.len() as f64);
    record.number("base", mean(&patches.base));
    record.number("donor", mean(&patches.donor));
    let row = |&at: &usize| vec![spots[at].to_string().into(), carried[at].into()];
    let table = Table {
        columns: ["spot", verb].map(String::from).into(),
        rows: order.iter().take(RECORDED).map(row).collect(),
    };
    record.tables.insert("patching".into(), table);
    let found = spots.iter().zip(&carried);
    let found: Vec<_> = found
        .map(|(spot, value)| json!({ "spot": spot.to_string(), verb: value }))
        .collect();
    let object = json!({
        "title": title,
        "objective": objective,
        "direction": name,
        "base": patches.base,
        "donor": patches.donor,
        "spots": found,
    });
    let told = Told {
        listing,
        examples: None,
        object,
    };
    begun.finish(told, console)
}

fn mean(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum::<f64>() / values.len() as f64
}

/// What is patched, spot by spot.
fn grid(arguments: &Arguments, network: &Network, clean: &Input) -> Result<Grid> {
    let spec = network.spec();
    let one = |usual: &'static str| match arguments.of.as_slice() {
        [] => Ok(usual.to_string()),
        [name] => Ok(name.clone()),
        more => bail!("--of {}: one name, please", more.join(" --of ")),
    };
    let sites = || -> Result<Vec<String>> {
        if arguments.of.is_empty() {
            let sites = spec.sites.iter().map(|site| site.name.clone());
            return Ok(sites.filter(|name| name.ends_with("hook_out")).collect());
        }
        let names = arguments.of.iter();
        let resolved = names.map(|name| Ok(spec.resolve(name)?.name.clone()));
        resolved.collect()
    };
    let found = match arguments.over.as_deref() {
        None => Grid::of_network(spec)?,
        Some("heads") => Grid::heads(spec, &one("z")?)?,
        Some("positions") => {
            let grid = Grid::positions(spec, &one("resid_pre")?)?;
            match clean {
                Input::Tokens(tokens) => grid.narrowed(tokens.dims()[1]),
                Input::Real(_) => grid,
            }
        }
        Some("channels") => Grid::channels(spec, &sites()?)?,
        Some("sites") => Grid::sites(spec, &sites()?)?,
        Some(other) => bail!("--over {other}: valid: heads, positions, channels, sites"),
    };
    if found.spots().is_empty() {
        bail!(
            "this network has no such sites: name some with --over sites --of SITE (`mr models --sites`)"
        );
    }
    Ok(found)
}
