//! `mr circuit patch`.

mod paths;
mod result;
mod spots;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_circuits::{Direction, PathPatch, Question, Sweep};
use mr_metrics::RecordKind;
use mr_models::Model;
use serde_json::json;

use self::result::{Asked, Found};
use super::ablation::{UNLEARNED, unlearned};
use super::given::PairFlags;
use super::heads;
use crate::console::{Console, Outcome};
use crate::output::writable;
use crate::settings::Common;
use crate::subject::NetworkFlags;

/// Patch activations of one run into another, one spot after the other
///
/// Activation patching (Vig et al. 2020; Meng et al. 2022). Denoising gives the corrupt run a clean activation and
/// asks whether the spot is enough; noising gives the clean run a corrupt one and asks whether it is needed.
/// 1 means that the spot carries the whole difference between the two runs, 0 that it carries none. With --ablate
/// each spot of the clean run is cut instead, and what is told is by how much the objective changes. With --path
/// what each head, MLP and the input write is patched on its way to the receivers alone (Wang et al. 2022); between
/// layers, what each channel sends them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit patch --model runs/induction --clean '1 2 3 1' --corrupt '1 2 3 4' --right 2 --wrong 5
  mr circuit patch --model runs/induction --data repeated --limit 100 --over heads --of pattern --out runs/patched
  mr circuit patch --model runs/induction --clean '1 2 3 1' --corrupt '1 2 3 4' --right 2 --wrong 5 \\
    --over positions --of resid_pre --noise --plot positions.svg
  mr circuit patch --model runs/induction --limit 100 --ablate mean --out runs/ablated
  mr circuit patch --model runs/induction --limit 100 --noise --path logits --plot direct.svg
  mr circuit patch --model runs/induction --limit 100 --noise --path 'a1.h0<k>' --path 'a1.h1<k>' --through-mlps
  mr circuit patch --model runs/half --pair pair.safetensors --over channels --of conv2.hook_out --json
  mr circuit patch --model runs/half --pair pair.safetensors --noise --path conv2.c3 --path conv2.c7")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    #[command(flatten)]
    given: PairFlags,
    /// What spots are: heads, positions, channels or sites [default: heads, where there are any, else the
    /// channels of a network of images and the sites of one of tokens]
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
    /// Ablate each spot of the clean run: zero, mean, positional-mean (over the corrupt inputs), resample
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "noise",
        help_heading = "Patching"
    )]
    ablate: Option<String>,
    /// Patch what reaches this receiver alone: logits, `a1.h0<k>`, m1, conv2.c3; may be repeated
    #[arg(long, value_name = "RECEIVER", conflicts_with_all = ["ablate", "over", "of"], help_heading = "Patching")]
    path: Vec<String>,
    /// Let paths lead through MLPs
    #[arg(long, requires = "path", help_heading = "Patching")]
    through_mlps: bool,
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
    let (names, laid) = if arguments.path.is_empty() {
        let grid = spots::grid(arguments, network, given.pair.clean())?;
        let names = grid.spots().iter().map(ToString::to_string).collect();
        (names, Some(grid))
    } else {
        (
            paths::senders(&network.spec().wiring, &arguments.path),
            None,
        )
    };
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
            "ablate": arguments.ablate,
            "path": arguments.path,
            "through_mlps": arguments.through_mlps,
        },
    });
    let mut begun = opened.begin(RecordKind::CircuitPatch, config)?;
    let question = Question::new(network, objective.as_ref(), &given.labels);
    let bar = console.bar("spots", names.len());
    let told = &mut |done, _| bar.at(done, String::new);
    let patches = match (&laid, &arguments.ablate) {
        (Some(grid), None) => sweep.patch(question, &given.pair, direction, &grid.spots(), told)?,
        (Some(grid), Some(name)) => {
            let ablation = unlearned(name, &given.pair)
                .with_context(|| format!("--ablate {name}: valid: {UNLEARNED}"))?;
            let input = given.pair.clean();
            sweep.ablate(question, input, &ablation, &grid.spots(), told)?
        }
        (None, _) => {
            let along = PathPatch {
                direction,
                through_mlps: arguments.through_mlps,
                sweep,
            };
            along.run(question, &given.pair, &names, &arguments.path, told)?
        }
    };
    drop(bar);
    let values: Vec<f32> = if arguments.ablate.is_some() {
        let base = result::mean(&patches.base);
        let change = |patched: &Vec<f32>| (result::mean(patched) - base) as f32;
        patches.patched.iter().map(change).collect()
    } else {
        patches.mean_restored()
    };
    if values.iter().any(|value| !value.is_finite()) {
        bail!(
            "the objective is the same in both runs: there is no difference that a spot could carry"
        );
    }

    if arguments.path == ["logits"] {
        let effect = |head: &str| Some(values[names.iter().position(|name| name == head)?]);
        heads::compared(network, given.pair.clean(), effect, &mut begun.record)?;
    }
    let table = match &laid {
        Some(grid) => (
            grid.rows.iter().rev().cloned().collect(),
            grid.columns.clone(),
            grid.spread(&values).into_iter().rev().collect(),
        ),
        None => paths::table(&names, &values),
    };
    let found = Found {
        names,
        values,
        table,
        base: patches.base,
        donor: patches.donor,
    };
    let asked = Asked {
        objective: objective.name(),
        on: opened.title(),
        ablate: arguments.ablate.as_deref(),
        noise: arguments.noise,
        receivers: &arguments.path,
    };
    found.tell(&asked, begun, arguments.plot.as_ref(), console)
}
