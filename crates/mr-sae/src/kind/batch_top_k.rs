//! The largest latents of a batch.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::{Rule, Vector, selection};
use crate::config::SaeConfig;
use crate::error::SaeError;
use crate::sae::Sae;

/// The largest pre-activations of a training batch, `k` per sample on average; after training, whatever
/// is above a threshold: the running mean of the smallest activity of a batch (Bussmann et al. 2024,
/// with SAELens's running mean for the mean over batches at the end).
///
/// The threshold is a weight, equal for all latents, that no gradient changes:
/// [`Sae::follow`] moves it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchTopK {
    /// Active latents of a sample, on average; above 0, at most `d_sae`.
    pub k: f32,
    /// Whether latents are compared in units of their decoder norms.
    #[serde(default = "super::top_k::rescaled")]
    pub rescale: bool,
    /// How much of the running threshold a batch replaces, from 0 to 1.
    #[serde(default = "hundredth")]
    pub rate: f32,
}

pub(super) fn hundredth() -> f32 {
    0.01
}

impl BatchTopK {
    /// So many active latents on average, with SAELens's defaults.
    pub fn new(k: f32) -> Self {
        Self {
            k,
            rescale: true,
            rate: hundredth(),
        }
    }
}

impl Rule for BatchTopK {
    fn check(&self, config: &SaeConfig) -> Result<(), SaeError> {
        if !(self.k > 0.0 && self.k <= config.d_sae as f32) {
            let valid = format!("above 0, at most d_sae, which is {}", config.d_sae);
            return Err(SaeError::setting("k", self.k, valid));
        }
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(SaeError::setting("rate", self.rate, "from 0 to 1"));
        }
        Ok(())
    }

    fn vectors(&self) -> Vec<Vector> {
        let threshold = Vector {
            name: "threshold",
            value: 0.0,
            trainable: false,
        };
        vec![Vector::zero("b_enc"), threshold]
    }

    fn rescales(&self) -> bool {
        self.rescale
    }

    fn codes(&self, sae: &Sae, _: &Tensor<2>, pre: Tensor<2>, training: bool) -> Tensor<2> {
        let active = relu(pre);
        let mask = if training {
            let count = (self.k * active.dims()[0] as f32) as usize;
            selection::of_all(&active, count)
        } else {
            let threshold = sae.per_latent("threshold", active.dims());
            active.clone().greater(threshold).float()
        };
        active * mask
    }
}
