//! A training step: the loss of a batch and its gradient.
//!
//! [`Sae::loss`] defines both, and burn's autodiff computes them. On the host, a step by hand is several times as fast where
//! codes are sparse: a code of `k` active latents is decoded from `k` rows of the decoder, and its gradient reaches `k` rows
//! of the decoder and `k` columns of the encoder, where a dense pass multiplies all the others by zero. One product remains,
//! that of all samples and the encoder, since which latents are the largest is not known before.

mod codes;
mod select;
mod sparse;

use burn::tensor::{Tensor, TensorData};
use mr_models::{Workers, floats};

pub use codes::Codes;

use crate::dictionary::Dictionary;
use crate::kind::Kind;
use crate::loss::Strength;
use crate::normalization::Normalization;
use crate::revival::Revival;
use crate::sae::Sae;
use sparse::{Revive, Rows, Selection, Terms};

/// Samples of a shard of a dense step.
const SHARD: usize = 1024;

/// A loss and its gradient. Each part is multiplied by its coefficient, as in [`Loss`](crate::Loss).
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The sum of the parts.
    pub total: f64,
    /// The squared error of the reconstruction, summed over channels, averaged over samples.
    pub squared_error: f64,
    /// The cost of activity.
    pub sparsity: f64,
    /// What the kind adds.
    pub auxiliary: f64,
    /// What is done for dead latents.
    pub revival: f64,
    /// The gradient by each of the weights, in their order; `None` where there is none.
    pub gradients: Vec<Option<Vec<f32>>>,
    /// On how many samples each latent is active.
    pub active: Vec<u32>,
    /// The least active value of the batch, which the threshold of BatchTopK follows.
    pub least: Option<f32>,
}

/// How steps are computed.
#[derive(Debug, Clone, Copy)]
pub enum Means {
    /// By hand on the host where codes are sparse, by shards on these threads elsewhere. The result does not depend on how
    /// many there are.
    Host(Workers),
    /// By burn's autodiff, the whole batch at once: for devices that are not the host.
    Device,
}

