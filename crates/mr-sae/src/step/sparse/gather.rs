//! Gradients summed latent by latent.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use mr_models::{Workers, floats};

use super::super::codes::{Codes, add};
use super::block::Block;
use super::{Gradient, Rows, Terms, each};

/// Latents whose gradients a thread sums at a time.
const LATENTS: usize = 128;

impl Rows<'_> {
    /// Sums what blocks give: each latent's gradient over the samples in their order.
    pub(super) fn gather(&self, blocks: &[Block], terms: Terms<'_>, workers: Workers) -> Gradient {
        let [d_in, d_sae, d_out] = self.widths();
        let lists = Lists::of(blocks, d_sae);
        let chunks = each(workers, d_sae.div_ceil(LATENTS), |chunk| {
            let latents = chunk * LATENTS..d_sae.min((chunk + 1) * LATENTS);
            self.chunk(blocks, &lists, terms, latents)
        });
        let mut gradient = Gradient {
            inner: blocks.iter().map(|block| block.inner).sum(),
            squared_error: blocks.iter().map(|block| block.squared_error).sum(),
            revival: blocks.iter().map(|block| block.revival).sum(),
            codes: Codes::new(d_sae),
            encoder: vec![0.0; d_in * d_sae],
            bias: Vec::with_capacity(d_sae),
            decoder: Vec::with_capacity(d_sae * d_out),
            centre: vec![0.0; d_out],
        };
        for (number, chunk) in chunks.iter().enumerate() {
            gradient.decoder.extend_from_slice(&chunk.decoder);
            gradient.bias.extend_from_slice(&chunk.bias);
            let rows = gradient.encoder.chunks_mut(d_sae);
            for (row, part) in rows.zip(chunk.encoder.chunks(chunk.bias.len())) {
                row[number * LATENTS..][..part.len()].copy_from_slice(part);
            }
        }
        for block in blocks {
            gradient.codes.extend(&block.codes);
            for outputs in block.outputs.chunks(terms.outputs() * d_out) {
                add(&mut gradient.centre, 1.0, &outputs[..d_out]);
            }
        }
        if self.centred {
            // What the encoder reads has the centre taken away in every sample.
            let bias = TensorData::new(gradient.bias.clone(), [d_sae, 1]);
            let bias = Tensor::<2>::from_data(bias, &self.encoder.device());
            let reached = floats(self.encoder.clone().matmul(bias));
            add(&mut gradient.centre, -1.0, &reached);
        }
        gradient
    }

    fn chunk(
        &self,
        blocks: &[Block],
        lists: &Lists,
        terms: Terms<'_>,
        latents: Range<usize>,
    ) -> Chunk {
        let [d_in, _, d_out] = self.widths();
        let mut decoder = vec![0.0; latents.len() * d_out];
        let mut encoder = vec![0.0; latents.len() * d_in];
        let mut bias = vec![0.0; latents.len()];
        for (at, latent) in latents.enumerate() {
            let decoder = &mut decoder[at * d_out..][..d_out];
            let encoder = &mut encoder[at * d_in..][..d_in];
            for place in lists.of_latent(latent) {
                let block = &blocks[place.block as usize];
                let active = &block.active[place.active as usize];
                let sample = place.sample as usize;
                let output = (sample * terms.outputs() + active.output as usize) * d_out;
                add(decoder, active.activity, &block.outputs[output..][..d_out]);
                add(encoder, active.slope, &block.input[sample * d_in..][..d_in]);
                bias[at] += active.slope;
            }
        }
        Chunk {
            decoder,
            encoder: transposed(&encoder, d_in),
            bias,
        }
    }
}

/// The gradients of some latents: `[latent, d_out]`, `[d_in, latent]`, `[latent]`.
struct Chunk {
    decoder: Vec<f32>,
    encoder: Vec<f32>,
    bias: Vec<f32>,
}

/// Where a latent is on.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    block: u32,
    /// The sample of the block.
    sample: u32,
    /// The number among the block's active latents.
    active: u32,
}

/// Where each latent is on, in the order of samples.
struct Lists {
    starts: Vec<usize>,
    places: Vec<Place>,
}

impl Lists {
    fn of(blocks: &[Block], d_sae: usize) -> Self {
        let mut starts = vec![0; d_sae + 1];
        for active in blocks.iter().flat_map(|block| &block.active) {
            starts[active.latent as usize + 1] += 1;
        }
        for latent in 0..d_sae {
            starts[latent + 1] += starts[latent];
        }
        let mut next = starts.clone();
        let mut places = vec![Place::default(); starts[d_sae]];
        for (number, block) in blocks.iter().enumerate() {
            let mut first = 0;
            for (sample, &end) in block.ends.iter().enumerate() {
                for active in first..end {
                    let slot = &mut next[block.active[active].latent as usize];
                    places[*slot] = Place {
                        block: number as u32,
                        sample: sample as u32,
                        active: active as u32,
                    };
                    *slot += 1;
                }
                first = end;
            }
        }
        Self { starts, places }
    }

    fn of_latent(&self, latent: usize) -> &[Place] {
        &self.places[self.starts[latent]..self.starts[latent + 1]]
    }
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
