//! The loss of a sparse dictionary and its gradient, by the latents that are on.
//!
//! A code of `k` active latents is decoded from `k` rows of the decoder, and its gradient reaches `k` rows of the decoder
//! and `k` columns of the encoder: what a dense pass spends on the other latents is multiplied by zero. One product
//! remains, that of all samples and the encoder, since which latents are the largest is not known before.
//!
//! Samples are taken in blocks, so that pre-activations stay in the processor's cache; gradients are then summed latent by
//! latent, each over its samples in their order. The sums do not depend on the number of threads.

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{Workers, floats};

use super::codes::{Codes, add, dot};
use super::select::{bar, top_k};

/// Samples that a thread takes at a time.
const BLOCK: usize = 256;

/// Latents whose gradients a thread sums at a time.
const LATENTS: usize = 128;

/// How the latents that are on are chosen: those of a sample, or of all samples together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The `k` largest of each sample (Gao et al. 2024).
    Sample(usize),
    /// The `k` per sample that are the largest of the batch (Bussmann et al. 2024).
    Batch(usize),
}

/// A dictionary as its rows lie in memory.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// `W_enc` `[d_in, d_sae]`.
    pub encoder: &'a Tensor<2>,
    /// `b_enc` `[d_sae]`.
    pub bias: &'a [f32],
    /// `W_dec` `[d_sae, d_out]`.
    pub decoder: &'a [f32],
    /// `b_dec` `[d_out]`.
    pub centre: &'a [f32],
    /// Whether the encoder sees what is left without the centre.
    pub centred: bool,
}

/// What is asked of a step beside the dictionary.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Which latents are on.
    pub selection: Selection,
    /// Where each nested dictionary ends, ascending; the last is all of them (Bussmann et al. 2025). One, `[d_sae]`, is a
    /// plain dictionary.
    pub prefixes: &'a [usize],
    /// Latents to be revived: which are dead, how many of them explain the residual, and the weight of that term (Gao et
    /// al. 2024, section A.2).
    pub revive: Option<Revive<'a>>,
}

/// The auxiliary loss that gives dead latents a gradient.
#[derive(Debug, Clone, Copy)]
pub struct Revive<'a> {
    /// Which latents are dead.
    pub dead: &'a [bool],
    /// How many of them are on in a sample.
    pub k: usize,
    /// What `||e - e'||^2` is multiplied by.
    pub weight: f32,
}

/// A loss and its gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Mean over samples of the squared error, summed over nested dictionaries.
    pub loss: f64,
    /// Mean over samples of the squared error of the whole dictionary.
    pub squared_error: f64,
    /// The auxiliary term with its weight.
    pub auxiliary: f64,
    /// The codes.
    pub codes: Codes,
    /// By `W_enc` `[d_in, d_sae]`.
    pub encoder: Vec<f32>,
    /// By `b_enc`.
    pub bias: Vec<f32>,
    /// By `W_dec` `[d_sae, d_out]`.
    pub decoder: Vec<f32>,
    /// By `b_dec`.
    pub centre: Vec<f32>,
}

/// A latent that is on in a sample.
struct Active {
    latent: u32,
    /// Its value in the code, which weighs the gradient of its decoder row.
    value: f32,
    /// The loss's derivative by that value, which weighs the gradient of its encoder column.
    slope: f32,
    /// Which derivative by the output its decoder row has: that of its nested dictionary, or of the auxiliary term.
    output: u32,
}

/// What a block of samples gives.
#[derive(Default)]
struct Block {
    codes: Codes,
    active: Vec<Active>,
    /// Where each sample's active latents end.
    ends: Vec<usize>,
    /// The loss's derivatives by outputs `[sample, output, d_out]`.
    outputs: Vec<f32>,
    /// The encoder's input `[sample, d_in]`.
    input: Vec<f32>,
    loss: f64,
    squared_error: f64,
    auxiliary: f64,
}

