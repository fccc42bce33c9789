//! What a network does with some latents alone.

use std::sync::Arc;

use mr_models::{Input, Labels, Model, Objective, floats, run_with_cache, values_at};
use mr_sae::{ErrorTerm, LatentChange, LatentEdit, Splice, Spliced, samples};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{DictionaryAt, FeatureNode, check};
use crate::error::CircuitError;

/// What becomes of a latent outside of the circuit.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one value lives as long as a measurement"
)]
pub enum FeatureAblation {
    /// 0.
    Zero,
    /// Its mean over these inputs and their positions.
    Mean(Input),
}

/// The objective's means over a batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FeatureFaithfulness {
    /// Nodes that are kept.
    pub nodes: usize,
    /// Of the network itself.
    pub network: f64,
    /// With the circuit's nodes alone.
    pub circuit: f64,
    /// With none.
    pub none: f64,
}

impl FeatureFaithfulness {
    /// `(circuit - none) / (network - none)`: 1 where the circuit does what the network does. NaN where the nodes together do
    /// nothing.
    pub fn faithfulness(&self) -> f64 {
        if self.network == self.none {
            return f64::NAN;
        }
        (self.circuit - self.none) / (self.network - self.none)
    }
}

/// Runs a network on the kept nodes alone: other latents are ablated, and an error that is not kept is gone.
///
/// # Errors
/// [`CircuitError::Model`] where dictionaries, input or objective do not fit the model.
pub fn feature_faithfulness(
    model: &dyn Model,
    input: &Input,
    labels: &Labels,
    objective: &dyn Objective,
    dictionaries: &[DictionaryAt],
    kept: &[FeatureNode],
    ablation: &FeatureAblation,
) -> Result<FeatureFaithfulness, CircuitError> {
    let ablated = Ablated::new(model, input, labels, objective, dictionaries, ablation)?;
    ablated.with(kept)
}

/// A network whose nodes can be ablated but for some, and what it does with all and with none.
pub struct Ablated<'a> {
    model: &'a dyn Model,
    input: &'a Input,
    labels: &'a Labels,
    objective: &'a dyn Objective,
    dictionaries: &'a [DictionaryAt],
    /// What becomes of the latents of each dictionary that are not kept.
    rest: Vec<Vec<f32>>,
    network: f64,
    none: f64,
}

impl<'a> Ablated<'a> {
    /// Runs the network, and what ablation leaves of it.
    ///
    /// # Errors
    /// As [`feature_faithfulness`].
    pub fn new(
        model: &'a dyn Model,
        input: &'a Input,
        labels: &'a Labels,
        objective: &'a dyn Objective,
        dictionaries: &'a [DictionaryAt],
        ablation: &FeatureAblation,
    ) -> Result<Self, CircuitError> {
        check(model, dictionaries)?;
        let mut rest = Vec::with_capacity(dictionaries.len());
        for at in dictionaries {
            rest.push(match ablation {
                FeatureAblation::Zero => vec![0.0; at.dictionary.d_sae()],
                FeatureAblation::Mean(inputs) => {
                    let (_, cache) = run_with_cache(model, inputs, &[&at.site])?;
                    floats(samples(at.codes(cache.get(&at.site)?)).mean_dim(0))
                }
            });
        }
        let mut ablated = Self {
            model,
            input,
            labels,
            objective,
            dictionaries,
            rest,
            network: mean(model, input, labels, objective)?,
            none: f64::NAN,
        };
        ablated.none = ablated.value(&[])?;
        Ok(ablated)
    }

    /// How faithful the network is with these nodes alone.
    ///
    /// # Errors
    /// As [`feature_faithfulness`].
    pub fn with(&self, kept: &[FeatureNode]) -> Result<FeatureFaithfulness, CircuitError> {
        Ok(FeatureFaithfulness {
            nodes: kept.len(),
            network: self.network,
            circuit: self.value(kept)?,
            none: self.none,
        })
    }

    fn value(&self, kept: &[FeatureNode]) -> Result<f64, CircuitError> {
        let splices = self.dictionaries.iter().zip(&self.rest);
        let splices = splices.map(|(at, rest)| splice(at, rest, kept)).collect();
        let model = Spliced::new(self.model, splices)?;
        mean(&model, self.input, self.labels, self.objective)
    }
}

/// The nodes in a random order: what a ranking is held against.
pub fn shuffled_nodes(nodes: &[FeatureNode], seed: u64) -> Vec<FeatureNode> {
    let mut nodes = nodes.to_vec();
    nodes.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    nodes
}

fn splice(at: &DictionaryAt, rest: &[f32], kept: &[FeatureNode]) -> Splice {
    let mine = kept.iter().filter(|node| node.site() == at.site);
    let (mut error, mut keeps) = (ErrorTerm::Dropped, vec![false; rest.len()]);
    for node in mine {
        match node {
            FeatureNode::Error { .. } => error = ErrorTerm::Kept,
            FeatureNode::Latent { latent, .. } => {
                if let Some(keeps) = keeps.get_mut(*latent) {
                    *keeps = true;
                }
            }
        }
    }
    let latents: Vec<usize> = (0..rest.len()).filter(|&latent| !keeps[latent]).collect();
    let values = latents.iter().map(|&latent| rest[latent]).collect();
    Splice::new(Arc::clone(&at.dictionary), &at.site, error).edited(LatentEdit {
        latents: Some(latents),
        positions: None,
        change: LatentChange::Become { values },
    })
}

fn mean(
    model: &dyn Model,
    input: &Input,
    labels: &Labels,
    objective: &dyn Objective,
) -> Result<f64, CircuitError> {
    let values = floats(values_at(model, input, labels, objective, &[])?.0);
    Ok(values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64)
}
