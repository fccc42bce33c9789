//! `mr circuit evaluate`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use mr_circuits::{
    Circuit, FRACTIONS, Faithfulness, Ranking, completeness, curve, random_faithfulness,
};
use mr_metrics::Short;
use mr_models::Model;
use serde_json::json;

use super::given::{NetworkFlags, PairFlags, ablation};
use crate::console::{Console, Outcome};
use crate::layout::Listing;

/// Measure how well a circuit does what its network does
///
/// Faithfulness is 1 where the circuit does what the network does and 0 where it does what is left with every
/// edge cut. It is given for the batch, for the tail of the worst inputs, and held against random circuits of
/// the same size. CPR and CMD are areas over circuits of growing size by the scores of the file (MIB).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit evaluate --model runs/induction --circuit induction.json --clean '1 2 3 1' \\
    --corrupt '1 2 3 4' --right 2 --wrong 5
  mr circuit evaluate --model runs/half --circuit half.json --pair pair.safetensors --draws 200 --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    /// The circuit, in the format of EAP-IG
    #[arg(long, value_name = "FILE.json")]
    circuit: PathBuf,
    #[command(flatten)]
    given: PairFlags,
    /// What cut edges carry: resample (the corrupt input), zero, mean, positional-mean
    #[arg(
        long,
        value_name = "NAME",
        default_value = "resample",
        help_heading = "Evaluation"
    )]
    ablation: String,
    /// Random circuits of the same size
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        help_heading = "Evaluation"
    )]
    draws: usize,
    /// Nodes that the search for what the circuit lacks takes out at most
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        help_heading = "Evaluation"
    )]
    steps: usize,
    /// Seed of the random circuits and of the search
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        help_heading = "Evaluation"
    )]
    seed: u64,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let (network, device) = arguments.on.open()?;
    let given = arguments.given.read(&network, &device)?;
    let circuit = Circuit::load(&arguments.circuit, network.spec())?;
    let ablation = ablation(&arguments.ablation, &given.pair)?;
    let objective = given.objective.as_ref();
    let measure = Faithfulness::new(
        &network,
        given.pair.clean(),
        &given.labels,
        objective,
        &ablation,
    )?;
    let own = measure.of(&circuit)?;
    let bar = console.bar("random circuits", arguments.draws);
    let draws = arguments.draws;
    let random = random_faithfulness(&measure, &circuit, draws, arguments.seed, &mut |done, _| {
        bar.at(done, String::new);
    })?;
    drop(bar);
    let below = random
        .iter()
        .filter(|&&other| other < own.faithfulness)
        .count();
    let above = below as f64 / draws.max(1) as f64;
    let ranking = Ranking::Absolute;
    let sizes = curve(
        &measure,
        circuit.scores(),
        &FRACTIONS,
        ranking,
        true,
        &mut |_, _| {},
    )?;
    let steps = arguments.steps;
    let lacks = completeness(
        &measure,
        &circuit,
        steps,
        10,
        arguments.seed,
        &mut |_, _| {},
    )?;

    let short = |value: f64| Short(value).to_string();
    let mut listing = Listing::new(format!(
        "{} in {}, {} of {} edges",
        arguments.circuit.display(),
        arguments.on.title(),
        circuit.len(),
        circuit.edges()
    ));
    listing.line("faithfulness", short(own.faithfulness));
    listing.line("of the worst input", short(own.tail(0.0)));
    listing.line("of the worst tenth", short(own.tail(0.1)));
    listing.line("KL of the worst input", short(own.divergence(1.0)));
    if draws > 0 {
        listing.line("random circuits below it", format!("{below} of {draws}"));
    }
    listing.line("CPR", short(sizes.cpr));
    listing.line("CMD", short(sizes.cmd));
    let without = if lacks.nodes.is_empty() {
        "as it is".into()
    } else {
        format!("without {}", lacks.nodes.join(", "))
    };
    listing.line(
        "incompleteness",
        format!("{} ({without})", short(lacks.score)),
    );
    console.say(listing);
    let points: Vec<_> = sizes
        .points
        .iter()
        .map(|point| {
            json!({
                "fraction": point.fraction,
                "edges": point.edges,
                "faithfulness": point.faithfulness,
            })
        })
        .collect();
    console.object(&json!({
        "kept": circuit.len(),
        "edges": circuit.edges(),
        "objective": objective.name(),
        "ablation": ablation.name(),
        "faithfulness": own.faithfulness,
        "worst": own.tail(0.0),
        "worst_tenth": own.tail(0.1),
        "divergence": own.divergence(1.0),
        "random": { "draws": draws, "below": above },
        "curve": points,
        "cpr": sizes.cpr,
        "cmd": sizes.cmd,
        "incompleteness": { "score": lacks.score, "without": lacks.nodes },
    }))?;
    Ok(Outcome::Done)
}