impl Rows<'_> {
    fn widths(&self) -> [usize; 3] {
        let [d_in, d_sae] = self.encoder.dims();
        [d_in, d_sae, self.centre.len()]
    }

    /// The encoder's input and pre-activations of a block of samples `[sample, d_in]`.
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
        }
        (input, before)
    }

    /// The codes of samples, row-major `[sample, d_in]`.
    pub fn codes(&self, x: &[f32], selection: Selection, workers: Workers) -> Codes {
        let [d_in, d_sae, _] = self.widths();
        let device = self.encoder.device();
        let blocks: Vec<&[f32]> = x.chunks(BLOCK * d_in).collect();
        let mut codes = Codes::new(d_sae);
        match selection {
            Selection::Sample(k) => {
                let found = each(workers, blocks.len(), |at| {
                    let (_, before) = self.encode(blocks[at], &device);
                    largest(&before, d_sae, k)
                });
                for block in &found {
                    codes.extend(block);
                }
            }
            Selection::Batch(_) => {
                let before = each(workers, blocks.len(), |at| {
                    self.encode(blocks[at], &device).1
                });
                for block in of_batch(&before, d_sae, selection, x.len() / d_in) {
                    codes.extend(&block);
                }
            }
        }
        codes
    }

    /// What codes stand for `[sample, d_out]`, row-major.
    pub fn decode(&self, codes: &Codes) -> Vec<f32> {
        let [_, _, d_out] = self.widths();
        let mut out = Vec::with_capacity(codes.len() * d_out);
        for (latents, values) in codes.iter() {
            let first = out.len();
            out.extend_from_slice(self.centre);
            for (&latent, &value) in latents.iter().zip(values) {
                add(&mut out[first..], value, self.row(latent));
            }
        }
        out
    }

    fn row(&self, latent: u32) -> &[f32] {
        let d_out = self.centre.len();
        &self.decoder[latent as usize * d_out..][..d_out]
    }

    /// The loss of samples `[sample, d_in]` whose reconstruction should be `target` `[sample, d_out]`, and its gradient.
    pub fn step(&self, x: &[f32], target: &[f32], terms: Terms<'_>, workers: Workers) -> Step {
        let [d_in, d_sae, d_out] = self.widths();
        let device = self.encoder.device();
        let count = x.len() / d_in;
        let parts: Vec<(&[f32], &[f32])> = x
            .chunks(BLOCK * d_in)
            .zip(target.chunks(BLOCK * d_out))
            .collect();
        let blocks = match terms.selection {
            Selection::Sample(k) => each(workers, parts.len(), |at| {
                let (input, before) = self.encode(parts[at].0, &device);
                let codes = largest(&before, d_sae, k);
                self.backward(input, &before, codes, parts[at].1, terms, count)
            }),
            Selection::Batch(_) => {
                let encoded = each(workers, parts.len(), |at| self.encode(parts[at].0, &device));
                let (inputs, before): (Vec<_>, Vec<_>) = encoded.into_iter().unzip();
                let codes = of_batch(&before, d_sae, terms.selection, count);
                each(workers, parts.len(), |at| {
                    let (input, codes) = (inputs[at].clone(), codes[at].clone());
                    self.backward(input, &before[at], codes, parts[at].1, terms, count)
                })
            }
        };
        self.gather(blocks, terms, workers)
    }

    /// Reconstructions of a block, their error, and the derivatives by outputs and by active values.
    fn backward(
        &self,
        input: Vec<f32>,
        before: &[f32],
        codes: Codes,
        target: &[f32],
        terms: Terms<'_>,
        count: usize,
    ) -> Block {
        let [_, d_sae, d_out] = self.widths();
        let nested = terms.prefixes.len();
        let width = (nested + usize::from(terms.revive.is_some())) * d_out;
        let share = 1.0 / count as f64;
        let slope_of_square = 2.0 / count as f32;
        let mut block = Block {
            input,
            ..Block::default()
        };
        let mut room = Vec::new();
        let mut out = vec![0.0; d_out];
        for (sample, (wanted, (latents, values))) in
            target.chunks(d_out).zip(codes.iter()).enumerate()
        {
            let first = block.outputs.len();
            block.outputs.resize(first + width, 0.0);
            let outputs = &mut block.outputs[first..];
            out.copy_from_slice(self.centre);
            let mut next = 0;
            let mut error = 0.0;
            let mut nest_of = Vec::with_capacity(latents.len());
            for (nest, &end) in terms.prefixes.iter().enumerate() {
                while next < latents.len() && (latents[next] as usize) < end {
                    add(&mut out, values[next], self.row(latents[next]));
                    nest_of.push(nest as u32);
                    next += 1;
                }
                error = 0.0;
                let derivative = &mut outputs[nest * d_out..][..d_out];
                for ((derivative, &out), &wanted) in derivative.iter_mut().zip(&out).zip(wanted) {
                    let left = out - wanted;
                    error += f64::from(left) * f64::from(left);
                    *derivative = slope_of_square * left;
                }
                block.loss += error * share;
            }
            block.squared_error += error * share;
            // A row of an inner dictionary is part of all the outer ones.
            for nest in (0..nested.saturating_sub(1)).rev() {
                let (inner, outer) = outputs.split_at_mut((nest + 1) * d_out);
                add(&mut inner[nest * d_out..], 1.0, &outer[..d_out]);
            }
            for ((&latent, &value), &nest) in latents.iter().zip(values).zip(&nest_of) {
                block.active.push(Active {
                    latent,
                    value,
                    slope: dot(&outputs[nest as usize * d_out..][..d_out], self.row(latent)),
                    output: nest,
                });
            }
            if let Some(revive) = terms.revive {
                // The residual, which the auxiliary term takes as given.
                let before = &before[sample * d_sae..][..d_sae];
                let dead: Vec<f32> = before
                    .iter()
                    .zip(revive.dead)
                    .map(|(&value, &dead)| if dead { value } else { 0.0 })
                    .collect();
                let mut left: Vec<f32> = out.iter().zip(wanted).map(|(o, w)| o - w).collect();
                let mut chosen = Vec::with_capacity(revive.k);
                top_k(&dead, revive.k, &mut room, |latent, value| {
                    chosen.push((latent, value));
                });
                for &(latent, value) in &chosen {
                    add(&mut left, value, self.row(latent));
                }
                let error: f64 = left.iter().map(|&l| f64::from(l) * f64::from(l)).sum();
                block.auxiliary += error * share * f64::from(revive.weight);
                let derivative = &mut outputs[nested * d_out..];
                add(derivative, slope_of_square * revive.weight, &left);
                for (latent, value) in chosen {
                    block.active.push(Active {
                        latent,
                        value,
                        slope: dot(derivative, self.row(latent)),
                        output: nested as u32,
                    });
                }
            }
            block.ends.push(block.active.len());
        }
        block.codes = codes;
        block
    }

    /// Sums what blocks give, latent by latent.
    fn gather(&self, blocks: Vec<Block>, terms: Terms<'_>, workers: Workers) -> Step {
        let [d_in, d_sae, d_out] = self.widths();
        let nested = terms.prefixes.len();
        let width = (nested + usize::from(terms.revive.is_some())) * d_out;
        let lists = by_latent(&blocks, d_sae);
        let chunks = each(workers, d_sae.div_ceil(LATENTS), |chunk| {
            let latents = chunk * LATENTS..d_sae.min((chunk + 1) * LATENTS);
            let mut decoder = vec![0.0; latents.len() * d_out];
            let mut encoder = vec![0.0; latents.len() * d_in];
            let mut bias = vec![0.0; latents.len()];
            for (at, latent) in latents.enumerate() {
                let decoder = &mut decoder[at * d_out..][..d_out];
                let encoder = &mut encoder[at * d_in..][..d_in];
                for &(block, sample, active) in &lists.places[lists.range(latent)] {
                    let block = &blocks[block as usize];
                    let active = &block.active[active as usize];
                    let sample = sample as usize;
                    let output = sample * width + active.output as usize * d_out;
                    add(decoder, active.value, &block.outputs[output..][..d_out]);
                    add(encoder, active.slope, &block.input[sample * d_in..][..d_in]);
                    bias[at] += active.slope;
                }
            }
            (decoder, transposed(&encoder, d_in), bias)
        });
        let mut step = Step {
            loss: blocks.iter().map(|block| block.loss).sum(),
            squared_error: blocks.iter().map(|block| block.squared_error).sum(),
            auxiliary: blocks.iter().map(|block| block.auxiliary).sum(),
            codes: Codes::new(d_sae),
            encoder: vec![0.0; d_in * d_sae],
            bias: Vec::with_capacity(d_sae),
            decoder: Vec::with_capacity(d_sae * d_out),
            centre: vec![0.0; d_out],
        };
        step.loss += step.auxiliary;
        for (chunk, (decoder, encoder, bias)) in chunks.iter().enumerate() {
            step.decoder.extend_from_slice(decoder);
            step.bias.extend_from_slice(bias);
            let into = step.encoder.chunks_mut(d_sae);
            for (all, some) in into.zip(encoder.chunks(bias.len())) {
                all[chunk * LATENTS..][..some.len()].copy_from_slice(some);
            }
        }
        for block in &blocks {
            step.codes.extend(&block.codes);
            for outputs in block.outputs.chunks(width) {
                add(&mut step.centre, 1.0, &outputs[..d_out]);
            }
        }
        if self.centred {
            // Every sample's encoder input has the centre taken away.
            let bias = TensorData::new(step.bias.clone(), [d_sae, 1]);
            let bias = Tensor::<2>::from_data(bias, &self.encoder.device());
            add(
                &mut step.centre,
                -1.0,
                &floats(self.encoder.clone().matmul(bias)),
            );
        }
        step
    }
}

