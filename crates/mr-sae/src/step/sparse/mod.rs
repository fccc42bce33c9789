//! The loss of a sparse dictionary and its gradient, by the latents that are on.
//!
//! A code of `k` active latents is decoded from `k` rows of the decoder, and its gradient reaches `k` rows of the decoder
//! and `k` columns of the encoder: what a dense pass spends on the other latents is multiplied by zero. One product
//! remains, that of all samples and the encoder, since which latents are the largest is not known before.
//!
//! Samples are taken in blocks, so that pre-activations stay in the processor's cache; gradients are then summed latent by
//! latent, each over its samples in their order. The sums do not depend on the number of threads.

mod block;
mod gather;

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{Workers, floats};

use super::codes::{Codes, add};
use super::select::{bar, top_k};

/// Samples that a thread takes at a time.
const BLOCK: usize = 256;

/// How the latents that are on are chosen: those of a sample, or of all samples together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    /// So many, the largest of each sample (Gao et al. 2024).
    Sample(usize),
    /// So many, the largest of the batch (Bussmann et al. 2024).
    Batch(usize),
}

/// A dictionary as its rows lie in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    /// `W_enc` `[d_in, d_sae]`.
    pub(super) encoder: &'a Tensor<2>,
    /// `b_enc` `[d_sae]`.
    pub(super) bias: &'a [f32],
    /// `W_dec` `[d_sae, d_out]`.
    pub(super) decoder: &'a [f32],
    /// `b_dec` `[d_out]`.
    pub(super) centre: &'a [f32],
    /// Whether the encoder sees what is left without the centre.
    pub(super) centred: bool,
    /// The decoder's norms, where codes are in their units.
    pub(super) norms: Option<&'a [f32]>,
}

/// What is asked of a step beside the dictionary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Which latents are on.
    pub(super) selection: Selection,
    /// Where each nested dictionary ends, ascending; the last is all of them (Bussmann et al. 2025). One,
    /// `[d_sae]`, is a plain dictionary.
    pub(super) prefixes: &'a [usize],
    /// What is done for dead latents.
    pub(super) revive: Option<Revive<'a>>,
}

/// The auxiliary loss that gives dead latents a gradient (Gao et al. 2024, A.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Revive<'a> {
    /// Which latents are dead.
    pub(super) dead: &'a [bool],
    /// How many of them are on in a sample.
    pub(super) k: usize,
    /// What `||e - e'||^2` is multiplied by.
    pub(super) weight: f32,
}

/// A loss and its gradient.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gradient {
    /// Mean over samples of the squared error of the inner nested dictionaries.
    pub(super) inner: f64,
    /// Mean over samples of the squared error of the whole dictionary.
    pub(super) squared_error: f64,
    /// The term for dead latents, with its weight.
    pub(super) revival: f64,
    /// The codes.
    pub(super) codes: Codes,
    /// By `W_enc` `[d_in, d_sae]`.
    pub(super) encoder: Vec<f32>,
    /// By `b_enc`.
    pub(super) bias: Vec<f32>,
    /// By `W_dec` `[d_sae, d_out]`.
    pub(super) decoder: Vec<f32>,
    /// By `b_dec`.
    pub(super) centre: Vec<f32>,
}

