//! `mr circuit evaluate`.

mod plots;
mod result;
mod worst;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use mr_circuits::{
    AtPositions, Circuit, FRACTIONS, Faithfulness, Ranking, completeness, curve, minimality,
    random_faithfulness,
};
use mr_metrics::RecordKind;
use mr_models::Model;
use serde_json::json;

use self::result::Found;
use self::worst::Search;
use super::ablation::ablation;
use super::asked::AskedFlags;
use super::given::PairFlags;
use crate::command::search::{SearchFlags, climber};
use crate::command::threat::ThreatFlags;
use crate::console::{Console, Outcome};
use crate::output::writable;
use crate::settings::Common;
use crate::subject::{NetworkFlags, json};

/// Nodes that each step of the search for what a circuit lacks tries.
const CANDIDATES: usize = 10;

/// Measure how well a circuit does what its network does
///
/// Faithfulness is 1 where the circuit does what the network does and 0 where it does what is left with every
/// edge cut. It is given for the batch, for the tail of the worst inputs, and held against random circuits of
/// the same size. CPR and CMD are areas over circuits of growing size by the scores of the file (MIB). With --epsilon
/// an attack seeks, in the ball around each clean image, the input for which the circuit says least of what the
/// network says: the largest KL(network || circuit). With --place the ball is at a site, of tokens their embedding;
/// what is added there is added in network and circuit.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit evaluate --model runs/induction --circuit induction.json --clean '1 2 3 1' \\
    --corrupt '1 2 3 4' --right 2 --wrong 5
  mr circuit evaluate --model runs/half --circuit half.json --pair pair.safetensors --draws 200 --json
  mr circuit evaluate --model runs/half --circuit half.json --pair pair.safetensors --epsilon 0.1 --attack apgd
  mr circuit evaluate --model runs/induction --circuit induction.json --limit 100 --out runs/induction-judged
  mr circuit evaluate --model runs/induction --circuit induction.json --limit 20 --epsilon 0.1 --place hook_embed")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    /// The circuit, in the format of EAP-IG
    #[arg(long, value_name = "FILE.json", help_heading = "Evaluation")]
    circuit: PathBuf,
    #[command(flatten)]
    given: PairFlags,
    /// What cut edges carry: resample (the corrupt input), zero, mean, positional-mean, or optimal (learned
    /// constants)
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
    nodes: usize,
    /// Say of each edge of the circuit what its faithfulness loses without it
    #[arg(long, help_heading = "Evaluation")]
    minimality: bool,
    #[command(flatten)]
    asked: AskedFlags,
    #[command(flatten)]
    threat: ThreatFlags,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    common: Common,
    /// Write a plot of faithfulness by size into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    writable("--plot", arguments.plot.as_ref())?;
    let opened = arguments
        .given
        .open(&arguments.on, &arguments.common, |layers| {
            arguments.threat.apply(layers)?;
            arguments.search.apply(layers)
        })?;
    let (network, given, settings) = (&opened.subject.network, &opened.data, &opened.settings);
    let asked = arguments.asked.of(given, &network.device())?;
    let seed = settings.seed.unwrap_or(0);
    let objective = opened.objective()?;
    let search = match &settings.threat {
        Some(threat) => {
            let search = Search {
                threat,
                attack: climber(settings)?,
                seed,
                threads: settings.evaluation.threads,
            };
            search.fits(network)?;
            Some(search)
        }
        None => None,
    };
    let circuit = Circuit::load(&arguments.circuit, network.spec())?;
    let mut config = json!({
        "objective": objective.name(),
        "circuit": arguments.circuit,
        "evaluate": {
            "ablation": arguments.ablation,
            "draws": arguments.draws,
            "nodes": arguments.nodes,
            "minimality": arguments.minimality,
            "positions": arguments.asked.positions.to_string(),
        },
    });
    if let Some(threat) = &settings.threat {
        config["threat"] = json(threat)?;
        config["attack"] = json(&settings.attack)?;
    }
    let begun = opened.begin(RecordKind::CircuitEvaluate, config)?;
    let cut = circuit.cut_edges();
    let ablation = ablation(&arguments.ablation, network, &given.pair, &cut, console)?;
    let at_positions = AtPositions::new(network, asked.clone());
    let measure = Faithfulness::new(
        &at_positions,
        given.pair.clean(),
        &given.labels,
        objective.as_ref(),
        &ablation,
    )?;
    let own = measure.of(&circuit)?;
    let draws = arguments.draws;
    let bar = console.bar("random circuits", draws);
    let random = random_faithfulness(&measure, &circuit, draws, seed, &mut |done, _| {
        bar.at(done, String::new);
    })?;
    drop(bar);
    let bar = console.bar("sizes", FRACTIONS.len());
    let ranking = Ranking::Absolute;
    let told = &mut |done, _| bar.at(done, String::new);
    let sizes = curve(&measure, circuit.scores(), &FRACTIONS, ranking, true, told)?;
    drop(bar);
    let nodes = arguments.nodes;
    let bar = console.bar("without nodes", nodes);
    let told = &mut |done, _| bar.at(done, String::new);
    let lacks = completeness(&measure, &circuit, nodes, CANDIDATES, seed, told)?;
    drop(bar);
    let mut needs = Vec::new();
    if arguments.minimality {
        let bar = console.bar("without edges", circuit.len());
        let told = &mut |done, _| bar.at(done, String::new);
        let found = minimality(&measure, &circuit, told)?;
        let named = found.iter();
        needs.extend(named.map(|need| (circuit.wiring().name(need.edge), need.change)));
    }
    let worst = match &search {
        Some(search) => {
            Some(search.run((network, &asked), &circuit, &given.pair, &ablation, console)?)
        }
        None => None,
    };
    let found = Found {
        title: format!("{} in {}", arguments.circuit.display(), opened.title()),
        objective: objective.name(),
        ablation: ablation.name(),
        circuit,
        own,
        random,
        sizes,
        lacks,
        needs,
        worst,
    };
    found.tell(begun, arguments.plot.as_ref(), console)
}
