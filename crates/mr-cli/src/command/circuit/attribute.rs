//! `mr circuit attribute`.

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_circuits::{
    Ablation, Circuit, EdgeScores, Faithfulness, Path, Ranking, edge_attribution, smallest,
};
use mr_metrics::RecordKind;
use mr_models::{Model, Network, Objective, floats, values_at};
use serde_json::json;

use super::found::FoundFlags;
use super::given::{Given, PairFlags};
use super::heads;
use crate::console::{Console, Outcome};
use crate::settings::Common;
use crate::subject::NetworkFlags;

/// Score every edge by what it carries of the difference between two inputs
///
/// Edge attribution patching (Syed et al. 2023): what an edge's writer writes differently for the corrupt
/// input, times the gradient of the objective at the edge's reader. With --steps the gradient is averaged on
/// the way from the corrupt to the clean input (EAP-IG), which is worth its price. The record of a language model
/// has what every head looks at beside the score of its edge to the logits.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit attribute --model runs/induction --clean '1 2 3 1' --corrupt '1 2 3 4' --right 2 --wrong 5
  mr circuit attribute --model gpt2 --tokenizer gpt2/tokenizer.json --clean 'When Mary and John went' \\
    --corrupt 'When Mary and Anne went' --right ' Mary' --wrong ' John' --steps 5 --top 200 --save ioi.json
  mr circuit attribute --model runs/induction --limit 100 --steps 5 --top 40 --greedy --out runs/induction-edges
  mr circuit attribute --model runs/induction --limit 100 --steps 5 --faithful 0.9 --greedy --save induction.json
  mr attack --model runs/half --epsilon 0.1 --save pair.safetensors
  mr circuit attribute --model runs/half --pair pair.safetensors --top 50 --greedy --plot circuit.svg")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    #[command(flatten)]
    given: PairFlags,
    /// Steps of the path that gradients are averaged on; 0 for the clean input alone
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        help_heading = "Attribution"
    )]
    steps: usize,
    /// What goes along the path: inputs or activations
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "inputs",
        help_heading = "Attribution"
    )]
    path: String,
    /// Keep the N edges that score highest in size [default: all]
    #[arg(long, value_name = "N", help_heading = "Circuit")]
    top: Option<usize>,
    /// Keep the fewest edges, in the order of their scores, that do this share of what the network does, from 0 to 1,
    /// where the others carry the corrupt input; judge them on other inputs with `mr circuit evaluate`
    #[arg(
        long,
        value_name = "SHARE",
        conflicts_with = "top",
        help_heading = "Circuit"
    )]
    faithful: Option<f64>,
    /// Choose them from the output back, so that each leads there
    #[arg(long, help_heading = "Circuit")]
    greedy: bool,
    #[command(flatten)]
    found: FoundFlags,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    arguments.found.check()?;
    if arguments.greedy && arguments.top.is_none() && arguments.faithful.is_none() {
        bail!("--greedy: say how many edges with --top or --faithful");
    }
    let opened = arguments
        .given
        .open(&arguments.on, &arguments.common, |_| Ok(()))?;
    let (network, given) = (&opened.subject.network, &opened.data);
    let path = match (arguments.path.as_str(), arguments.steps) {
        ("inputs" | "activations", 0) => Path::Clean,
        ("inputs", steps) => Path::Inputs(steps),
        ("activations", steps) => Path::Activations(steps),
        (other, _) => bail!("--path {other}: valid: inputs, activations"),
    };
    let objective = opened.objective()?;
    let config = json!({
        "objective": objective.name(),
        "attribute": {
            "steps": arguments.steps,
            "path": arguments.path,
            "top": arguments.top,
            "faithful": arguments.faithful,
            "greedy": arguments.greedy,
            "pruned": arguments.found.prunes(),
        },
    });
    let mut begun = opened.begin(RecordKind::CircuitAttribute, config)?;
    let objective = objective.as_ref();
    let scores = edge_attribution(network, &given.pair, &given.labels, objective, path)?;
    if path == Path::Clean {
        warn_where_flat(network, given, objective, &scores, console)?;
    }
    let effect = |head: &str| scores.get(&format!("{head}->logits")).ok();
    heads::compared(network, given.pair.clean(), effect, &mut begun.record)?;
    let ranking = Ranking::Absolute;
    let circuit = match (arguments.top, arguments.faithful, arguments.greedy) {
        (None, None, _) => Circuit::new(scores, &network.spec().wiring.edges())?,
        (Some(n), _, true) => Circuit::greedy(scores, n, ranking)?,
        (Some(n), _, false) => Circuit::top(scores, n, ranking)?,
        (None, Some(target), is_greedy) => {
            let resampled = Ablation::Resample(given.pair.corrupt().clone());
            let (clean, labels) = (given.pair.clean(), &given.labels);
            let measure = Faithfulness::new(network, clean, labels, objective, &resampled)?;
            let bar = console.bar("edges", scores.scores.len());
            let told = &mut |done, _| bar.at(done, String::new);
            let (circuit, found) = smallest(&measure, &scores, target, ranking, is_greedy, told)
                .context("--faithful")?;
            begun.record.number("faithfulness", found);
            circuit
        }
    };
    let title = format!("{}: {}", objective.name(), opened.title());
    arguments.found.tell(circuit, &title, begun, console)
}

/// Says that what is measured from the clean run itself has no slope there.
fn warn_where_flat(
    network: &Network,
    given: &Given,
    objective: &dyn Objective,
    scores: &EdgeScores,
    console: &Console,
) -> Result<()> {
    let mean = |input| -> Result<f32> {
        let (values, _) = values_at(network, input, &given.labels, objective, &[])?;
        Ok(floats(values.mean())[0])
    };
    let change = (mean(given.pair.corrupt())? - mean(given.pair.clean())?).abs();
    let largest = scores.scores.iter().map(|(_, score)| score.abs());
    let largest = largest.fold(0.0, f32::max);
    if largest < 1e-3 * change {
        console.warn(format!(
            "{} changes by {change:.3} between the two inputs, but the largest score is {largest:.0e}: it has no \
             slope at the clean input, as all that is measured from the clean run, such as kl; --steps 5 follows \
             the path from the corrupt input",
            objective.name()
        ));
    }
    Ok(())
}
