//! `mr circuit damage`.

mod attacked;
mod compare;
mod fronts;
mod result;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_circuits::{Circuit, Front, Ranking};
use mr_metrics::RecordKind;
use mr_models::{Joined, Model, Network, Place, objective};
use serde_json::json;

use crate::command::search::{SearchFlags, climber};
use crate::command::threat::ThreatFlags;
use crate::console::{Console, Outcome};
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::settings::RunFlags;
use crate::subject::{SubjectFlags, json};
use attacked::Attacked;
use compare::Compared;
use fronts::Split;
use result::Found;

/// Name of the plot that lies beside a record.
const PLOT: &str = "restored.svg";
/// Name of the same plot for edges.
const EDGE_PLOT: &str = "restored-edges.svg";
/// Name of the scores of edges that lie beside a record.
const CIRCUIT: &str = "damage.json";
/// The share of the edges, the most damaged, that is the circuit there.
const KEPT: f64 = 0.03;

/// Split what an attack does over channels, neurons and edges, and patch the worst back to clean
///
/// Every example that is right and that the attack breaks is a pair of a clean and an adversarial run. The
/// change of the objective between the two is split over the nodes of a layer, by gradients integrated along
/// the straight path between the two activations there, and over the edges into it and those that go around
/// it; the completeness error says how far the shares are from adding up to the change. On one half of the pairs the worst parts are patched
/// back to what they are in the clean run, more and more of them: those worst in the example itself, those
/// worst in the mean over the other half, and as many in random orders.
///
/// A wide gap to random orders takes damage that a few parts hold, and an image that is not far past the boundary:
/// where an attack moves the margin far, most of the change is to be undone (`to undo`), and no few parts hold
/// that much. What shares foretell, as if parts did not interact, stands beside what patching each image's own
/// worst parts gives: where the two are equal, parts hardly interact, and a better
/// ranking is unlikely.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit damage --model runs/half --epsilon 0.1 --limit 500
  mr circuit damage --model runs/half --epsilon 0.1 --site conv2.hook_out --no-edges --json
  mr circuit damage --model runs/half --epsilon 0.1 --plot restored.svg --out runs/half-damage
  mr circuit damage --model runs/standard --against runs/robust --epsilon 0.2 --limit 500")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    /// A site whose channels the change is split over; may be repeated [default: the nodes of every layer]
    #[arg(long, value_name = "SITE", help_heading = "Damage")]
    site: Vec<String>,
    /// Leave edges out
    #[arg(long, help_heading = "Damage")]
    no_edges: bool,
    /// What changes: an objective as `mr aim` takes it [default: margin]
    #[arg(
        long,
        value_name = "EXPRESSION",
        allow_hyphen_values = true,
        help_heading = "Damage"
    )]
    objective: Option<String>,
    /// Random orders to restore in [default: 20]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Damage"
    )]
    random: Option<i64>,
    /// Another network of the same architecture: how alike are the two inside, and what edges of damage do
    /// they share? With several seeds of each, `mr circuit diff` compares the damage.json of their runs
    #[arg(long, value_name = "FILE|DIR", help_heading = "Damage")]
    against: Option<PathBuf>,
    #[command(flatten)]
    threat: ThreatFlags,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    running: RunFlags,
    /// Write a plot of restored accuracy into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        let sites = (!arguments.site.is_empty()).then(|| arguments.site.clone());
        layers.flag("--site", "damage.sites", sites)?;
        let edges = arguments.no_edges.then_some(false);
        layers.flag("--no-edges", "damage.edges", edges)?;
        layers.flag("--objective", "objective", arguments.objective.clone())?;
        layers.flag("--random", "damage.random", arguments.random)?;
        arguments.threat.apply(layers)?;
        arguments.search.apply(layers)
    })?;
    opened.subject.undefended("mr circuit damage")?;
    opened.classifies()?;
    let settings = &opened.settings;
    let wanted = settings.objective.as_deref().unwrap_or("margin");
    let wanted = objective::by_name(wanted)?;
    let threat = opened.threat()?;
    if threat.place != Place::Input {
        bail!(
            "the threat is at the {}: damage is of examples that are attacked at the input",
            threat.place
        );
    }
    let attack = climber(settings)?;
    let network = &opened.subject.network;
    threat.fits(network.spec())?;
    attack.fits(network.spec(), threat)?;
    wanted.fits(network.spec())?;
    let fronts = fronts(network, &settings.damage.sites)?;
    let other = opened.other("--against", arguments.against.as_ref())?;
    if let Some(other) = &other
        && other.architecture() != network.architecture()
    {
        bail!(
            "--against: the two networks differ in architecture, so their parts have no counterparts"
        );
    }
    writable("--plot", arguments.plot.as_ref())?;

    let config = json!({
        "objective": wanted.name(),
        "damage": json(&settings.damage)?,
        "threat": json(threat)?,
        "attack": json(&settings.attack)?,
        "evaluation": json(&settings.evaluation)?,
        "against": arguments.against,
    });
    let mut begun = opened.begin(RecordKind::Damage, config)?;
    let attacked = Attacked::new(&opened, network, threat, attack, wanted.as_ref(), console)?;
    let splits = Split::all(&attacked, &fronts, &settings.damage, console)?;
    let circuit = match fronts::scores(&splits, network) {
        Some(scores) => {
            let count = (KEPT * scores.scores.len() as f64).ceil() as usize;
            Some(Circuit::top(scores, count, Ranking::Signed)?)
        }
        None => None,
    };
    let compared = match &other {
        Some(other) => {
            let theirs = Attacked::new(&opened, other, threat, attack, wanted.as_ref(), console)?;
            Some(Compared::new(
                [&attacked, &theirs],
                &fronts,
                &splits,
                &settings.damage,
                console,
            )?)
        }
        None => None,
    };
    let found = Found {
        title: opened.title_under(threat),
        attacked: &attacked,
        splits: &splits,
        compared: compared.as_ref(),
    };
    found.fill(&mut begun.record)?;
    if let Some(circuit) = &circuit {
        begun.keep_by("scores", CIRCUIT, |path| Ok(circuit.save(path)?))?;
    }
    begun.draw(PLOT, &found.plot(false)?, arguments.plot.as_ref())?;
    if settings.damage.edges {
        begun.keep("edge_plot", EDGE_PLOT, found.plot(true)?.as_bytes())?;
    }
    let told = Told {
        listing: found.listing()?,
        examples: None,
        object: begun.object(),
    };
    begun.finish(told, console)
}

