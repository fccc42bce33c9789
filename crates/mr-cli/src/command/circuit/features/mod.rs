//! `mr circuit features`.

mod curve;
mod result;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use mr_circuits::{
    DictionaryAt, FeatureAblation, FeatureEdge, FeatureEffect, FeatureNode, active_nodes,
    feature_edges, feature_effects,
};
use mr_metrics::RecordKind;
use mr_models::{Model, Network, Objective};
use serde_json::json;

use super::given::{Given, PairFlags};
use crate::command::sae::ManyFlags;
use crate::console::{Console, Outcome};
use crate::opened::Told;
use crate::output::writable;
use crate::settings::Common;
use crate::subject::NetworkFlags;
use curve::Curves;
use result::Found;

/// Name of the plot that lies beside a record.
const PLOT: &str = "faithfulness.svg";
/// Name of all effects and edges that lie beside a record.
const CIRCUIT: &str = "features.json";

/// Find the latents of dictionaries, one a site, that carry what differs between two inputs
///
/// A sparse feature circuit (Marks et al. 2024): nodes are the latents of a dictionary at each site, and what the dictionary
/// misses there, its error. A node's effect is its change from the clean to the corrupt input times the slope of the objective,
/// averaged over the path between both (integrated gradients); the effects at a site add up to the change of the objective, as
/// far as all of it passes there. Then the network runs on the strongest nodes alone, more and more of them, every other latent
/// at its mean over the corrupt inputs and their positions: faithfulness is 1 where that does what the network does, and 0 where it does what is
/// left with none. The same nodes in random order are the control. With dictionaries at several sites the edges between the
/// strongest are told too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr attack --model runs/half --epsilon 0.1 --save pair.safetensors
  mr circuit features --model runs/half --pair pair.safetensors --dictionary runs/dictionary --plot faithful.svg
  mr circuit features --model runs/half --pair pair.safetensors --dictionary runs/conv1 --dictionary runs/conv2 \\
    --top 30 --out runs/features
  mr circuit features --model runs/bard --dictionary runs/three/top-k-16.safetensors --clean 'To be or' --corrupt 'To go or' \\
    --right ' not' --wrong ' to' --json
  mr circuit features --model runs/induction --dictionary runs/latents --limit 100 --ablation zero")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    #[command(flatten)]
    given: PairFlags,
    #[command(flatten)]
    dictionary: ManyFlags,
    /// Points of the path that gradients are averaged over; 0 for the clean input alone
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        help_heading = "Features"
    )]
    steps: usize,
    /// What latents that are not kept become: mean (over the corrupt inputs) or zero
    #[arg(
        long,
        value_name = "NAME",
        default_value = "mean",
        help_heading = "Features"
    )]
    ablation: String,
    /// How many of the strongest nodes are told, with the edges between them
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        help_heading = "Features"
    )]
    top: usize,
    /// Random orders of the same nodes
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Features")]
    random: usize,
    #[command(flatten)]
    common: Common,
    /// Write a plot of faithfulness by number of nodes into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    writable("--plot", arguments.plot.as_ref())?;
    if arguments.top == 0 {
        bail!("--top 0: must be at least 1");
    }
    let opened = arguments
        .given
        .open(&arguments.on, &arguments.common, |_| Ok(()))?;
    let (network, given) = (&opened.subject.network, &opened.data);
    let dictionaries = arguments.dictionaries(network)?;
    let ablation = match arguments.ablation.as_str() {
        "zero" => FeatureAblation::Zero,
        "mean" => FeatureAblation::Mean(given.pair.corrupt().clone()),
        other => bail!("--ablation {other}: valid: mean, zero"),
    };
    let objective = opened.objective()?;
    let objective = objective.as_ref();
    let sites: Vec<&str> = dictionaries.iter().map(|at| at.site.as_str()).collect();
    let config = json!({
        "objective": objective.name(),
        "dictionaries": arguments.dictionary.dictionary,
        "sites": sites,
        "features": {
            "steps": arguments.steps,
            "ablation": arguments.ablation,
            "top": arguments.top,
            "random": arguments.random,
        },
    });
    let mut begun = opened.begin(RecordKind::CircuitFeatures, config)?;
    let effects = feature_effects(
        network,
        &given.pair,
        &given.labels,
        objective,
        &dictionaries,
        arguments.steps,
    )?;
    let top = effects.iter().filter(|one| one.effect != 0.0);
    let top: Vec<FeatureNode> = top
        .take(arguments.top)
        .map(|one| one.node.clone())
        .collect();
    if top.is_empty() {
        bail!(
            "no latent of {} differs between the clean and the corrupt inputs with an effect on {}: is the dictionary of \
             activations like these?",
            sites.join(", "),
            objective.name()
        );
    }
    // What is the same in both inputs has no effect, but is not nothing.
    let active: BTreeSet<FeatureNode> = active_nodes(network, &given.pair, &dictionaries)?
        .into_iter()
        .collect();
    let nodes = effects.iter().map(|one| one.node.clone());
    let nodes: Vec<FeatureNode> = nodes.filter(|node| active.contains(node)).collect();
    let edges = edges(network, given, objective, &dictionaries, &top)?;
    let curves = Curves::of(
        &opened,
        objective,
        &dictionaries,
        &ablation,
        &nodes,
        arguments.random,
        console,
    )?;
    let found = Found {
        title: format!("{}: {}", objective.name(), opened.title()),
        sites: &dictionaries,
        change: change(network, given, objective)?,
        effects: &effects,
        top: top.len(),
        edges: &edges,
        curves: &curves,
    };
    found.fill(&mut begun.record)?;
    let all: Vec<&FeatureEffect> = effects.iter().filter(|one| one.effect != 0.0).collect();
    let kept = json!({ "nodes": all, "edges": edges });
    begun.keep("features", CIRCUIT, &serde_json::to_vec(&kept)?)?;
    begun.draw(PLOT, &found.plot(), arguments.plot.as_ref())?;
    let mut object = begun.object();
    object["nodes"] = json!(&effects[..top.len()]);
    object["edges"] = json!(edges);
    let told = Told {
        listing: found.listing(),
        examples: Some(found.strongest()),
        object,
    };
    begun.finish(told, console)
}

