//! What takes the place of what is cut.

use anyhow::{Result, bail};
use mr_circuits::{Ablation, Pair, optimal_ablation};
use mr_models::{Edge, Network};

use crate::console::Console;

/// The names that [`unlearned`] knows.
pub(super) const UNLEARNED: &str = "zero, mean, positional-mean, resample";
/// Steps and learning rate of constants.
const OPTIMAL: (usize, f32) = (200, 0.05);
/// What a cut edge carries, by name; constants are learned for these edges.
pub(super) fn ablation(
    name: &str,
    network: &Network,
    pair: &Pair,
    edges: &[Edge],
    console: &Console,
) -> Result<Ablation> {
    if name == "optimal" {
        let bar = console.bar("constants", OPTIMAL.0);
        let told = &mut |done, _| bar.at(done, String::new);
        let input = pair.clean();
        return Ok(optimal_ablation(
            network, input, edges, OPTIMAL.0, OPTIMAL.1, told,
        )?);
    }
    match unlearned(name, pair) {
        Some(ablation) => Ok(ablation),
        None => bail!("--ablation {name}: valid: {UNLEARNED}, optimal"),
    }
}

/// What takes the place of an activation, by name, where nothing is learned.
pub(super) fn unlearned(name: &str, pair: &Pair) -> Option<Ablation> {
    match name {
        "zero" => Some(Ablation::Zero),
        "mean" => Some(Ablation::Mean(pair.corrupt().clone())),
        "positional-mean" => Some(Ablation::PositionalMean(pair.corrupt().clone())),
        "resample" => Some(Ablation::Resample(pair.corrupt().clone())),
        _ => None,
    }
}