impl Sae {
    /// The loss of samples `x` `[sample, d_in]` of which `target` `[sample, d_out]` is to be made, both row-major, and its
    /// gradient by the weights.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn step(&self, x: &[f32], target: &[f32], strength: &Strength, means: Means) -> Step {
        let count = x.len() / self.d_in();
        match means {
            Means::Host(workers) => match self.by_hand(count, strength) {
                Some(plan) => self.sparse(x, target, &plan, workers),
                None if self.config().kind.sees_the_batch() => self.dense(x, target, strength),
                None => self.sharded(x, target, strength, workers),
            },
            Means::Device => self.dense(x, target, strength),
        }
    }

    /// What a sparse step is told, if there is one for this dictionary and batch.
    fn by_hand<'a>(&self, count: usize, strength: &Strength<'a>) -> Option<Plan<'a>> {
        let config = self.config();
        let unit = match config.normalization {
            Normalization::None => 1.0,
            Normalization::ExpectedAverage { scale } if config.writes_what_it_reads() => scale,
            _ => return None,
        };
        if config.is_tied() || config.has_skip() {
            return None;
        }
        let whole = config.d_sae;
        let of_batch = |k: f32| Selection::Batch((k * count as f32) as usize);
        let (selection, prefixes, rescale) = match &config.kind {
            Kind::TopK(kind) => (Selection::Sample(kind.k), vec![whole], kind.rescale),
            Kind::BatchTopK(kind) => (of_batch(kind.k), vec![whole], kind.rescale),
            Kind::Matryoshka(kind) => {
                let prefixes = kind.widths.iter().copied().chain([whole]);
                (of_batch(kind.k), prefixes.collect(), kind.rescale)
            }
            _ => return None,
        };
        let dead = strength.dead.filter(|dead| dead.contains(&true));
        let revive = match (strength.revival, dead) {
            (Revival::None, _) | (_, None) => None,
            (Revival::AuxK { k, coefficient }, Some(dead)) => {
                let (k, weight) = Revival::aux_k(k, coefficient, dead, config.d_out());
                Some(Revive { dead, k, weight })
            }
            _ => return None,
        };
        Some(Plan {
            selection,
            prefixes,
            revive,
            rescale,
            unit,
        })
    }

    fn sparse(&self, x: &[f32], target: &[f32], plan: &Plan<'_>, workers: Workers) -> Step {
        let weights = self.weights();
        let host = |name| floats(weights.get::<1>(name));
        let decoder = floats(weights.get::<2>("W_dec"));
        let (bias, centre) = (host("b_enc"), host("b_dec"));
        let norms = plan.rescale.then(|| floats(self.decoder_norms()));
        let encoder = weights.get::<2>("W_enc");
        let rows = Rows {
            encoder: &encoder,
            bias: &bias,
            decoder: &decoder,
            centre: &centre,
            centred: self.config().subtracts(),
            norms: norms.as_deref(),
        };
        let terms = Terms {
            selection: plan.selection,
            prefixes: &plan.prefixes,
            revive: plan.revive,
        };
        let scaled = |values: &[f32]| -> Option<Vec<f32>> {
            (plan.unit != 1.0).then(|| values.iter().map(|v| v * plan.unit).collect())
        };
        let (own_x, own_target) = (scaled(x), scaled(target));
        let (x, target) = (
            own_x.as_deref().unwrap_or(x),
            own_target.as_deref().unwrap_or(target),
        );
        let found = rows.gradient(x, target, terms, workers);
        let (active, least) = (found.codes.counts(), found.codes.least());
        let mut by_name = [
            ("W_enc", Some(found.encoder)),
            ("b_enc", Some(found.bias)),
            ("W_dec", Some(found.decoder)),
            ("b_dec", Some(found.centre)),
        ];
        let mut taken = |name: &str| {
            let of_name = by_name.iter_mut().find(|(known, _)| *known == name);
            of_name.and_then(|(_, values)| values.take())
        };
        let entries = weights.entries().iter();
        Step {
            total: found.squared_error + found.inner + found.revival,
            squared_error: found.squared_error,
            sparsity: 0.0,
            auxiliary: found.inner,
            revival: found.revival,
            gradients: entries.map(|entry| taken(&entry.name)).collect(),
            active,
            least,
        }
    }

    /// The definition, by autodiff.
    fn dense(&self, x: &[f32], target: &[f32], strength: &Strength) -> Step {
        let device = self.weights().device();
        let rows = |values: &[f32], width| {
            let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
            Tensor::<2>::from_data(data, &device)
        };
        let tracked = self.with_weights(self.weights().tracked());
        let (x, target) = (rows(x, self.d_in()), rows(target, self.d_out()));
        let loss = tracked.loss(&x, &target, strength);
        let mut gradients = loss.total.backward();
        let gradients = tracked.weights().gradients(&mut gradients);
        let part = |value: &Tensor<1>| f64::from(floats(value.clone())[0]);
        let codes = Codes::of(loss.codes.inner());
        Step {
            total: part(&loss.total),
            squared_error: part(&loss.squared_error),
            sparsity: part(&loss.sparsity),
            auxiliary: part(&loss.auxiliary),
            revival: part(&loss.revival),
            gradients: gradients
                .into_iter()
                .map(|values| values.map(floats))
                .collect(),
            active: codes.counts(),
            least: codes.least(),
        }
    }

    /// The same by shards of the batch, each on a thread of its own; the shards' sizes, and so the bits, are the same for any
    /// number of threads.
    fn sharded(&self, x: &[f32], target: &[f32], strength: &Strength, workers: Workers) -> Step {
        let shards: Vec<_> = x
            .chunks(SHARD * self.d_in())
            .zip(target.chunks(SHARD * self.d_out()))
            .collect();
        let count = x.len();
        let steps = workers.map(shards.len(), |at| {
            let (x, target) = shards[at];
            Ok::<_, std::convert::Infallible>(self.dense(x, target, strength))
        });
        let steps = steps.unwrap_or_else(|never| match never {});
        let shares = shards.iter().map(|(x, _)| x.len() as f64 / count as f64);
        let mut weighted = steps.into_iter().zip(shares);
        let (mut sum, share) = weighted.next().expect("a batch has a sample");
        sum.scale(share);
        for (step, share) in weighted {
            sum.add(step, share);
        }
        sum
    }
}

/// What a sparse step is told.
struct Plan<'a> {
    selection: Selection,
    prefixes: Vec<usize>,
    revive: Option<Revive<'a>>,
    /// Whether codes are in units of the decoder's norms.
    rescale: bool,
    /// What samples are multiplied by.
    unit: f32,
}

impl Step {
    fn parts(&mut self) -> [&mut f64; 5] {
        [
            &mut self.total,
            &mut self.squared_error,
            &mut self.sparsity,
            &mut self.auxiliary,
            &mut self.revival,
        ]
    }

    fn scale(&mut self, share: f64) {
        for part in self.parts() {
            *part *= share;
        }
        for value in self.gradients.iter_mut().flatten().flatten() {
            *value *= share as f32;
        }
    }

    /// Adds a share of another shard's.
    fn add(&mut self, mut other: Self, share: f64) {
        for (part, other) in self.parts().into_iter().zip(other.parts()) {
            *part += share * *other;
        }
        for (sum, values) in self.gradients.iter_mut().zip(other.gradients) {
            if let (Some(sum), Some(values)) = (sum, values) {
                codes::add(sum, share as f32, &values);
            }
        }
        for (sum, count) in self.active.iter_mut().zip(other.active) {
            *sum += count;
        }
        self.least = match (self.least, other.least) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

#[cfg(test)]
mod tests;
