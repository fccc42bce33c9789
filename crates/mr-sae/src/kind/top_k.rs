//! The k largest latents of each sample.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::{Rule, selection};
use crate::config::SaeConfig;
use crate::error::SaeError;
use crate::sae::Sae;

/// The k largest pre-activations of a sample, through a ReLU (Gao et al. 2024, equation 6; the ReLU as
/// in SAELens, so that codes are at least 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopK {
    /// Active latents, from 1 to `d_sae`.
    pub k: usize,
    /// Whether latents are compared in units of their decoder norms, as if its rows had norm 1 (SAELens:
    /// `rescale_acts_by_decoder_norm`).
    #[serde(default = "super::top_k::rescaled")]
    pub rescale: bool,
}

pub(super) fn rescaled() -> bool {
    true
}

impl TopK {
    /// So many active latents, compared in units of their decoder norms.
    pub fn new(k: usize) -> Self {
        Self { k, rescale: true }
    }
}

impl Rule for TopK {
    fn check(&self, config: &SaeConfig) -> Result<(), SaeError> {
        if (1..=config.d_sae).contains(&self.k) {
            return Ok(());
        }
        let valid = format!("from 1 to d_sae, which is {}", config.d_sae);
        Err(SaeError::setting("k", self.k, valid))
    }

    fn rescales(&self) -> bool {
        self.rescale
    }

    fn codes(&self, _: &Sae, _: &Tensor<2>, pre: Tensor<2>, _training: bool) -> Tensor<2> {
        let mask = selection::of_rows(&pre, self.k);
        relu(pre) * mask
    }
}