/// Where each latent is on.
struct Lists {
    starts: Vec<usize>,
    /// Block, sample of the block, and number among the block's active latents.
    places: Vec<(u32, u32, u32)>,
}

impl Lists {
    fn range(&self, latent: usize) -> std::ops::Range<usize> {
        self.starts[latent]..self.starts[latent + 1]
    }
}

fn by_latent(blocks: &[Block], d_sae: usize) -> Lists {
    let mut starts = vec![0usize; d_sae + 1];
    for active in blocks.iter().flat_map(|block| &block.active) {
        starts[active.latent as usize + 1] += 1;
    }
    for latent in 0..d_sae {
        starts[latent + 1] += starts[latent];
    }
    let mut next = starts.clone();
    let mut places = vec![(0, 0, 0); starts[d_sae]];
    for (number, block) in blocks.iter().enumerate() {
        let mut at = 0;
        for (sample, &end) in block.ends.iter().enumerate() {
            for active in at..end {
                let slot = &mut next[block.active[active].latent as usize];
                places[*slot] = (number as u32, sample as u32, active as u32);
                *slot += 1;
            }
            at = end;
        }
    }
    Lists { starts, places }
}

/// The largest of each sample's pre-activations.
fn largest(before: &[f32], d_sae: usize, k: usize) -> Codes {
    let mut codes = Codes::new(d_sae);
    let mut room = Vec::new();
    for sample in before.chunks(d_sae) {
        top_k(sample, k, &mut room, |latent, value| {
            codes.push(latent, value);
        });
        codes.end_sample();
    }
    codes
}

