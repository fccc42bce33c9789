//! The tuned lens.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use mr_models::{ModelError, Weights, read_tensors, write_tensors};

use crate::error::CircuitError;
use crate::lens::Streams;

/// An affine translator for each stream but the last, `x + x A + b`, fitted so that the network's own head
/// reads off it what the whole network says (Belrose et al. 2023, eq. 8). The identity is the logit lens.
#[derive(Debug, Clone)]
pub struct TunedLens {
    weights: Weights,
    layers: usize,
}

impl TunedLens {
    /// The identity, for so many streams of so many channels.
    pub fn identity(layers: usize, width: usize, device: &Device) -> Self {
        let mut weights = Weights::default();
        for layer in 0..layers {
            let zeros = vec![0.0; width * width];
            weights.push(
                &format!("{layer}.weight"),
                &[width, width],
                zeros,
                true,
                device,
            );
            weights.push(
                &format!("{layer}.bias"),
                &[width],
                vec![0.0; width],
                true,
                device,
            );
        }
        Self { weights, layers }
    }

    /// The identity for the streams of a run.
    pub fn of(streams: &Streams<'_>) -> Self {
        let first = &streams.values()[0];
        Self::identity(streams.values().len() - 1, first.dims()[2], &first.device())
    }

    /// `LAYER.weight` and `LAYER.bias` of each translator.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The same translators with other weights.
    #[must_use]
    pub fn with_weights(&self, weights: Weights) -> Self {
        Self {
            weights,
            ..self.clone()
        }
    }

    /// Number of translators.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// A stream as its translator gives it; the last one as it is.
    pub fn translated(&self, layer: usize, stream: Tensor<3>) -> Tensor<3> {
        if layer >= self.layers {
            return stream;
        }
        let weight = self.weights.get::<2>(&format!("{layer}.weight"));
        let bias = self.weights.get::<1>(&format!("{layer}.bias"));
        let change = stream.clone().matmul(weight.unsqueeze()) + bias.unsqueeze();
        stream + change
    }

    /// Saves it as safetensors.
    ///
    /// # Errors
    /// [`CircuitError::Model`] if the file cannot be written.
    pub fn save(&self, about: &[(&str, &str)], path: &Path) -> Result<(), CircuitError> {
        Ok(write_tensors(path, &self.weights.to_host(), about)?)
    }

    /// Loads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`CircuitError::Model`] if the file cannot be read, or does not hold a translator for each stream of
    /// these.
    pub fn load(path: &Path, streams: &Streams<'_>) -> Result<Self, CircuitError> {
        let (tensors, _) = read_tensors(path)?;
        let lens = Self::of(streams);
        let device = streams.values()[0].device();
        let weights = lens
            .weights
            .replaced_by(tensors, &device)
            .map_err(|error| {
                ModelError::Unfit(format!(
                    "{}: a lens of another network: {error}",
                    path.display()
                ))
            })?;
        Ok(lens.with_weights(weights))
    }
}