/// What the change is split over: the channels of the sites, or the nodes of every layer.
fn fronts(network: &Network, sites: &[String]) -> Result<Vec<Front>> {
    let spec = network.spec();
    if !sites.is_empty() {
        let at = |name: &String| {
            let place = match Place::from(name.clone()) {
                Place::Input => Place::Input,
                Place::Site(name) => Place::site(spec.resolve(&name)?.name.clone()),
            };
            Ok(Front::channels(spec, &place)?)
        };
        return sites.iter().map(at).collect();
    }
    let wiring = &spec.wiring;
    if wiring.joined == Joined::Stream && !wiring.writers.is_empty() {
        return Ok(vec![Front::writers(spec)?]);
    }
    let layers = Front::layers(spec)?;
    if !layers.is_empty() {
        return Ok(layers);
    }
    let mut names: Vec<&str> = spec.sites.iter().map(|site| site.name.as_str()).collect();
    names.retain(|name| name.ends_with("hook_out"));
    // The last are the logits, where a change is its own share.
    names.pop();
    let at = |name: &&str| Front::channels(spec, &Place::site(*name));
    let fronts: Result<Vec<Front>, _> = names.iter().map(at).collect();
    let fronts = fronts?;
    fronts
        .first()
        .with_context(|| format!("the {} has no site before its logits", spec.name))?;
    Ok(fronts)
}
