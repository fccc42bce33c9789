//! What stands in for what a cut edge carried.

mod optimal;

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use mr_models::{Input, Model, Wiring, run_with_cache};

use crate::error::CircuitError;
use crate::layered::{Layered, Linked};

pub use optimal::optimal_ablation;

/// What a reader gets over a cut edge instead of what its writer wrote.
#[derive(Debug, Clone)]
pub enum Ablation {
    /// Nothing.
    Zero,
    /// What the writer wrote in the mean over these inputs and all positions.
    Mean(Input),
    /// The same, position by position.
    PositionalMean(Input),
    /// What it wrote for this input, example by example: the corrupt one of a pair (Chan et al. 2022).
    Resample(Input),
    /// A constant for each writer, by site (`input` for the channels of an input), that [`optimal_ablation`]
    /// learned (Li & Janson 2024). Between layers it stands in at every place of a map.
    Optimal(BTreeMap<String, Vec<f32>>),
}

impl Ablation {
    /// Its name in records: `zero`, `mean`, `positional-mean`, `resample`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Mean(_) => "mean",
            Self::PositionalMean(_) => "positional-mean",
            Self::Resample(_) => "resample",
            Self::Optimal(_) => "optimal",
        }
    }

    /// By site of a writer, what stands in, each `[batch, position, channel]` with 1 for axes that all
    /// share.
    pub(crate) fn values(
        &self,
        model: &dyn Model,
        wiring: &Wiring,
    ) -> Result<BTreeMap<String, Tensor<3>>, CircuitError> {
        let sites: Vec<&str> = wiring.writers.iter().map(|p| p.site.as_str()).collect();
        self.at(model, &sites)
    }

    /// The same by any site.
    pub(crate) fn at(
        &self,
        model: &dyn Model,
        sites: &[&str],
    ) -> Result<BTreeMap<String, Tensor<3>>, CircuitError> {
        let (input, mean) = match self {
            Self::Zero => {
                let zero = |site: &str| -> Result<_, CircuitError> {
                    let channels = model.spec().site(site)?.channels;
                    let zeros = Tensor::zeros([1, 1, channels], &model.device());
                    Ok((site.to_string(), zeros))
                };
                return sites.iter().copied().map(zero).collect();
            }
            Self::Optimal(constants) => {
                let of = |site: &str| -> Result<_, CircuitError> {
                    let channels = model.spec().site(site)?.channels;
                    Ok((site.to_string(), held(constants, site, channels, model)?))
                };
                return sites.iter().copied().map(of).collect();
            }
            Self::Mean(input) => (input, &[0, 1][..]),
            Self::PositionalMean(input) => (input, &[0][..]),
            Self::Resample(input) => (input, &[][..]),
        };
        let (_, cache) = run_with_cache(model, input, sites)?;
        let of = |site: &str| -> Result<_, CircuitError> {
            let written = cache.get(site)?.clone();
            let written = mean.iter().fold(written, |all, &axis| all.mean_dim(axis));
            Ok((site.to_string(), written))
        };
        sites.iter().copied().map(of).collect()
    }

    /// By joint of layers, what is sent instead, `[batch, writer, height, width]` with 1 for axes that all
    /// share. Positions of a mean are those of the map.
    pub(crate) fn sent(
        &self,
        model: &dyn Model,
        layered: &Layered,
    ) -> Result<Vec<Tensor<4>>, CircuitError> {
        let (input, mean) = match self {
            Self::Zero => {
                let zero = Tensor::zeros([1, 1, 1, 1], &model.device());
                return Ok(vec![zero; layered.joints.len()]);
            }
            Self::Optimal(constants) => {
                let of = |linked: &Linked| -> Result<_, CircuitError> {
                    let [written, _] = &linked.sites;
                    let held = held(constants, &written.name, written.channels, model)?;
                    Ok(held.swap_dims(1, 2).unsqueeze_dim(3))
                };
                return layered.joints.iter().map(of).collect();
            }
            Self::Mean(input) => (input, &[0, 2, 3][..]),
            Self::PositionalMean(input) => (input, &[0][..]),
            Self::Resample(input) => (input, &[][..]),
        };
        model.spec().accepts(input)?;
        let (_, cache) = run_with_cache(model, input, &layered.written())?;
        let sent = layered.sent(input, &cache)?.into_iter();
        let over = |sent: Tensor<4>| mean.iter().fold(sent, |all, &axis| all.mean_dim(axis));
        Ok(sent.map(over).collect())
    }
}

/// The constants of a site `[1, 1, channel]`.
fn held(
    constants: &BTreeMap<String, Vec<f32>>,
    site: &str,
    channels: usize,
    model: &dyn Model,
) -> Result<Tensor<3>, CircuitError> {
    let held = constants.get(site).filter(|held| held.len() == channels);
    let held = held.ok_or_else(|| CircuitError::Foreign {
        network: model.spec().name.clone(),
        reason: format!("the ablation has no {channels} constants for `{site}`"),
    })?;
    let data = TensorData::new(held.clone(), [1, 1, channels]);
    Ok(Tensor::from_data(data, &model.device()))
}
