//! What each latent, and each error, does to an objective.

use burn::tensor::Tensor;
use mr_models::{
    Labels, Model, Objective, Place, Tap, floats, run_with_cache, value_and_grad, value_and_grad_at,
};
use mr_sae::samples;
use serde::{Deserialize, Serialize};

use super::{DictionaryAt, FeatureNode, check};
use crate::error::CircuitError;
use crate::pair::Pair;

/// A node's effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureEffect {
    /// The node.
    pub node: FeatureNode,
    /// The change of the objective that its change brings, to first order or along a path: the mean over the batch.
    pub effect: f64,
}

/// The effect of every node: `(corrupt - clean) . d objective / d node` at the clean input where `steps` is 0 (attribution
/// patching), else with gradients averaged over so many points of the straight path between both activations of its site
/// (integrated gradients), Marks et al. 2024, section 3.1. The effects of a site's nodes sum to that of the site. Largest first,
/// by absolute value; of equal ones in the order of sites and latents.
///
/// # Errors
/// [`CircuitError::Model`] where a dictionary does not fit its site, or inputs and objective the model;
/// [`CircuitError::Node`] if an effect is not finite.
pub fn feature_effects(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    dictionaries: &[DictionaryAt],
    steps: usize,
) -> Result<Vec<FeatureEffect>, CircuitError> {
    check(model, dictionaries)?;
    let sites: Vec<&str> = dictionaries.iter().map(|at| at.site.as_str()).collect();
    let (_, clean) = run_with_cache(model, pair.clean(), &sites)?;
    let (_, corrupt) = run_with_cache(model, pair.corrupt(), &sites)?;
    let mut found = Vec::new();
    for at in dictionaries {
        let (before, after) = (clean.get(&at.site)?, corrupt.get(&at.site)?);
        let slope = slope(model, pair, labels, objective, at, (before, after), steps)?;
        let change = after.clone() - before.clone();
        let codes = samples(at.codes(after) - at.codes(before));
        let directions = at.dictionary.directions();
        let batch = before.dims()[0] as f64;
        let slope = samples(slope);
        let along = slope.clone().matmul(directions.clone().transpose());
        let by_latent = floats((codes.clone() * along).sum_dim(0));
        // Whatever normalisation and rounding leave is the error's, so that the parts are the whole.
        let missed = samples(change) - codes.matmul(directions);
        let error = floats((missed * slope).sum());
        let effects = by_latent.into_iter().chain(error);
        for (node, effect) in at.nodes().zip(effects) {
            if !effect.is_finite() {
                return Err(CircuitError::Node {
                    site: node.to_string(),
                    score: effect,
                });
            }
            found.push(FeatureEffect {
                node,
                effect: f64::from(effect) / batch,
            });
        }
    }
    found.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
    Ok(found)
}

/// Errors, and the latents that are on anywhere in a clean or a corrupt input, in the order of sites and latents: ablating any
/// other to what it is, 0, changes nothing.
///
/// # Errors
/// As [`feature_effects`].
pub fn active_nodes(
    model: &dyn Model,
    pair: &Pair,
    dictionaries: &[DictionaryAt],
) -> Result<Vec<FeatureNode>, CircuitError> {
    check(model, dictionaries)?;
    let sites: Vec<&str> = dictionaries.iter().map(|at| at.site.as_str()).collect();
    let (_, clean) = run_with_cache(model, pair.clean(), &sites)?;
    let (_, corrupt) = run_with_cache(model, pair.corrupt(), &sites)?;
    let mut active = Vec::new();
    for at in dictionaries {
        let mass = |activation: &Tensor<3>| samples(at.codes(activation)).abs().sum_dim(0);
        let mass = mass(clean.get(&at.site)?) + mass(corrupt.get(&at.site)?);
        let mass = floats(mass).into_iter().chain([1.0]);
        let nodes = at.nodes().zip(mass).filter(|(_, mass)| *mass > 0.0);
        active.extend(nodes.map(|(node, _)| node));
    }
    Ok(active)
}

/// The slope of the objective at a site `[batch, position, channel]`.
fn slope(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    at: &DictionaryAt,
    (before, after): (&Tensor<3>, &Tensor<3>),
    steps: usize,
) -> Result<Tensor<3>, CircuitError> {
    let place = [Place::site(&at.site)];
    if steps == 0 {
        let found = value_and_grad(model, pair.clean(), labels, objective, &place)?;
        return Ok(found.site(&at.site).clone());
    }
    let mut slope = Tensor::zeros(before.dims(), &before.device());
    for step in 0..steps {
        let along = (step as f32 + 0.5) / steps as f32;
        // Added to the clean run, which is at `before` there; an input may be shorter than the model's context.
        let tap = Tap {
            site: at.site.clone(),
            added: Some((after.clone() - before.clone()) * along),
        };
        let found = value_and_grad_at(model, pair.clean(), labels, objective, false, &[tap])?;
        slope = slope + found.site(&at.site).clone() / steps as f32;
    }
    Ok(slope)
}