impl Rows<'_> {
    /// `d_in`, `d_sae`, `d_out`.
    fn widths(&self) -> [usize; 3] {
        let [d_in, d_sae] = self.encoder.dims();
        [d_in, d_sae, self.centre.len()]
    }

    /// The decoder's row of a latent.
    fn row(&self, latent: u32) -> &[f32] {
        let d_out = self.centre.len();
        &self.decoder[latent as usize * d_out..][..d_out]
    }

    /// A code's value in units of the decoder's row.
    fn activity(&self, latent: u32, value: f32) -> f32 {
        self.norms
            .map_or(value, |norms| value / norms[latent as usize])
    }

    /// The encoder's input and pre-activations of a block of samples `[sample, d_in]`, in the codes' units.
    fn encode(&self, x: &[f32], device: &Device) -> (Vec<f32>, Vec<f32>) {
        let [d_in, d_sae, _] = self.widths();
        let mut input = x.to_vec();
        if self.centred {
            for sample in input.chunks_mut(d_in) {
                add(sample, -1.0, self.centre);
            }
        }
        let count = input.len() / d_in;
        let tensor = Tensor::<2>::from_data(TensorData::new(input.clone(), [count, d_in]), device);
        let mut before = floats(tensor.matmul(self.encoder.clone()));
        for sample in before.chunks_mut(d_sae) {
            add(sample, 1.0, self.bias);
            if let Some(norms) = self.norms {
                for (value, norm) in sample.iter_mut().zip(norms) {
                    *value *= norm;
                }
            }
        }
        (input, before)
    }

    /// The loss of samples `[sample, d_in]` whose reconstruction should be `target` `[sample, d_out]`, and its
    /// gradient.
    pub(super) fn gradient(
        &self,
        x: &[f32],
        target: &[f32],
        terms: Terms<'_>,
        workers: Workers,
    ) -> Gradient {
        let [d_in, d_sae, d_out] = self.widths();
        let device = self.encoder.device();
        let count = x.len() / d_in;
        let parts: Vec<(&[f32], &[f32])> = x
            .chunks(BLOCK * d_in)
            .zip(target.chunks(BLOCK * d_out))
            .collect();
        let blocks = match terms.selection {
            Selection::Sample(k) => each(workers, parts.len(), |at| {
                let (x, target) = parts[at];
                let (input, before) = self.encode(x, &device);
                let codes = largest(&before, d_sae, k);
                self.backward(input, &before, codes, target, terms, count)
            }),
            Selection::Batch(k) => {
                let encoded = each(workers, parts.len(), |at| self.encode(parts[at].0, &device));
                let codes = largest_of_all(&encoded, d_sae, k);
                let coded: Vec<_> = encoded.into_iter().zip(codes).collect();
                each(workers, parts.len(), |at| {
                    let ((input, before), codes) = &coded[at];
                    let (input, codes) = (input.clone(), codes.clone());
                    self.backward(input, before, codes, parts[at].1, terms, count)
                })
            }
        };
        self.gather(&blocks, terms, workers)
    }
}

impl Terms<'_> {
    /// How many derivatives by outputs a sample has: one for each nested dictionary, and one for the dead.
    fn outputs(&self) -> usize {
        self.prefixes.len() + usize::from(self.revive.is_some())
    }
}

/// The largest of each sample's pre-activations.
fn largest(before: &[f32], d_sae: usize, k: usize) -> Codes {
    let mut codes = Codes::new(d_sae);
    let mut room = Vec::new();
    for sample in before.chunks(d_sae) {
        top_k(sample, k, 0.0, &mut room, |latent, value| {
            codes.push(latent, value);
        });
        codes.end_sample();
    }
    codes
}

/// The largest of all samples' pre-activations, block by block; of equal ones the first.
fn largest_of_all(encoded: &[(Vec<f32>, Vec<f32>)], d_sae: usize, k: usize) -> Vec<Codes> {
    let rows: Vec<&[f32]> = encoded
        .iter()
        .map(|(_, before)| before.as_slice())
        .collect();
    let (bar, mut equal) = bar(&rows, k).unwrap_or((0.0, 0));
    let mut block = |block: &&[f32]| {
        let mut codes = Codes::new(d_sae);
        for sample in block.chunks(d_sae) {
            for (latent, &value) in sample.iter().enumerate() {
                let at_bar = value.to_bits() == bar.to_bits() && equal > 0;
                if value > bar || at_bar {
                    equal -= usize::from(at_bar);
                    codes.push(latent as u32, value);
                }
            }
            codes.end_sample();
        }
        codes
    };
    rows.iter().map(&mut block).collect()
}

/// Jobs that cannot fail.
fn each<T: Send>(workers: Workers, jobs: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let done = workers.map(jobs, |at| Ok::<T, std::convert::Infallible>(job(at)));
    done.unwrap_or_else(|never| match never {})
}

#[cfg(test)]
mod tests;
