//! `mr circuit diff`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use mr_circuits::{Circuit, Overlaps, Ranking, difference, overlaps};
use mr_metrics::stats::{Bootstrap, bca_mean, bca_over};
use mr_metrics::{Interval, RecordKind, Short};
use mr_models::{Edge, Model};
use serde_json::json;

use crate::command::LEVEL;
use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Opened, Told};
use crate::settings::Common;
use crate::subject::NetworkFlags;

/// Compare the circuits of two kinds of networks of one architecture
///
/// The Jaccard index of their edges is held against random circuits with as many edges into each layer, and,
/// where there are several circuits of a kind, against those of one kind that differ by their seed alone: two
/// kinds differ by more than chance where their overlap is below that floor. Channels of nets that began at
/// different weights have no counterparts, so that their floor is near chance; nets of the same seed may have
/// them. Give both kinds in the same order of seeds: pairs of one seed are told apart, and are not held against
/// the floor.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit diff --model runs/standard --circuit standard.json --other adversarial.json
  mr circuit diff --model runs/s0 --circuit s0.json --circuit s1.json --other a0.json --other a1.json --json
  mr circuit diff --model runs/s0 --circuit runs/s0-damage/damage.json --other runs/a0-damage/damage.json --top 50")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    /// A circuit of a network of the first kind, in the format of EAP-IG; may be repeated, once for each seed
    #[arg(
        long,
        required = true,
        value_name = "FILE.json",
        help_heading = "Comparison"
    )]
    circuit: Vec<PathBuf>,
    /// A circuit of a network of the second kind; may be repeated
    #[arg(
        long,
        required = true,
        value_name = "FILE.json",
        help_heading = "Comparison"
    )]
    other: Vec<PathBuf>,
    /// Compare the N edges of each that score highest, whichever were kept
    #[arg(long, value_name = "N", help_heading = "Comparison")]
    top: Option<usize>,
    /// Random circuits
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        help_heading = "Comparison"
    )]
    draws: usize,
    #[command(flatten)]
    common: Common,
}

/// What is told of the overlaps, with intervals over networks.
struct Intervals {
    between: Interval,
    /// Without pairs of one seed.
    crossed: Option<Interval>,
    floor: Option<Interval>,
    above_floor: Option<Interval>,
    matched: Option<Interval>,
}

