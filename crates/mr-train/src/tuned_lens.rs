//! The tuned lens: translators fitted to what the whole network says.

use burn::tensor::{Int, Tensor};
use mr_circuits::{Streams, TunedLens};
use mr_models::objective::kl_divergence;
use mr_models::{Input, Model, floats};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::config::{AdamW, OptimizerConfig};
use crate::error::{TrainError, above_0};
use crate::optimizer::Optimizer;
use crate::pools::Pools;
use crate::random::generator;

/// How a tuned lens is fitted: all translators at once, from the identity, to the smallest KL from the
/// distribution of the whole network to the one read off each stream, the mean over positions (Belrose et
/// al. 2023, eq. 9). We take Adam with a constant rate where they take SGD with momentum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TunedLensConfig {
    /// Seed of the order of sequences.
    pub seed: u64,
    /// Learning rate.
    pub lr: f64,
    /// Sequences per step.
    pub batch_size: usize,
    /// Steps.
    pub steps: usize,
}

impl Default for TunedLensConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            lr: 1e-3,
            batch_size: 16,
            steps: 250,
        }
    }
}

impl TunedLensConfig {
    fn validate(&self) -> Result<(), TrainError> {
        for (what, value) in [("batch_size", self.batch_size), ("steps", self.steps)] {
            if value == 0 {
                return Err(TrainError::setting(what, 0, "at least 1"));
            }
        }
        above_0("lr", self.lr)
    }
}