impl Arguments {
    /// The dictionaries at their sites, in forward order.
    fn dictionaries(&self, network: &Network) -> Result<Vec<DictionaryAt>> {
        let paths = self.dictionary.paths()?;
        if let (Some(site), [_, second, ..]) = (&self.dictionary.place.site, paths.as_slice()) {
            bail!(
                "--site {site}: {} dictionaries cannot read one site; leave --site out, or give one --dictionary ({})",
                paths.len(),
                second.display()
            );
        }
        let spec = network.spec();
        let mut all: Vec<(usize, DictionaryAt)> = Vec::new();
        for path in &paths {
            let placed = self.dictionary.place.place(network, path)?;
            placed.at_one_site(path, "a feature circuit")?;
            let site = placed.writes;
            let place = spec.sites.iter().position(|known| known.name == site);
            let place = place.expect("a placed dictionary has its site");
            if all.iter().any(|(other, _)| *other == place) {
                bail!(
                    "--dictionary {}: another one reads {site} already: one a site",
                    path.display()
                );
            }
            let dictionary = Arc::new(placed.sae);
            all.push((place, DictionaryAt { site, dictionary }));
        }
        all.sort_by_key(|(place, _)| *place);
        Ok(all.into_iter().map(|(_, at)| at).collect())
    }
}

/// The edges between nodes of neighbouring sites, the strongest first.
fn edges(
    network: &Network,
    given: &Given,
    objective: &dyn Objective,
    dictionaries: &[DictionaryAt],
    nodes: &[FeatureNode],
) -> Result<Vec<FeatureEdge>> {
    let mut edges = Vec::new();
    for two in dictionaries.windows(2) {
        edges.extend(feature_edges(
            network,
            &given.pair,
            &given.labels,
            objective,
            [&two[0], &two[1]],
            nodes,
        )?);
    }
    edges.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
    Ok(edges)
}

/// The objective's mean over the clean inputs, and over the corrupt ones.
fn change(network: &Network, given: &Given, objective: &dyn Objective) -> Result<[f64; 2]> {
    let mean = |input| -> Result<f64> {
        let values = mr_models::values_at(network, input, &given.labels, objective, &[])?.0;
        let values = mr_models::floats(values);
        Ok(values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64)
    };
    Ok([mean(given.pair.clean())?, mean(given.pair.corrupt())?])
}
