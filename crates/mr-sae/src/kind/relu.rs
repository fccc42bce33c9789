//! ReLU with an l1 penalty.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::Rule;
use crate::config::SaeConfig;
use crate::error::SaeError;
use crate::loss::{Pass, mean_sum};
use crate::sae::Sae;

/// `z = ReLU(W_enc^T (x - b_dec) + b_enc)`, with the l1 norm of z as cost (Bricken et al. 2023; Cunningham
/// et al. 2024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relu {
    /// Whether a latent's activity is weighed by its decoder norm, so that no latent escapes its cost
    /// by a longer direction (Anthropic, April 2024; SAELens). Otherwise rows should be kept at norm
    /// 1.
    pub weighted: bool,
}

impl Default for Relu {
    fn default() -> Self {
        Self { weighted: true }
    }
}

impl Rule for Relu {
    fn check(&self, _config: &SaeConfig) -> Result<(), SaeError> {
        Ok(())
    }

    fn codes(&self, _: &Sae, _: &Tensor<2>, pre: Tensor<2>, _training: bool) -> Tensor<2> {
        relu(pre)
    }

    fn cost(&self, pass: &Pass) -> Option<Tensor<1>> {
        // Codes are at least 0: their l1 norm is their sum.
        Some(mean_sum(if self.weighted {
            pass.codes.clone() * pass.sae.decoder_norms().unsqueeze()
        } else {
            pass.codes.clone()
        }))
    }
}
