//! What passes between latents of two sites.

use burn::tensor::Tensor;
use mr_models::{
    Cache, Labels, Model, ModelError, ModelSpec, Objective, Place, floats, run_with_cache,
    value_and_grad,
};
use mr_sae::{Dictionary, samples};
use serde::{Deserialize, Serialize};

use super::{DictionaryAt, FeatureNode, check};
use crate::error::CircuitError;
use crate::pair::Pair;

/// An edge from a latent, or an error, to a latent of a later site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureEdge {
    /// Where it comes from.
    pub from: FeatureNode,
    /// Where it goes.
    pub to: FeatureNode,
    /// The part of the lower node's change in the upper node's effect.
    pub effect: f64,
}

/// A latent's code, weighed by what the objective gains from it, which is a constant.
struct Weighed<'a> {
    dictionary: &'a dyn Dictionary,
    site: &'a str,
    latent: usize,
    /// `[batch, position]`.
    weights: Tensor<2>,
}

impl Objective for Weighed<'_> {
    fn name(&self) -> String {
        format!("weighed latent {} of {}", self.latent, self.site)
    }

    fn sites(&self) -> Vec<String> {
        vec![self.site.to_string()]
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        spec.site(self.site).map(|_| ())
    }

    fn value(&self, _logits: &Tensor<3>, cache: &Cache, _labels: &Labels) -> Tensor<1> {
        let activation = cache.expect(self.site).clone();
        let [batch, positions, _] = activation.dims();
        let code = self.dictionary.encode(samples(activation));
        let code = code.narrow(1, self.latent, 1).reshape([batch, positions]);
        (code * self.weights.clone()).sum_dim(1).squeeze_dim(1)
    }
}

/// The edges between some latents of two sites, first order at the clean input (Marks et al. 2024, section 3.1): the slope of
/// the objective along what the upper latent writes, times the slope of its code by what the lower one writes, times the lower
/// one's change. With no dictionary between both sites that is all that passes; with others between, paths through these count
/// too. One backward pass for each upper latent. Nodes of other sites are not looked at; lower errors are, upper ones not.
///
/// # Errors
/// As [`feature_effects`](super::feature_effects).
pub fn feature_edges(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    [lower, upper]: [&DictionaryAt; 2],
    nodes: &[FeatureNode],
) -> Result<Vec<FeatureEdge>, CircuitError> {
    check(model, &[lower.clone(), upper.clone()])?;
    let sites = [&lower.site, &upper.site];
    let (_, clean) = run_with_cache(model, pair.clean(), &sites)?;
    let (_, corrupt) = run_with_cache(model, pair.corrupt(), &sites)?;
    let (before, after) = (clean.get(&lower.site)?, corrupt.get(&lower.site)?);
    let codes = samples(lower.codes(after) - lower.codes(before));
    let directions = lower.dictionary.directions();
    let missed = samples(after.clone() - before.clone()) - codes.clone().matmul(directions.clone());
    let place = [Place::site(&upper.site)];
    let found = value_and_grad(model, pair.clean(), labels, objective, &place)?;
    let slope = found.site(&upper.site).clone();
    let [batch, positions, _] = slope.dims();
    let along = samples(slope).matmul(upper.dictionary.directions().transpose());
    let mut edges = Vec::new();
    for to in nodes {
        let FeatureNode::Latent { site, latent } = to else {
            continue;
        };
        if *site != upper.site {
            continue;
        }
        if *latent >= upper.dictionary.d_sae() {
            return Err(ModelError::Unfit(format!(
                "latent {latent} of `{site}`: the dictionary has {}, counted from 0",
                upper.dictionary.d_sae()
            ))
            .into());
        }
        let weights = along
            .clone()
            .narrow(1, *latent, 1)
            .reshape([batch, positions]);
        let weighed = Weighed {
            dictionary: upper.dictionary.as_ref(),
            site: &upper.site,
            latent: *latent,
            weights,
        };
        let place = [Place::site(&lower.site)];
        let found = value_and_grad(model, pair.clean(), labels, &weighed, &place)?;
        let slope = samples(found.site(&lower.site).clone());
        let reach = slope.clone().matmul(directions.clone().transpose());
        let by_latent = floats((codes.clone() * reach).sum_dim(0));
        let error = floats((missed.clone() * slope).sum());
        let effects: Vec<f32> = by_latent.into_iter().chain(error).collect();
        for (from, effect) in lower.nodes().zip(effects) {
            if nodes.contains(&from) {
                edges.push(FeatureEdge {
                    from,
                    to: to.clone(),
                    effect: f64::from(effect) / batch as f64,
                });
            }
        }
    }
    edges.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
    Ok(edges)
}
