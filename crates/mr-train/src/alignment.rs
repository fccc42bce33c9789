//! Distributed alignment search.

use burn::tensor::{Device, Tensor, TensorData};
use mr_circuits::{Aligned, Interchange, Subspace, Task};
use mr_models::objective::cross_entropy;
use mr_models::{Hook, Input, Model, Region, Site, class_tensor, floats, run_with_cache};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::adam::{Adam, cosine};
use crate::error::{TrainError, above_0};
use crate::pools::Pools;
use crate::random::generator;

/// How an alignment is searched for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlignmentConfig {
    /// Seed of the first directions and of the order of interchanges.
    pub seed: u64,
    /// Steps.
    pub steps: usize,
    /// Interchanges per step.
    pub batch_size: usize,
    /// Learning rate at the first step; it falls to 0 by a cosine.
    pub lr: f64,
}

impl Default for AlignmentConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            steps: 200,
            batch_size: 64,
            lr: 0.05,
        }
    }
}

/// What was found, and how the search went.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedAlignment {
    /// A subspace for each variable, at right angles to each other.
    pub alignment: Vec<Aligned>,
    /// Mean loss of each twentieth of the steps.
    pub losses: Vec<f32>,
}

/// Searches for subspaces of a site that hold variables of a causal model, so many dimensions for each
/// (Geiger et al. 2023, distributed alignment search): directions are turned until the network, with the
/// subspaces exchanged, answers as the model does, by the cross-entropy of the answer at the last position.
///
/// The orthogonal map is parametrised by directions without constraint, which Gram and Schmidt make
/// orthonormal at every step (the paper's code uses PyTorch's orthogonal parametrisation); only the
/// directions that are used are kept. The network's weights stay as they are. One thread, and the same bits
/// for the same seed.
///
/// # Errors
/// [`TrainError::Setting`] for a setting outside its range, or more dimensions than channels;
/// [`TrainError::Circuit`] if the causal model does not fit; [`TrainError::Diverged`] at a loss that is not
/// finite.
pub fn fit_alignment(
    model: &dyn Model,
    task: &Task<'_>,
    site: &str,
    region: &Region,
    variables: &[(String, usize)],
    interchanges: &[Interchange],
    config: &AlignmentConfig,
) -> Result<FittedAlignment, TrainError> {
    above_0("lr", config.lr)?;
    if config.batch_size == 0 || interchanges.is_empty() {
        let given = config.batch_size.min(interchanges.len());
        return Err(TrainError::setting("batch_size", given, "at least 1"));
    }
    let place = model.spec().site(site)?;
    region.fits(place).map_err(TrainError::Model)?;
    let [_, channels] = region.size(place);
    let dimensions: usize = variables.iter().map(|(_, dimensions)| dimensions).sum();
    if dimensions > channels || variables.iter().any(|(_, dimensions)| *dimensions == 0) {
        let valid = format!("1 or more for each variable, together at most {channels}");
        return Err(TrainError::setting("dimensions", dimensions, valid));
    }
    Pools::new(1)?.alone(|| {
        let search = Search {
            model,
            site,
            region,
            channels,
            sizes: variables.iter().map(|(_, size)| *size).collect(),
            answers: answers(task, variables, interchanges)?,
            bases: interchanges.iter().map(|one| one.base.clone()).collect(),
            sources: sources(model, task, site, region, variables.len(), interchanges)?,
            encode: task.encode,
        };
        let (directions, losses) = search.descend(config)?;
        let whole = Subspace::spanned(&directions, channels)?;
        let mut rows = whole.basis().chunks_exact(channels);
        let one = |(name, size): &(String, usize)| {
            let mine: Vec<f32> = rows.by_ref().take(*size).flatten().copied().collect();
            Ok(Aligned {
                variable: name.clone(),
                site: site.into(),
                region: region.clone(),
                subspace: Some(Subspace::spanned(&mine, channels)?),
            })
        };
        let alignment = variables
            .iter()
            .map(one)
            .collect::<Result<_, TrainError>>()?;
        Ok(FittedAlignment { alignment, losses })
    })
}

/// What the causal model answers under each interchange.
fn answers(
    task: &Task<'_>,
    variables: &[(String, usize)],
    interchanges: &[Interchange],
) -> Result<Vec<usize>, TrainError> {
    let numbers = variables.iter().map(|(name, _)| task.causal.variable(name));
    let numbers: Vec<usize> = numbers.collect::<Result<_, _>>()?;
    let one = |interchange: &Interchange| {
        let pairs = numbers.iter().zip(&interchange.sources);
        let sources: Vec<(usize, &[usize])> = pairs
            .filter_map(|(&number, source)| Some((number, source.as_deref()?)))
            .collect();
        Ok(task.causal.interchanged(&interchange.base, &sources)?)
    };
    interchanges.iter().map(one).collect()
}

/// By variable, what the region holds in the runs that it is taken from, `[interchange, position,
/// channel]`; where a variable is left alone, in the base run.
fn sources(
    model: &dyn Model,
    task: &Task<'_>,
    site: &str,
    region: &Region,
    variables: usize,
    interchanges: &[Interchange],
) -> Result<Vec<Tensor<3>>, TrainError> {
    (0..variables)
        .map(|variable| {
            let source = |one: &Interchange| -> Vec<usize> {
                let source = one.sources.get(variable).and_then(Option::as_ref);
                source.unwrap_or(&one.base).clone()
            };
            let rows: Vec<Vec<usize>> = interchanges.iter().map(source).collect();
            let input = (task.encode)(&rows, &model.device());
            model.spec().accepts(&input)?;
            let (_, cache) = run_with_cache(model, &input, &[site])?;
            Ok(region.cut(cache.get(site)?))
        })
        .collect()
}

