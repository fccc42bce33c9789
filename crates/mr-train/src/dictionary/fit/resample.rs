//! Dead latents drawn anew.

use burn::tensor::{Tensor, TensorData};
use mr_models::floats;
use mr_sae::{Dictionary, Kind};
use rand::Rng;

use super::state::{State, split};
use crate::random::generator;

impl State {
    /// Gives dead latents the directions of samples that are badly reconstructed, if it is time (Bricken et al. 2023): decoder
    /// rows of norm 1, encoder columns of a share of the living ones' mean norm, biases and moments of 0.
    pub(super) fn resample(&mut self, step: usize, batch: &[f32], width: usize) {
        let Some(resample) = self.plan.fit.resample else {
            return;
        };
        if step == 0 || !step.is_multiple_of(resample.every) || step > resample.until {
            return;
        }
        let dead: Vec<usize> = (0..self.idle.len())
            .filter(|&latent| self.idle[latent] >= self.plan.fit.dead_after as u64)
            .collect();
        if dead.is_empty() {
            return;
        }
        let config = self.sae.config().clone();
        let (d_in, d_sae, d_out) = (config.d_in, config.d_sae, config.d_out());
        let (x, target) = split(batch, width, &config);
        let device = self.sae.weights().device();
        let rows = |values: &[f32], width: usize| {
            let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
            Tensor::<2>::from_data(data, &device)
        };
        let wanted = rows(&target, d_out);
        let left = wanted.clone() - self.sae.reconstruct(rows(&x, d_in));
        let errors = floats(left.clone().square().sum_dim(1));
        let squared: Vec<f64> = errors.iter().map(|&error| f64::from(error)).collect();
        let total: f64 = squared.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return;
        }
        let weights = self.sae.weights();
        let mut encoder = floats(weights.get::<2>("W_enc"));
        let mut decoder = floats(weights.get::<2>("W_dec"));
        let centre = floats(weights.get::<1>("b_dec"));
        let norm = |latent: usize| -> f64 {
            let column = encoder.iter().skip(latent).step_by(d_sae);
            column.map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
        };
        let living: Vec<f64> = (0..d_sae)
            .filter(|latent| !dead.contains(latent))
            .map(norm)
            .collect();
        let mean = living.iter().sum::<f64>() / living.len().max(1) as f64;
        let mean = if living.is_empty() { 1.0 } else { mean };
        let share = f64::from(resample.share) * mean;
        let mut rng = generator(self.plan.fit.seed, "dictionary resampling", step, 0);
        for &latent in &dead {
            let mut point = rng.random_range(0.0..total);
            let sample = squared.iter().position(|&error| {
                point -= error;
                point < 0.0
            });
            let sample = sample.unwrap_or(squared.len() - 1);
            let read = direction(
                &x[sample * d_in..][..d_in],
                &centre,
                config.subtract_bias && d_in == d_out,
            );
            let write = direction(&target[sample * d_out..][..d_out], &centre, true);
            for (at, value) in read.into_iter().enumerate() {
                encoder[at * d_sae + latent] = (value * share) as f32;
            }
            for (at, value) in write.into_iter().enumerate() {
                decoder[latent * d_out + at] = value as f32;
            }
        }
        let mut weights = weights.clone();
        let flat = |values: Vec<f32>| {
            let length = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [length]), &device)
        };
        weights.set("W_enc", flat(encoder));
        weights.set("W_dec", flat(decoder));
        for name in ["b_enc", "b_gate", "b_mag"] {
            if weights.contains(name) {
                let mut values = floats(weights.get::<1>(name));
                for &latent in &dead {
                    values[latent] = 0.0;
                }
                weights.set(name, flat(values));
            }
        }
        if let Kind::JumpRelu(kind) = &config.kind {
            // What a latent died of may be its threshold.
            let mut values = floats(weights.get::<1>("threshold"));
            for &latent in &dead {
                values[latent] = kind.threshold;
            }
            weights.set("threshold", flat(values));
        }
        let mut state = self.optimizer.state(&weights);
        for (name, values) in &mut state.tensors {
            for &latent in &dead {
                if name.starts_with("W_enc") {
                    (0..d_in).for_each(|at| values[at * d_sae + latent] = 0.0);
                } else if name.starts_with("W_dec") {
                    values[latent * d_out..][..d_out].fill(0.0);
                } else if !name.starts_with("b_dec") && values.len() == d_sae {
                    values[latent] = 0.0;
                }
            }
        }
        self.optimizer.restore(state, &weights, &device);
        self.sae = self.sae.with_weights(weights);
        for latent in dead {
            self.idle[latent] = 0;
        }
    }
}

/// A sample, without the centre where that is taken away, scaled to norm 1.
fn direction(sample: &[f32], centre: &[f32], centred: bool) -> Vec<f64> {
    let values: Vec<f64> = if centred {
        let each = sample.iter().zip(centre);
        each.map(|(v, c)| f64::from(v - c)).collect()
    } else {
        sample.iter().map(|&v| f64::from(v)).collect()
    };
    let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    values.into_iter().map(|v| v / norm).collect()
}
