//! How well a language model foretells.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, softmax};
use mr_models::data::Sequences;
use mr_models::{Input, InputKind, Model, ModelSpec, floats, integers, predictions};
use rand_chacha::rand_core::RngCore;

use crate::error::{TrainError, at_least_0};
use crate::pools::Pools;
use crate::random::generator;

/// Sequences that one thread holds at a time.
const BATCH: usize = 32;

/// How well a model foretells the tokens of sequences that can be known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Foretold {
    /// Tokens that could be known.
    pub tokens: usize,
    /// Of those, how many were the likeliest of all.
    pub right: usize,
    /// The mean surprise of a token, `-log2 p`.
    pub bits_per_token: f64,
}

impl Foretold {
    /// Judges a model by every sequence.
    ///
    /// # Errors
    /// [`TrainError::Data`] if the model does not take such sequences.
    pub fn of(model: &dyn Model, data: &Sequences) -> Result<Self, TrainError> {
        takes(model.spec(), data)?;
        let pools = Pools::new(rayon::current_num_threads())?;
        let device = model.device();
        let batches = data.len().div_ceil(BATCH);
        let parts = pools.map(batches, |batch| {
            let rows: Vec<usize> = (batch * BATCH..data.len().min((batch + 1) * BATCH)).collect();
            let logits = model.logits(&data.input(&rows, &device));
            let next = data.next(&rows, &device);
            let log_p = log_softmax(logits.clone(), 2).gather(2, next.clone().unsqueeze_dim(2));
            let log_p: Tensor<2> = log_p.squeeze_dim(2);
            let mask = floats(data.mask(&rows, &device));
            let best = predictions(&logits).concat();
            let (mut right, mut nats) = (0, 0.0);
            let each = integers(next).into_iter().zip(floats(log_p)).zip(best);
            for (((next, log_p), best), known) in each.zip(mask) {
                if known > 0.0 {
                    right += usize::from(best as i64 == next);
                    nats -= f64::from(log_p);
                }
            }
            (right, nats)
        });
        let tokens = data.known();
        let right = parts.iter().map(|(right, _)| right).sum();
        let nats: f64 = parts.iter().map(|(_, nats)| nats).sum();
        Ok(Self {
            tokens,
            right,
            bits_per_token: nats / std::f64::consts::LN_2 / tokens as f64,
        })
    }
}

/// Checks that a model takes these sequences, and has a class for each of their tokens.
pub(crate) fn takes(spec: &ModelSpec, data: &Sequences) -> Result<(), TrainError> {
    let refuse = |reason: String| Err(TrainError::Data(reason));
    let name = data.name();
    match spec.input {
        InputKind::Real { .. } => refuse(format!(
            "`{name}` holds sequences of tokens, the model takes real values"
        )),
        InputKind::Tokens {
            vocabulary,
            positions,
        } => {
            if data.positions() > positions {
                return refuse(format!(
                    "`{name}` has sequences of {} tokens, the model takes up to {positions}",
                    data.positions()
                ));
            }
            let known = vocabulary.min(spec.classes);
            if data.vocabulary() > known {
                return refuse(format!(
                    "`{name}` has {} different tokens, the model knows {known}",
                    data.vocabulary()
                ));
            }
            Ok(())
        }
    }
}

/// Goes on with a text: after `tokens`, so many more, each drawn by its probability at this temperature
/// (0 for the likeliest), from a generator of `seed`. The model reads as many of the last tokens as it
/// takes.
///
/// # Errors
/// [`TrainError::Setting`] without a first token or for a temperature below 0, and those of
/// [`ModelSpec::accepts`].
pub fn generate(
    model: &dyn Model,
    tokens: &[usize],
    count: usize,
    temperature: f64,
    seed: u64,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<usize>, TrainError> {
    at_least_0("temperature", temperature)?;
    let InputKind::Tokens { positions, .. } = model.spec().input else {
        let reason = format!(
            "the {} writes no text: it takes no tokens",
            model.spec().name
        );
        return Err(TrainError::Data(reason));
    };
    if tokens.is_empty() {
        return Err(TrainError::setting("prompt", "empty", "at least one token"));
    }
    let mut all = tokens.to_vec();
    let mut rng = generator(seed, "generation", 0, 0);
    for done in 0..count {
        let read = all[all.len().saturating_sub(positions)..].to_vec();
        let input = Input::of_tokens(&[read], &model.device())?;
        model.spec().accepts(&input)?;
        let logits = model.logits(&input);
        let [_, last, classes] = logits.dims();
        let logits = logits.narrow(1, last - 1, 1);
        let next = if temperature == 0.0 {
            predictions(&logits)[0][0]
        } else {
            let p = floats(softmax(logits / temperature, 2));
            let drawn = rng.next_u32() as f32 / 4_294_967_296.0;
            let mut below = 0.0;
            let found = p.iter().position(|p| {
                below += p;
                drawn < below
            });
            // What is drawn may lie above the sum of the rounded probabilities.
            found.unwrap_or(classes - 1)
        };
        all.push(next);
        progress(done + 1, count);
    }
    Ok(all.split_off(tokens.len()))
}

#[cfg(test)]
mod tests;
