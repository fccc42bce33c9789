//! `mr circuit diff`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use mr_circuits::{Circuit, difference, random_overlap};
use mr_metrics::{RecordKind, Short};
use mr_models::{Edge, Model};
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Opened, Told};
use crate::settings::Common;
use crate::subject::NetworkFlags;

/// Compare the circuits of two networks of one architecture
///
/// The Jaccard index of their edges, held against random circuits of the same size, and against circuits of
/// further seeds of the first network if there are any: two networks differ by more than chance where their
/// overlap is below that of seeds.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit diff --model runs/standard --circuit standard.json --other adversarial.json
  mr circuit diff --model runs/s0 --circuit s0.json --other a0.json --seeds s1.json --seeds s2.json --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    /// The first circuit, in the format of EAP-IG
    #[arg(long, value_name = "FILE.json", help_heading = "Comparison")]
    circuit: PathBuf,
    /// The second one
    #[arg(long, value_name = "FILE.json", help_heading = "Comparison")]
    other: PathBuf,
    /// A circuit of another seed of the first network; may be repeated
    #[arg(long, value_name = "FILE.json", help_heading = "Comparison")]
    seeds: Vec<PathBuf>,
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

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    if arguments.draws == 0 {
        bail!("--draws 0: there is no chance without draws");
    }
    let opened = Opened::network(&arguments.on, &arguments.common, |_| Ok(()), |_, _| Ok(()))?;
    let network = &opened.subject.network;
    let load = |path: &PathBuf| Circuit::load(path, network.spec());
    let (first, second) = (load(&arguments.circuit)?, load(&arguments.other)?);
    let config = json!({
        "circuits": [arguments.circuit, arguments.other],
        "seeds": arguments.seeds,
        "draws": arguments.draws,
    });
    let mut begun = opened.begin(RecordKind::CircuitDiff, config)?;
    let found = difference(&first, &second)?;
    let seed = opened.settings.seed.unwrap_or(0);
    let chance = random_overlap(&first, second.len(), arguments.draws, seed);
    let overlap = |path: &PathBuf| anyhow::Ok(difference(&first, &load(path)?)?.jaccard());
    let floor = arguments
        .seeds
        .iter()
        .map(overlap)
        .collect::<Result<Vec<f64>>>()?;

    let short = |value: f64| Short(value).to_string();
    let jaccard = found.jaccard();
    let mut listing = Listing::new(format!(
        "{} and {}",
        arguments.circuit.display(),
        arguments.other.display()
    ));
    listing.line(
        "edges",
        format!("{} and {} of {}", first.len(), second.len(), first.edges()),
    );
    listing.line("shared", found.shared.len());
    listing.line("Jaccard index", short(jaccard));
    listing.line(
        "random circuits",
        format!(
            "{} on average, {:.1} % below",
            short(chance.mean()),
            100.0 * chance.percentile(jaccard)
        ),
    );
    if !floor.is_empty() {
        let mean = floor.iter().sum::<f64>() / floor.len() as f64;
        begun.record.number("jaccard_seeds", mean);
        listing.line("other seeds", format!("{} on average", short(mean)));
    }
    let record = &mut begun.record;
    for (name, value) in [
        ("jaccard", jaccard),
        ("jaccard_random", chance.mean()),
        ("percentile", chance.percentile(jaccard)),
        ("shared", found.shared.len() as f64),
        ("first", first.len() as f64),
        ("second", second.len() as f64),
    ] {
        record.number(name, value);
    }
    let named = |edges: &[Edge]| -> Vec<String> {
        edges
            .iter()
            .map(|&edge| first.wiring().name(edge))
            .collect()
    };
    let object = json!({
        "jaccard": jaccard,
        "shared": named(&found.shared),
        "only_first": named(&found.only_first),
        "only_second": named(&found.only_second),
        "random": { "mean": chance.mean(), "percentile": chance.percentile(jaccard) },
        "seeds": floor,
    });
    let told = Told {
        listing,
        examples: None,
        object,
    };
    begun.finish(told, console)
}