impl Intervals {
    /// Networks are drawn anew, not pairs of them: pairs that share a network are not independent.
    fn new(found: &Overlaps, seed: u64) -> Result<Self> {
        let bootstrap = Bootstrap {
            seed,
            level: LEVEL,
            ..Bootstrap::default()
        };
        let over = |statistic: &dyn Fn([&[usize]; 2]) -> f64| {
            let statistic = |drawn: &[Vec<usize>]| statistic([&drawn[0], &drawn[1]]);
            bca_over(&found.counts(), statistic, bootstrap)
        };
        let matched = found.matched();
        let has_floor = found.counts().iter().any(|&count| count > 1);
        let is_paired = matched.len() > 1;
        let floor = || over(&|drawn| found.within(drawn));
        let crossed = || over(&|drawn| found.crossed(drawn));
        let above = || {
            over(&|drawn| {
                let between = if is_paired {
                    found.crossed(drawn)
                } else {
                    found.between(drawn)
                };
                between - found.within(drawn)
            })
        };
        Ok(Self {
            between: over(&|drawn| found.between(drawn))?,
            crossed: is_paired.then(crossed).transpose()?,
            floor: has_floor.then(floor).transpose()?,
            above_floor: has_floor.then(above).transpose()?,
            matched: is_paired
                .then(|| bca_mean(&matched, bootstrap))
                .transpose()?,
        })
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, &Interval)> {
        let all = [
            ("jaccard", "Jaccard index", Some(&self.between)),
            ("jaccard_crossed", "of other seeds", self.crossed.as_ref()),
            (
                "jaccard_floor",
                "other seeds of one kind",
                self.floor.as_ref(),
            ),
            (
                "jaccard_above_floor",
                "above other seeds",
                self.above_floor.as_ref(),
            ),
            (
                "jaccard_matched",
                "those at one place in both",
                self.matched.as_ref(),
            ),
        ];
        all.into_iter()
            .filter_map(|(name, told, interval)| Some((name, told, interval?)))
    }
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    if arguments.draws == 0 {
        bail!("--draws 0: there is no chance without draws");
    }
    if arguments.top == Some(0) {
        bail!("--top 0: an empty circuit has nothing in common with others");
    }
    let opened = Opened::network(&arguments.on, &arguments.common, |_| Ok(()), |_, _| Ok(()))?;
    let network = &opened.subject.network;
    let load = |path: &PathBuf| {
        let circuit = Circuit::load(path, network.spec())?;
        anyhow::Ok(match arguments.top {
            Some(top) => Circuit::top(circuit.scores().clone(), top, Ranking::Signed)?,
            None => circuit,
        })
    };
    let kind = |paths: &[PathBuf]| paths.iter().map(load).collect::<Result<Vec<Circuit>>>();
    let (firsts, seconds) = (kind(&arguments.circuit)?, kind(&arguments.other)?);
    let config = json!({
        "circuits": arguments.circuit,
        "others": arguments.other,
        "top": arguments.top,
        "draws": arguments.draws,
    });
    let mut begun = opened.begin(RecordKind::CircuitDiff, config)?;
    let seed = opened.settings.seed.unwrap_or(0);
    let (first, second) = (&firsts[0], &seconds[0]);
    let found = difference(first, second)?;
    let overlap = overlaps([&firsts, &seconds], arguments.draws, seed)?;
    let chance = &overlap.random;
    let intervals = Intervals::new(&overlap, seed)?;

    let title = |paths: &[PathBuf]| match paths {
        [one] => one.display().to_string(),
        [one, more @ ..] => format!("{} and {} more", one.display(), more.len()),
        [] => String::new(),
    };
    let mut listing = Listing::new(format!(
        "{} against {}",
        title(&arguments.circuit),
        title(&arguments.other)
    ));
    let mean = |circuits: &[Circuit]| {
        let edges: usize = circuits.iter().map(Circuit::len).sum();
        edges as f64 / circuits.len() as f64
    };
    let sizes = [mean(&firsts), mean(&seconds)];
    let [one, other] = sizes.map(|size| Short(size).to_string());
    listing.line("edges", format!("{one} and {other} of {}", first.edges()));
    for (_, told, interval) in intervals.named() {
        listing.line(told, interval);
    }
    let jaccard = intervals.between.value;
    listing.line(
        "random circuits",
        format!(
            "{} on average, {:.1} % below",
            Short(chance.mean()),
            100.0 * chance.percentile(jaccard)
        ),
    );
    let record = &mut begun.record;
    for (name, _, interval) in intervals.named() {
        record.number(name, *interval);
    }
    for (name, value) in [
        ("jaccard_random", chance.mean()),
        ("percentile", chance.percentile(jaccard)),
        ("first", sizes[0]),
        ("second", sizes[1]),
    ] {
        record.number(name, value);
    }
    let named = |edges: &[Edge]| -> Vec<String> {
        edges
            .iter()
            .map(|&edge| first.wiring().name(edge))
            .collect()
    };
    let mut object = json!({
        "random": { "mean": chance.mean(), "percentile": chance.percentile(jaccard) },
        "shared": named(&found.shared),
        "only_first": named(&found.only_first),
        "only_second": named(&found.only_second),
    });
    for (name, _, interval) in intervals.named() {
        object[name] =
            json!({ "value": interval.value, "low": interval.low, "high": interval.high });
    }
    let told = Told {
        listing,
        examples: None,
        object,
    };
    begun.finish(told, console)
}