/// Fits a tuned lens to sequences, on one thread. `progress` is told how many steps of how many are done.
///
/// # Errors
/// [`TrainError::Setting`] for a setting outside its range, [`TrainError::Circuit`] if the model has no
/// residual stream or does not take the input, [`TrainError::Diverged`] at a loss that is not finite.
pub fn fit_tuned_lens(
    model: &dyn Model,
    input: &Input,
    config: &TunedLensConfig,
    progress: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<TunedLens, TrainError> {
    config.validate()?;
    if input.batch() == 0 {
        return Err(TrainError::Data(
            "a lens is fitted to one sequence or more".into(),
        ));
    }
    // One thread's kernels sum in one order: the bits do not depend on the cores.
    Pools::new(1)?.alone(|| descend(model, input, config, progress))
}

fn descend(
    model: &dyn Model,
    input: &Input,
    config: &TunedLensConfig,
    progress: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<TunedLens, TrainError> {
    let device = model.device();
    let rows = |rows: &[usize]| {
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        input.select(Tensor::<1, Int>::from_data(rows.as_slice(), &device))
    };
    let mut lens = TunedLens::of(&Streams::of(model, &rows(&[0]))?);
    let rule = OptimizerConfig::AdamW(AdamW {
        lr: config.lr,
        weight_decay: 0.0,
        ..AdamW::default()
    });
    let mut optimizer = Optimizer::new(&rule, lens.weights());
    let mut order: Vec<usize> = (0..input.batch()).collect();
    let batch_size = config.batch_size.min(order.len());
    let per_epoch = order.len() / batch_size;
    for step in 0..config.steps {
        let (epoch, first) = (step / per_epoch, step % per_epoch * batch_size);
        if first == 0 {
            order.shuffle(&mut generator(config.seed, "tuned lens order", epoch, 0));
        }
        let streams = Streams::of(model, &rows(&order[first..first + batch_size]))?;
        let tracked = lens.with_weights(lens.weights().tracked());
        let loss = divergence(&streams, &tracked);
        let value = floats(loss.clone().inner())[0];
        if !value.is_finite() {
            return Err(TrainError::Diverged { step, loss: value });
        }
        let mut gradients = loss.backward();
        let gradients = tracked.weights().gradients(&mut gradients);
        lens = lens.with_weights(optimizer.step(config.lr, lens.weights(), gradients));
        progress(step + 1, config.steps);
    }
    Ok(lens)
}

/// KL from what the whole network says to what is read off each translated stream, the mean over streams,
/// examples and positions, in nats.
fn divergence(streams: &Streams<'_>, lens: &TunedLens) -> Tensor<1> {
    let [batch, positions, _] = streams.logits().dims();
    let each = (0..lens.layers()).map(|layer| {
        let stream = lens.translated(layer, streams.values()[layer].clone());
        kl_divergence(streams.logits(), &streams.unembedded(stream)).sum()
    });
    let sum = each.reduce(|sum, each| sum + each);
    let sum = sum.unwrap_or_else(|| Tensor::zeros([1], &streams.logits().device()));
    sum / (batch * positions * lens.layers().max(1)) as f32
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::{Architecture, Network, Transformer, TransformerInput};

    use super::*;

    fn net() -> Network {
        let transformer = Transformer {
            input: TransformerInput::Tokens {
                vocabulary: 7,
                context: 6,
                token_types: 0,
            },
            layers: 2,
            d_model: 8,
            heads: 2,
            d_mlp: 16,
            ..Transformer::default()
        };
        let mut net =
            Network::init(Architecture::Transformer(transformer), 3, &Device::flex()).unwrap();
        // As drawn the blocks change little: there would be nothing to translate.
        let entries = net.weights().entries().to_vec();
        for entry in entries.iter().filter(|entry| entry.name.contains(".W_")) {
            net.weights_mut()
                .set(&entry.name, entry.values.clone() * 8.0);
        }
        net
    }

    fn sequences(first: usize, count: usize) -> Input {
        let sequence = |at: usize| (0..6).map(|i| (at * at + 3 * at * i + i * i) % 7).collect();
        let all: Vec<Vec<usize>> = (first..first + count).map(sequence).collect();
        Input::of_tokens(&all, &Device::flex()).unwrap()
    }

    #[test]
    fn a_fitted_lens_says_more_of_what_the_network_says() {
        let net = net();
        let config = TunedLensConfig {
            lr: 1e-2,
            steps: 120,
            ..TunedLensConfig::default()
        };
        let fit = || fit_tuned_lens(&net, &sequences(0, 32), &config, &mut |_, _| {}).unwrap();
        let lens = fit();
        let streams = Streams::of(&net, &sequences(100, 16)).unwrap();
        let logit_lens = floats(divergence(&streams, &TunedLens::of(&streams)))[0];
        let tuned = floats(divergence(&streams, &lens))[0];
        assert!(tuned < 0.7 * logit_lens, "{tuned} for {logit_lens}");
        let bits = |lens: &TunedLens| lens.weights().to_host();
        assert_eq!(bits(&lens), bits(&fit()));
    }

    #[test]
    fn settings_and_files_of_another_network_are_named() {
        let net = net();
        let refuse = |config: TunedLensConfig| {
            let fitted = fit_tuned_lens(&net, &sequences(0, 2), &config, &mut |_, _| {});
            fitted.unwrap_err().to_string()
        };
        assert!(
            refuse(TunedLensConfig {
                steps: 0,
                ..TunedLensConfig::default()
            })
            .contains("steps")
        );
        assert!(
            refuse(TunedLensConfig {
                lr: 0.0,
                ..TunedLensConfig::default()
            })
            .contains("lr")
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lens.safetensors");
        let streams = Streams::of(&net, &sequences(0, 2)).unwrap();
        let lens = TunedLens::of(&streams);
        lens.save(&[("seed", "0")], &path).unwrap();
        let loaded = TunedLens::load(&path, &streams).unwrap();
        assert_eq!(loaded.weights().to_host(), lens.weights().to_host());
        TunedLens::identity(1, 8, &Device::flex())
            .save(&[], &path)
            .unwrap();
        let error = TunedLens::load(&path, &streams).unwrap_err().to_string();
        assert!(error.contains("a lens of another network"), "{error}");
    }
}
