//! Gated dictionaries.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::{Rule, Vector};
use crate::config::SaeConfig;
use crate::error::SaeError;
use crate::loss::{Pass, mean_sum};
use crate::sae::Sae;

/// A gate `W_enc^T x + b_gate > 0` decides which latents are active, `ReLU((W_enc^T x) exp(r_mag) +
/// b_mag)` how much (Rajamanoharan et al. 2024, equations 3 to 5). The gate has no slope of its own:
/// the l1 norm of `ReLU(gate)` is the cost, and reconstructing from it alone the second term of the
/// loss (their equation 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gated {
    /// Whether the gate's own reconstruction leaves the decoder alone, as in the paper. SAELens trains
    /// the decoder by it, too: `false`.
    pub frozen_decoder: bool,
}

impl Default for Gated {
    fn default() -> Self {
        Self {
            frozen_decoder: true,
        }
    }
}

impl Gated {
    fn gate(sae: &Sae, projection: &Tensor<2>) -> Tensor<2> {
        projection.clone() + sae.weights().get::<1>("b_gate").unsqueeze()
    }
}

impl Rule for Gated {
    fn check(&self, _config: &SaeConfig) -> Result<(), SaeError> {
        Ok(())
    }

    fn vectors(&self) -> Vec<Vector> {
        ["b_gate", "b_mag", "r_mag"].map(Vector::zero).into()
    }

    fn pre_activations(&self, sae: &Sae, projection: Tensor<2>) -> Tensor<2> {
        let weights = sae.weights();
        projection * weights.get::<1>("r_mag").exp().unsqueeze()
            + weights.get::<1>("b_mag").unsqueeze()
    }

    fn codes(&self, sae: &Sae, projection: &Tensor<2>, pre: Tensor<2>, _: bool) -> Tensor<2> {
        let open = Self::gate(sae, projection).greater_elem(0.0).float();
        relu(pre) * open
    }

    fn cost(&self, pass: &Pass) -> Option<Tensor<1>> {
        // Weighed by decoder norms as in SAELens; the paper keeps them at 1.
        let gate = relu(Self::gate(pass.sae, &pass.projection));
        Some(mean_sum(gate * pass.sae.decoder_norms().unsqueeze()))
    }

    fn auxiliary(&self, pass: &Pass) -> Option<Tensor<1>> {
        let gate = relu(Self::gate(pass.sae, &pass.projection));
        let frozen;
        let decoder = if self.frozen_decoder {
            frozen = pass
                .sae
                .with_weights(pass.sae.weights().map(|w| w.values.clone().detach()));
            &frozen
        } else {
            pass.sae
        };
        Some(pass.squared_error(decoder.write(gate)))
    }
}