/// The largest of all samples' pre-activations, block by block.
fn of_batch(before: &[Vec<f32>], d_sae: usize, selection: Selection, count: usize) -> Vec<Codes> {
    let Selection::Batch(k) = selection else {
        unreachable!("samples choose for themselves");
    };
    let rows: Vec<&[f32]> = before.iter().map(Vec::as_slice).collect();
    let found = bar(&rows, k * count);
    let (bar, mut equal) = found.unwrap_or((0.0, 0));
    let block = |block: &Vec<f32>| {
        let mut codes = Codes::new(d_sae);
        for sample in block.chunks(d_sae) {
            for (latent, &value) in sample.iter().enumerate() {
                let on = value > bar || (value == bar && equal > 0 && bar > 0.0);
                if on {
                    equal -= usize::from(value == bar);
                    codes.push(latent as u32, value);
                }
            }
            codes.end_sample();
        }
        codes
    };
    before.iter().map(block).collect()
}

/// `[row, column]` as `[column, row]`.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    let mut out = vec![0.0; values.len()];
    for (row, values) in values.chunks(columns).enumerate() {
        for (column, &value) in values.iter().enumerate() {
            out[column * rows + row] = value;
        }
    }
    out
}

/// Jobs that cannot fail.
fn each<T: Send>(workers: Workers, jobs: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let done = workers.map(jobs, |at| Ok::<T, std::convert::Infallible>(job(at)));
    done.unwrap_or_else(|never| match never {})
}

#[cfg(test)]
mod tests;
