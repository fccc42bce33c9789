//! Attribution patching of nodes.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use mr_models::{
    Labels, Model, ModelError, Objective, Region, Tap, floats, run_with_cache,
    value_and_grad_reading,
};

use crate::error::CircuitError;
use crate::pair::Pair;

/// What patching one region of one site from the corrupt run into the clean one would change about the
/// objective, by its gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeScore {
    /// The site's name.
    pub site: String,
    /// The part of it.
    pub region: Region,
    /// The mean over the batch.
    pub score: f32,
}

/// Attribution patching (Nanda 2023): of each region `(corrupt - clean) . d objective / d activation` at the
/// clean input, averaged over the batch. Two forward passes and one backward pass for any number of regions;
/// [`Sweep::patch`](crate::Sweep::patch) in the direction [`Noise`](crate::Direction::Noise) is what it stands
/// in for.
///
/// # Errors
/// [`CircuitError::Model`] for an unknown site or a region that it does not have, or inputs and objectives that
/// do not fit; [`CircuitError::Node`] if activations or gradients are not finite.
pub fn node_attribution(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    nodes: &[(String, Region)],
) -> Result<Vec<NodeScore>, CircuitError> {
    let taken = Taken::of(model, pair, labels, objective, nodes, &[])?;
    nodes
        .iter()
        .map(|node| taken.score(node, taken.linear(node)))
        .collect()
}

/// The activations of both runs, and the gradients of the clean one, at the sites of some nodes and others.
pub(super) struct Taken {
    pub(super) clean: BTreeMap<String, Tensor<3>>,
    pub(super) corrupt: BTreeMap<String, Tensor<3>>,
    pub(super) gradients: BTreeMap<String, Tensor<3>>,
    pub(super) batch: usize,
}

impl Taken {
    pub(super) fn of(
        model: &dyn Model,
        pair: &Pair,
        labels: &Labels,
        objective: &dyn Objective,
        nodes: &[(String, Region)],
        others: &[String],
    ) -> Result<Self, CircuitError> {
        let spec = model.spec();
        spec.accepts(pair.clean())?;
        spec.accepts(pair.corrupt())?;
        for (site, region) in nodes {
            region.fits(spec.site(site)?)?;
        }
        let mut sites: Vec<&str> = nodes.iter().map(|(site, _)| site.as_str()).collect();
        sites.extend(others.iter().map(String::as_str));
        sites.sort_unstable();
        sites.dedup();
        let (_, corrupt) = run_with_cache(model, pair.corrupt(), &sites)?;
        // What is patched is the difference of two runs of one kind: equal inputs differ in nothing.
        let (_, clean) = run_with_cache(model, pair.clean(), &sites)?;
        let taps = sites.iter().map(|&site| Tap {
            site: site.into(),
            added: None,
        });
        let taps: Vec<Tap> = taps.collect();
        let read: &[&str] = &[];
        let (found, _) =
            value_and_grad_reading(model, pair.clean(), labels, objective, false, &taps, read)?;
        let all = |cache: &mr_models::Cache| -> BTreeMap<String, Tensor<3>> {
            let all = cache.iter();
            all.map(|(site, held)| (site.to_string(), held.clone()))
                .collect()
        };
        let gradients = sites.iter();
        Ok(Self {
            clean: all(&clean),
            corrupt: all(&corrupt),
            gradients: gradients
                .map(|&site| (site.to_string(), found.site(site).clone()))
                .collect(),
            batch: pair.clean().batch().max(1),
        })
    }

    /// The change along the gradient, summed over the region and the batch.
    pub(super) fn linear(&self, (site, region): &(String, Region)) -> f32 {
        let change = self.corrupt[site].clone() - self.clean[site].clone();
        let along = change * self.gradients[site].clone();
        floats(region.cut(&along).sum())[0]
    }

    pub(super) fn score(
        &self,
        (site, region): &(String, Region),
        sum: f32,
    ) -> Result<NodeScore, CircuitError> {
        if !sum.is_finite() {
            return Err(CircuitError::Node {
                site: site.clone(),
                score: sum,
            });
        }
        Ok(NodeScore {
            site: site.clone(),
            region: region.clone(),
            score: sum / self.batch as f32,
        })
    }
}

/// The error for a node that is no whole head.
pub(super) fn no_head(site: &str, region: &Region) -> CircuitError {
    ModelError::Unfit(format!(
        "`{site}{region}` is no head: queries and keys are patched by whole heads"
    ))
    .into()
}
