//! How codes drift while the input is attacked.

use std::sync::Arc;

use burn::tensor::Tensor;
use mr_models::objective::{CrossEntropy, KlDivergence, Margin, Sum, kl_divergence};
use mr_models::{Objective, floats, predictions};
use mr_sae::samples;
use serde::{Deserialize, Serialize};

use super::objectives::CodeShift;
use super::spot::{Seen, Spot};
use super::{CardConfig, Setup};
use crate::error::AttackError;
use crate::randomness::{Draw, uniform};
use crate::threat::ThreatModel;

/// What an attack moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    /// The output: cross-entropy, whatever becomes of the codes.
    Output,
    /// The codes: their relative squared change, whatever becomes of the output.
    Codes,
    /// The codes, while the output is held by what a divergence costs.
    CodesAlone,
    /// The output, while the codes are held by what their change costs.
    OutputAlone,
    /// Nothing: a random step as long as the attacks may go. The control.
    Noise,
}

impl Against {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Output,
        Self::Codes,
        Self::CodesAlone,
        Self::OutputAlone,
        Self::Noise,
    ];

    /// Its name, as in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Codes => "codes",
            Self::CodesAlone => "codes-alone",
            Self::OutputAlone => "output-alone",
            Self::Noise => "noise",
        }
    }

    /// What is climbed; noise climbs nothing.
    pub(super) fn objective(self, spot: &Spot, config: &CardConfig) -> Option<Arc<dyn Objective>> {
        let codes = Arc::new(CodeShift {
            dictionary: Arc::clone(&spot.dictionary),
            site: spot.site.clone(),
        });
        let sum = |gain: Arc<dyn Objective>, weight: f32, cost: Arc<dyn Objective>| {
            let terms = vec![(1.0, gain), (-weight, cost)];
            Arc::new(Sum { terms }) as Arc<dyn Objective>
        };
        Some(match self {
            Self::Output => Arc::new(CrossEntropy),
            Self::Codes => codes,
            Self::CodesAlone => sum(codes, config.hold_output, Arc::new(KlDivergence)),
            Self::OutputAlone => sum(Arc::new(Margin), config.hold_codes, codes),
            Self::Noise => return None,
        })
    }
}

/// How the codes of all examples drift under one attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// What the attack moves.
    pub against: Against,
    /// Its radius.
    pub epsilon: f32,
    /// What became of each example, in the order of the data.
    pub examples: Vec<Moved>,
}

/// What became of an example and its codes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Its number in the data set.
    pub index: u64,
    /// Its true class.
    pub label: usize,
    /// The class that the network gives the clean example.
    pub clean: usize,
    /// The class that it gives now.
    pub prediction: usize,
    /// `KL(clean || now)` of the output, in nats.
    pub kl: f32,
    /// Latents that are on, on average over positions.
    pub l0: f32,
    /// `|z - z0|^2 / |z0|^2` of the codes.
    pub change: f32,
    /// Jaccard's index of the strongest latents before and after, each by its largest code over positions; 1
    /// where none is on before and after.
    pub jaccard: f32,
    /// The squared error of the reconstruction, over positions and channels.
    pub squared_error: f32,
    /// The squared distance of the activation from the mean of clean activations by channel: a sum of errors
    /// over a sum of these is the fraction of variance unexplained.
    pub variance: f32,
}

impl Moved {
    /// Whether the network still gives the class that it gave the clean example.
    pub fn keeps_prediction(&self) -> bool {
        self.clean == self.prediction
    }
}

impl Drift {
    /// Fraction of variance unexplained, a ratio of sums over examples.
    pub fn fvu(&self) -> f64 {
        fvu(&self.examples)
    }
}

/// Fraction of variance unexplained, a ratio of sums over examples.
pub(super) fn fvu(examples: &[Moved]) -> f64 {
    let sum = |of: fn(&Moved) -> f32| examples.iter().map(|one| f64::from(of(one))).sum::<f64>();
    sum(|one| one.squared_error) / sum(|one| one.variance)
}

/// What is known of the clean data as a whole.
pub(super) struct Base {
    /// The mean activation of each channel.
    mean: Vec<f32>,
    /// The sum of each latent's codes.
    activity: Vec<f64>,
}

impl Base {
    pub(super) fn of(setup: &Setup<'_>) -> Result<Self, AttackError> {
        let parts = setup.batches(|rows| {
            let input = setup.data.input(rows, &setup.model.device());
            let seen = setup.spot.see(setup.model, &input)?;
            // By example, so that no sum depends on batches.
            Ok([seen.x, seen.codes].map(|all| (all.dims(), floats(all.sum_dim(1)))))
        })?;
        let mut sums: [Vec<f64>; 2] = Default::default();
        let mut samples = 0;
        for part in &parts {
            samples += part[0].0[0] * part[0].0[1];
            for (sum, (shape, rows)) in sums.iter_mut().zip(part) {
                sum.resize(shape[2], 0.0);
                for row in rows.chunks(shape[2]) {
                    for (sum, &value) in sum.iter_mut().zip(row) {
                        *sum += f64::from(value);
                    }
                }
            }
        }
        let [channels, activity] = sums;
        let mean = channels.iter().map(|sum| (sum / samples as f64) as f32);
        Ok(Self {
            mean: mean.collect(),
            activity,
        })
    }

