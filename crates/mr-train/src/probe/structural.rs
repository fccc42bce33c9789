//! Fitting structural probes.

use mr_circuits::{TreeMeasure, TreeProbe};
use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::adam::{Adam, cosine};
use crate::dictionary::Activations;
use crate::error::{TrainError, above_0};
use crate::random::generator;

/// How a structural probe is fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StructuralConfig {
    /// Seed of the first map.
    pub seed: u64,
    /// Rows of the map, at most the number of channels; all of them where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Steps over all sentences at once.
    pub steps: usize,
    /// Learning rate at the first step; it falls to 0 by a cosine.
    pub lr: f64,
}

impl Default for StructuralConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            rank: None,
            steps: 400,
            lr: 0.02,
        }
    }
}

/// Words of sentences, sentence by sentence, with what a tree says of each sentence.
#[derive(Debug, Clone)]
pub struct Sentences {
    /// The words `[word, channel]`.
    pub words: Activations,
    /// Words of each sentence.
    pub lengths: Vec<usize>,
    /// Of each sentence the depth of every word, or the distances `[word, word]` of every two.
    pub targets: Vec<Vec<f64>>,
}

impl Sentences {
    /// The first word of each sentence.
    fn starts(&self) -> Vec<usize> {
        let lengths = self.lengths.iter();
        lengths
            .scan(0, |at, length| {
                *at += length;
                Some(*at - length)
            })
            .collect()
    }

    fn validate(&self, measure: TreeMeasure) -> Result<(), TrainError> {
        let words: usize = self.lengths.iter().sum();
        if words != self.words.count() || self.lengths.len() != self.targets.len() {
            return Err(TrainError::Data(format!(
                "{} sentences of {words} words, {} activations and {} trees do not belong together",
                self.lengths.len(),
                self.words.count(),
                self.targets.len()
            )));
        }
        for (sentence, (&length, target)) in self.lengths.iter().zip(&self.targets).enumerate() {
            let needed = match measure {
                TreeMeasure::Distance => length * length,
                TreeMeasure::Depth => length,
            };
            if target.len() != needed || target.iter().any(|value| !value.is_finite()) {
                return Err(TrainError::Data(format!(
                    "sentence {sentence} has {length} words and {} values of its tree, must have {needed} \
                     finite ones",
                    target.len()
                )));
            }
        }
        Ok(())
    }
}

/// Fits the map B of a structural probe (Hewitt & Manning 2019): it minimises the mean over sentences of
/// `|d_T(i, j) - |B (h_i - h_j)|^2|`, summed over pairs and divided by their number (eq. 2), or the same of
/// depths. Sentences of one word have no pairs and are left out.
///
/// By Adam over all sentences at once, in double precision, from a small random map; the paper takes
/// batches of 20 and lowers the rate where the loss of a development set stands still.
///
/// # Errors
/// [`TrainError::Setting`] for a setting outside its range, [`TrainError::Data`] if words and trees do not
/// belong together, [`TrainError::Diverged`] at a loss that is not finite.
pub fn fit_structural(
    sentences: &Sentences,
    site: &str,
    measure: TreeMeasure,
    config: &StructuralConfig,
) -> Result<TreeProbe, TrainError> {
    sentences.validate(measure)?;
    above_0("lr", config.lr)?;
    let channels = sentences.words.width();
    let rank = config.rank.unwrap_or(channels);
    if rank == 0 || rank > channels {
        let valid = format!("1 to {channels}, the channels of the site");
        return Err(TrainError::setting("rank", rank, valid));
    }
    let scale = root_mean_square(&sentences.words);
    let words: Vec<f64> = {
        let values = sentences.words.values().iter();
        values.map(|&value| f64::from(value) / scale).collect()
    };
    let mut rng = generator(config.seed, "structural probe", 0, 0);
    let start = 1.0 / (channels as f64).sqrt();
    let mut map: Vec<f64> = (0..rank * channels)
        .map(|_| rng.sample::<f64, _>(StandardNormal) * start)
        .collect();
    let mut adam = Adam::new(map.len());
    for step in 0..config.steps {
        let (loss, gradient) = loss_and_gradient(sentences, &words, &map, rank, measure);
        if !loss.is_finite() {
            let loss = loss as f32;
            return Err(TrainError::Diverged { step, loss });
        }
        adam.step(&mut map, &gradient, cosine(config.lr, step, config.steps));
    }
    let map = map
        .into_iter()
        .map(|value| (value / scale) as f32)
        .collect();
    Ok(TreeProbe::new(measure, site, channels, map)?)
}

fn root_mean_square(words: &Activations) -> f64 {
    let squares = words.values().iter().map(|&v| f64::from(v) * f64::from(v));
    let mean = squares.sum::<f64>() / words.values().len() as f64;
    if mean > 0.0 { mean.sqrt() } else { 1.0 }
}

/// The loss and its gradient at the map. With `z = B h`, the gradient of what is summed is that of
/// `sign * |z_i - z_j|^2`: at z_i `2 sign (z_i - z_j)`, and at B the sum of these times h_i.
fn loss_and_gradient(
    sentences: &Sentences,
    words: &[f64],
    map: &[f64],
    rank: usize,
    measure: TreeMeasure,
) -> (f64, Vec<f64>) {
    let channels = sentences.words.width();
    let mut gradient = vec![0.0; map.len()];
    let mut loss = 0.0;
    let count = sentences.lengths.len() as f64;
    let trees = sentences.starts().into_iter().zip(&sentences.lengths);
    for ((start, &length), target) in trees.zip(&sentences.targets) {
        let h = |word: usize| &words[(start + word) * channels..(start + word + 1) * channels];
        let z: Vec<f64> = (0..length)
            .flat_map(|word| {
                map.chunks_exact(channels)
                    .map(move |b| super::design::dot(b, h(word)))
            })
            .collect();
        let row = |word: usize| &z[word * rank..(word + 1) * rank];
        let mut at_z = vec![0.0; z.len()];
        match measure {
            TreeMeasure::Distance => {
                let share = 1.0 / ((length * length) as f64 * count);
                for i in 0..length {
                    for j in 0..i {
                        let pairs = row(i).iter().zip(row(j));
                        let squared: f64 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
                        let error = squared - target[i * length + j];
                        loss += 2.0 * share * error.abs();
                        // A pair counts twice, as (i, j) and as (j, i).
                        let slope = 4.0 * share * sign(error);
                        for k in 0..rank {
                            let moved = slope * (z[i * rank + k] - z[j * rank + k]);
                            at_z[i * rank + k] += moved;
                            at_z[j * rank + k] -= moved;
                        }
                    }
                }
            }
            TreeMeasure::Depth => {
                let share = 1.0 / (length as f64 * count);
                for i in 0..length {
                    let squared: f64 = row(i).iter().map(|z| z * z).sum();
                    let error = squared - target[i];
                    loss += share * error.abs();
                    for k in 0..rank {
                        at_z[i * rank + k] = 2.0 * share * sign(error) * z[i * rank + k];
                    }
                }
            }
        }
        for word in 0..length {
            for (gradient, slope) in gradient
                .chunks_exact_mut(channels)
                .zip(&at_z[word * rank..(word + 1) * rank])
            {
                for (sum, h) in gradient.iter_mut().zip(h(word)) {
                    *sum += slope * h;
                }
            }
        }
    }
    (loss, gradient)
}

/// The sign, 0 of 0: `f64::signum` of 0 is 1.
fn sign(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

#[cfg(test)]
mod tests;
