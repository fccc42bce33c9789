//! A dictionary at its site.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use mr_models::{Input, Model, ModelError, ModelSpec, Workers, run_with_cache};
use mr_sae::{Dictionary, samples};

use super::Setup;
use crate::error::AttackError;

/// A dictionary that writes what it reads, and where.
#[derive(Clone)]
pub(super) struct Spot {
    pub(super) dictionary: Arc<dyn Dictionary>,
    pub(super) site: String,
}

/// What the network and the dictionary make of a batch.
pub(super) struct Seen {
    /// Logits `[batch, position, class]`.
    pub(super) logits: Tensor<3>,
    /// The activation `[batch, position, channel]`.
    pub(super) x: Tensor<3>,
    /// Codes `[batch, position, latent]`.
    pub(super) codes: Tensor<3>,
}

impl Spot {
    pub(super) fn new(
        dictionary: Arc<dyn Dictionary>,
        site: &str,
        spec: &ModelSpec,
    ) -> Result<Self, AttackError> {
        let channels = spec.site(site)?.channels;
        let widths = [dictionary.d_in(), dictionary.d_out()];
        if widths != [channels; 2] {
            return Err(AttackError::Model(ModelError::Unfit(format!(
                "a dictionary from {} to {} channels at `{site}`, which has {channels}: a card is of one that writes what it reads",
                widths[0], widths[1]
            ))));
        }
        Ok(Self {
            dictionary,
            site: site.into(),
        })
    }

    pub(super) fn latents(&self) -> usize {
        self.dictionary.d_sae()
    }

    /// Codes `[batch, position, latent]` of an activation `[batch, position, channel]`.
    pub(super) fn codes(&self, x: &Tensor<3>) -> Tensor<3> {
        let [batch, positions, _] = x.dims();
        let codes = self.dictionary.encode(samples(x.clone()));
        codes.reshape([batch, positions, self.latents()])
    }

    pub(super) fn see(&self, model: &dyn Model, input: &Input) -> Result<Seen, AttackError> {
        let (logits, cache) = run_with_cache(model, input, &[&self.site])?;
        let x = cache.expect(&self.site).clone();
        let codes = self.codes(&x);
        Ok(Seen { logits, x, codes })
    }
}

impl Setup<'_> {
    /// The examples in batches, one thread each: what `of` makes of their numbers in the data, in their order.
    pub(super) fn batches<T: Send>(
        &self,
        of: impl Fn(&[usize]) -> Result<T, AttackError> + Sync,
    ) -> Result<Vec<T>, AttackError> {
        let all: Vec<usize> = (0..self.data.len()).collect();
        let batches: Vec<&[usize]> = all.chunks(self.running.batch_size).collect();
        Workers::new(self.running.threads).map(batches.len(), |at| of(batches[at]))
    }

    /// These examples at these points.
    pub(super) fn at(&self, points: &[f32], rows: &[usize]) -> Input {
        let [channels, height, width] = self.data.shape();
        let size = channels * height * width;
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|row| &points[row * size..(row + 1) * size])
            .copied()
            .collect();
        let data = TensorData::new(values, [rows.len(), channels, height, width]);
        Input::Real(Tensor::from_data(data, &self.model.device()))
    }
}