    /// The most active latents, by the sum of their codes; the lower number first where two are alike.
    pub(super) fn most_active(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.activity.len()).collect();
        order.sort_by(|&a, &b| self.activity[b].total_cmp(&self.activity[a]));
        order.truncate(count);
        order
    }
}

/// What became of every example at these points.
pub(super) fn moved(
    setup: &Setup<'_>,
    base: &Base,
    points: &[f32],
) -> Result<Vec<Moved>, AttackError> {
    let parts = setup.batches(|rows| {
        let input = setup.data.input(rows, &setup.model.device());
        let before = setup.spot.see(setup.model, &input)?;
        let now = setup.spot.see(setup.model, &setup.at(points, rows))?;
        Ok(compared(setup, base, rows, &before, &now))
    })?;
    Ok(parts.into_iter().flatten().collect())
}

fn compared(
    setup: &Setup<'_>,
    base: &Base,
    rows: &[usize],
    before: &Seen,
    now: &Seen,
) -> Vec<Moved> {
    let flat = |all: Tensor<3>| floats(all.square().flatten::<2>(1, 2).sum_dim(1));
    let mean = Tensor::<1>::from_floats(base.mean.as_slice(), &now.x.device());
    let variance = flat(now.x.clone() - mean.reshape([1, 1, base.mean.len()]));
    let made = setup.spot.dictionary.reconstruct(samples(now.x.clone()));
    let error = flat(now.x.clone() - made.reshape(now.x.dims()));
    let change = flat(now.codes.clone() - before.codes.clone());
    let scale = flat(before.codes.clone());
    let on = now.codes.clone().greater_elem(0.0).float();
    let l0 = floats(on.sum_dim(2).mean_dim(1));
    let kl = floats(kl_divergence(&before.logits, &now.logits).clamp_min(0.0));
    let classes = [before, now].map(|seen| predictions(&seen.logits));
    let top = setup.config.top;
    let strongest = [before, now].map(|seen| {
        let peaks = floats(seen.codes.clone().max_dim(1));
        let rows = peaks.chunks(setup.spot.latents());
        rows.map(|row| strongest(row, top)).collect::<Vec<_>>()
    });
    let last = |row: &Vec<usize>| row[row.len() - 1];
    (0..rows.len())
        .map(|i| Moved {
            index: setup.data.number(rows[i]),
            label: setup.data.labels()[rows[i]],
            clean: last(&classes[0][i]),
            prediction: last(&classes[1][i]),
            kl: kl[i],
            l0: l0[i],
            change: change[i] / scale[i].max(1e-6),
            jaccard: jaccard(&strongest[0][i], &strongest[1][i]),
            squared_error: error[i],
            variance: variance[i],
        })
        .collect()
}

/// The `top` largest that are above 0, in the order of their numbers.
fn strongest(row: &[f32], top: usize) -> Vec<usize> {
    let mut on: Vec<usize> = (0..row.len()).filter(|&latent| row[latent] > 0.0).collect();
    on.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    on.truncate(top);
    on.sort_unstable();
    on
}

fn jaccard(a: &[usize], b: &[usize]) -> f32 {
    let shared = a.iter().filter(|one| b.contains(one)).count();
    let either = a.len() + b.len() - shared;
    if either == 0 {
        return 1.0;
    }
    shared as f32 / either as f32
}

/// Every example after a random step as long as the threat allows: a corner of the ball in Linf, a random
/// direction at full length in L2.
pub(super) fn noise(setup: &Setup<'_>, threat: &ThreatModel) -> Vec<f32> {
    let draw = Draw {
        seed: setup.running.seed,
        attack: "card-noise",
        restart: 0,
        step: 0,
    };
    let device = setup.model.device();
    let all: Vec<usize> = (0..setup.data.len()).collect();
    let of = |rows: &[usize]| {
        let origin = setup
            .data
            .input(rows, &device)
            .real()
            .clone()
            .flatten::<2>(1, 3);
        let numbers: Vec<u64> = rows.iter().map(|&row| setup.data.number(row)).collect();
        let way = uniform(draw, &numbers, origin.dims()[1], &device);
        let step = threat.steepest(&origin, way) * threat.epsilon;
        floats(threat.project(&origin, origin.clone() + step))
    };
    all.chunks(setup.running.batch_size).flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_latents_are_compared_as_sets() {
        assert_eq!(strongest(&[0.5, 0.0, 2.0, 1.0], 2), [2, 3]);
        assert_eq!(strongest(&[0.0, 0.0], 2), [0usize; 0]);
        assert!((jaccard(&[2, 3], &[3, 5]) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(jaccard(&[], &[]), 1.0);
        assert_eq!(jaccard(&[1], &[]), 0.0);
    }
}