struct Search<'a> {
    model: &'a dyn Model,
    site: &'a str,
    region: &'a Region,
    channels: usize,
    /// Dimensions of each variable.
    sizes: Vec<usize>,
    answers: Vec<usize>,
    bases: Vec<Vec<usize>>,
    sources: Vec<Tensor<3>>,
    encode: &'a (dyn Fn(&[Vec<usize>], &Device) -> Input + Sync),
}

impl Search<'_> {
    /// Directions `[direction, channel]`, variable by variable, and the losses on the way.
    fn descend(&self, config: &AlignmentConfig) -> Result<(Vec<f32>, Vec<f32>), TrainError> {
        let rows: usize = self.sizes.iter().sum();
        let mut rng = generator(config.seed, "alignment", 0, 0);
        let mut directions: Vec<f64> = (0..rows * self.channels)
            .map(|_| rng.sample(StandardNormal))
            .collect();
        let mut adam = Adam::new(directions.len());
        let mut order: Vec<usize> = (0..self.answers.len()).collect();
        let batch = config.batch_size.min(order.len());
        let per_epoch = order.len() / batch;
        let mut losses = Vec::with_capacity(config.steps);
        for step in 0..config.steps {
            let (epoch, first) = (step / per_epoch, step % per_epoch * batch);
            if first == 0 {
                order.shuffle(&mut generator(config.seed, "alignment order", epoch, 0));
            }
            let (loss, gradient) = self.loss(&directions, rows, &order[first..first + batch]);
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step, loss });
            }
            losses.push(loss);
            adam.step(
                &mut directions,
                &gradient,
                cosine(config.lr, step, config.steps),
            );
        }
        let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
        let losses = losses
            .chunks(config.steps.div_ceil(20).max(1))
            .map(mean)
            .collect();
        let directions = directions.into_iter().map(|value| value as f32).collect();
        Ok((directions, losses))
    }

    /// The mean cross-entropy of some interchanges, and its gradient at the directions.
    fn loss(&self, directions: &[f64], rows: usize, picked: &[usize]) -> (f32, Vec<f64>) {
        let device = self.model.device();
        let single: Vec<f32> = directions.iter().map(|&value| value as f32).collect();
        let leaf = Tensor::<2>::from_data(TensorData::new(single, [rows, self.channels]), &device);
        let leaf = leaf.autodiff().require_grad();
        let chosen: Vec<i64> = picked.iter().map(|&at| at as i64).collect();
        let chosen = Tensor::from_data(chosen.as_slice(), &device);
        let bases: Vec<Vec<usize>> = picked.iter().map(|&at| self.bases[at].clone()).collect();
        let answers: Vec<usize> = picked.iter().map(|&at| self.answers[at]).collect();
        let mut hook = Exchanging {
            site: self.site,
            region: self.region,
            units: orthonormal(&leaf),
            sizes: &self.sizes,
            sources: self
                .sources
                .iter()
                .map(|held| held.clone().select(0, chosen.clone()))
                .collect(),
        };
        let logits = self.model.run(&(self.encode)(&bases, &device), &mut hook);
        let positions = logits.dims()[1];
        let last = logits.narrow(1, positions - 1, 1);
        let loss = cross_entropy(&last, &class_tensor(&answers, &device)).mean();
        let value = floats(loss.clone().inner())[0];
        let mut gradients = loss.backward();
        let gradient = leaf.grad_remove(&mut gradients).map_or_else(
            || vec![0.0; directions.len()],
            |slope| floats(slope).into_iter().map(f64::from).collect(),
        );
        (value, gradient)
    }
}

/// Rows made orthonormal one after the other (modified Gram-Schmidt), on the graph.
fn orthonormal(rows: &Tensor<2>) -> Vec<Tensor<2>> {
    let mut units: Vec<Tensor<2>> = Vec::with_capacity(rows.dims()[0]);
    for at in 0..rows.dims()[0] {
        let mut rest = rows.clone().narrow(0, at, 1);
        for unit in &units {
            let along = (rest.clone() * unit.clone()).sum_dim(1);
            rest = rest - unit.clone() * along;
        }
        let length = rest.clone().square().sum_dim(1).sqrt();
        units.push(rest / length);
    }
    units
}

/// Exchanges what the subspaces hold.
struct Exchanging<'a> {
    site: &'a str,
    region: &'a Region,
    units: Vec<Tensor<2>>,
    sizes: &'a [usize],
    sources: Vec<Tensor<3>>,
}

impl Hook for Exchanging<'_> {
    fn wants(&self, site: &Site) -> bool {
        site.name == self.site
    }

    fn at(&mut self, _site: &Site, activation: Tensor<3>) -> Tensor<3> {
        let activation = activation.autodiff();
        let part = self.region.cut(&activation);
        let mut exchanged = part.clone();
        let mut units = self.units.iter();
        for (&size, source) in self.sizes.iter().zip(&self.sources) {
            let mine: Vec<Tensor<2>> = units.by_ref().take(size).cloned().collect();
            let basis = Tensor::cat(mine, 0).unsqueeze::<3>();
            let change = source.clone().autodiff() - part.clone();
            exchanged = exchanged + change.matmul(basis.clone().transpose()).matmul(basis);
        }
        self.region.paste(activation, exchanged)
    }
}

#[cfg(test)]
mod tests;
