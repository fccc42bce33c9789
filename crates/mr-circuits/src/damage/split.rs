//! The change of an objective, split over nodes.

use burn::tensor::Tensor;
use mr_models::{Labels, Model, Objective, Place, floats, run_with_cache};

use super::front::Front;
use super::integrate::{Integrated, Integration, integrate, moved, pixels};
use crate::error::CircuitError;
use crate::pair::Pair;

/// What each part of a front contributes to the change of an objective between the clean and the
/// adversarial run of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Damage {
    /// The parts.
    pub front: Front,
    /// By example, the share of each part.
    pub shares: Vec<Vec<f32>>,
    /// By example, how much the objective changes.
    pub change: Vec<f32>,
    /// By example, the objective of the adversarial run.
    pub adversarial: Vec<f32>,
    /// By example, the steps that the path was divided into.
    pub steps: Vec<usize>,
}

impl Damage {
    /// How much of the change the shares miss or add, as a part of it: `sum |sum of shares - change| /
    /// sum |change|` over examples. 0 where nothing changes.
    pub fn completeness_error(&self) -> f64 {
        let missed = self
            .shares
            .iter()
            .zip(&self.change)
            .map(|(shares, change)| {
                let sum: f64 = shares.iter().copied().map(f64::from).sum();
                (sum - f64::from(*change), f64::from(*change))
            });
        completeness_error(missed)
    }

    /// The mean share of each part over examples.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.front.parts.len()];
        for shares in &self.shares {
            for (mean, &share) in mean.iter_mut().zip(shares) {
                *mean += f64::from(share) / self.shares.len() as f64;
            }
        }
        mean
    }

    /// The parts by their mean share, the one that adds most to the objective first; of equal ones the
    /// earlier.
    pub fn ranked(&self) -> Vec<usize> {
        let mean = self.mean();
        let mut parts: Vec<usize> = (0..mean.len()).collect();
        parts.sort_by(|&a, &b| mean[b].total_cmp(&mean[a]));
        parts
    }

    /// By example, its own parts by their share, the worst first; of equal ones the earlier.
    pub fn own_rankings(&self) -> Vec<Vec<usize>> {
        let ranking = |shares: &Vec<f32>| {
            let mut parts: Vec<usize> = (0..shares.len()).collect();
            parts.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
            parts
        };
        self.shares.iter().map(ranking).collect()
    }

    /// By count, how many examples would be below 0 in the objective, which of a margin is right, if patching
    /// their own worst parts took away the shares of these and changed nothing else. Where
    /// [`restore_own`](super::restore_own) restores as many, parts do not interact, and how many it takes
    /// says how widely damage is spread.
    ///
    /// # Panics
    /// If a count is larger than the number of parts.
    pub fn foretold(&self, counts: &[usize]) -> Vec<usize> {
        let rankings = self.own_rankings();
        let examples = self.adversarial.iter().zip(&self.shares).zip(rankings);
        let mut right = vec![0; counts.len()];
        for ((&adversarial, shares), ranking) in examples {
            for (right, &count) in right.iter_mut().zip(counts) {
                let gone: f32 = ranking[..count].iter().map(|&part| shares[part]).sum();
                *right += usize::from(adversarial < gone);
            }
        }
        right
    }

    /// The part of its change that must be undone to bring an example's objective down to 0, as the mean over
    /// examples: 0 to 1 where the clean objective is below 0.
    pub fn needed(&self) -> f64 {
        let parts = self.adversarial.iter().zip(&self.change);
        let parts = parts.map(|(&after, &change)| f64::from(after.max(0.0) / change));
        parts.sum::<f64>() / self.change.len().max(1) as f64
    }
}

/// Of pairs of what is missed and what the change is.
pub(super) fn completeness_error(missed: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (error, change) = missed.fold((0.0, 0.0), |(error, all), (missed, change)| {
        (error + missed.abs(), all + change.abs())
    });
    if error == 0.0 { 0.0 } else { error / change }
}

/// Splits the change of an objective, from the clean to the corrupt run of each example, over the parts of
/// a front: the change of a part's activation times the gradient there, integrated along the straight path
/// between the two activations (Sundararajan et al. 2017, eq. 1, at an internal place). Shares are signed,
/// and add up to the change where the front is complete.
///
/// `progress` is told how many examples of how many are done.
///
/// # Errors
/// [`CircuitError::Steps`] for a path of no steps, [`CircuitError::Change`] where an objective is not
/// finite, [`CircuitError::Model`] if inputs or objective do not fit.
pub fn damage(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    front: &Front,
    integration: &Integration,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Damage, CircuitError> {
    let path = vec![moved(model, pair, &front.place)?];
    let Integrated {
        moved,
        gradients,
        values: [clean, corrupt],
        steps,
    } = integrate(model, pair, labels, objective, path, integration, progress)?;
    let (change, gradient) = (moved[0].change.clone(), gradients[0].clone());
    let place = match &front.place {
        Place::Input => "input",
        Place::Site(site) => site,
    };
    let sites = front.sites();
    let (_, before) = run_with_cache(model, pair.clean(), &sites)?;
    let (_, after) = run_with_cache(model, pair.corrupt(), &sites)?;
    let whole = change * gradient.clone();
    let is_at_place = front
        .parts
        .iter()
        .all(|part| part.site == place && part.channels.len() == 1);
    let shares: Tensor<2> = if is_at_place {
        whole.sum_dim(1).squeeze_dim(1)
    } else {
        let shares = front
            .parts
            .iter()
            .map(|part| -> Result<Tensor<2>, CircuitError> {
                let share = if part.site == place {
                    whole.clone().slice_dim(2, part.channels.clone())
                } else {
                    let (before, after) = match part.site.as_str() {
                        "input" => (pixels(pair.clean()), pixels(pair.corrupt())),
                        site => (before.get(site)?.clone(), after.get(site)?.clone()),
                    };
                    let moved = (after - before).slice_dim(2, part.channels.clone());
                    moved * gradient.clone()
                };
                Ok(share.sum_dim(2).sum_dim(1).squeeze_dim(2))
            });
        Tensor::cat(shares.collect::<Result<_, _>>()?, 1)
    };
    let parts = front.parts.len();
    let shares = floats(shares);
    Ok(Damage {
        front: front.clone(),
        shares: shares.chunks(parts.max(1)).map(<[f32]>::to_vec).collect(),
        change: corrupt
            .iter()
            .zip(clean)
            .map(|(after, before)| after - before)
            .collect(),
        adversarial: corrupt,
        steps,
    })
}
