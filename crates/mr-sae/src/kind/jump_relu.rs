//! Latents with a learned threshold.

use burn::tensor::Tensor;
use burn::tensor::activation::{relu, tanh};
use serde::{Deserialize, Serialize};

use super::{Rule, Vector};
use crate::config::SaeConfig;
use crate::error::SaeError;
use crate::loss::{Pass, mean_sum};
use crate::sae::Sae;

/// `z = u H(u - threshold)` of pre-activations u, with the number of active latents as cost
/// (Rajamanoharan et al. 2024b, equations 4 and 9). Neither has a slope at the threshold: in training
/// both get the pseudo-derivatives of their equations 11 and 12 from a rectangle of width `bandwidth`.
///
/// As in SAELens the threshold is the weight itself, not its logarithm, and is kept at least 0 by
/// [`Sae::constrained`] after each step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JumpRelu {
    /// What thresholds start from, at least 0.
    pub threshold: f32,
    /// Width of the rectangle, above 0, in units of pre-activations.
    pub bandwidth: f32,
    /// What activity costs.
    pub penalty: L0Penalty,
    /// Whether pseudo-derivatives reach the encoder, too (Anthropic, January 2025), not the threshold
    /// alone.
    pub to_input: bool,
}

/// What activity costs, per sample.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum L0Penalty {
    /// The number of active latents, L0.
    #[default]
    Step,
    /// The sum of `tanh(scale * z * decoder norm)` (Anthropic, January 2025).
    Tanh {
        /// Above 0; Anthropic's is 4.
        scale: f32,
    },
    /// `2 / target * (L0 - target)^2` (Gemma Scope 2, as in SAELens).
    Quadratic {
        /// The L0 that is wanted, above 0 and at most `d_sae`.
        target: f32,
    },
}

impl Default for JumpRelu {
    fn default() -> Self {
        Self {
            threshold: 0.01,
            bandwidth: 0.05,
            penalty: L0Penalty::Step,
            to_input: false,
        }
    }
}

impl JumpRelu {
    /// A tensor of value 0 whose derivative by the threshold is `-weight / bandwidth` within the
    /// rectangle, and by the pre-activations the opposite if they get any.
    fn surrogate(&self, sae: &Sae, pre: &Tensor<2>, weighted: bool) -> Tensor<2> {
        let threshold = sae.per_latent("threshold", pre.dims());
        let fixed = pre.clone().detach();
        let half = self.bandwidth / 2.0;
        let inside = (fixed.clone() - threshold.clone().detach())
            .abs()
            .lower_elem(half)
            .float();
        let weight = inside / self.bandwidth;
        let weight = if weighted {
            weight * threshold.clone().detach()
        } else {
            weight
        };
        let input = if self.to_input { pre.clone() } else { fixed };
        let slope = weight * (input - threshold);
        slope.clone() - slope.detach()
    }

    fn active(sae: &Sae, pre: &Tensor<2>) -> Tensor<2> {
        let threshold = sae.per_latent("threshold", pre.dims());
        pre.clone().greater(threshold).float()
    }
}

impl Rule for JumpRelu {
    fn check(&self, config: &SaeConfig) -> Result<(), SaeError> {
        if !(self.threshold.is_finite() && self.threshold >= 0.0) {
            return Err(SaeError::setting("threshold", self.threshold, "at least 0"));
        }
        if !(self.bandwidth.is_finite() && self.bandwidth > 0.0) {
            return Err(SaeError::setting("bandwidth", self.bandwidth, "above 0"));
        }
        match self.penalty {
            L0Penalty::Tanh { scale } if !(scale.is_finite() && scale > 0.0) => {
                Err(SaeError::setting("scale", scale, "above 0"))
            }
            L0Penalty::Quadratic { target } if !(target > 0.0 && target <= config.d_sae as f32) => {
                let valid = format!("above 0, at most d_sae, which is {}", config.d_sae);
                Err(SaeError::setting("target", target, valid))
            }
            _ => Ok(()),
        }
    }

    fn vectors(&self) -> Vec<Vector> {
        let threshold = Vector {
            name: "threshold",
            value: self.threshold,
            trainable: true,
        };
        vec![Vector::zero("b_enc"), threshold]
    }

    fn codes(&self, sae: &Sae, _: &Tensor<2>, pre: Tensor<2>, training: bool) -> Tensor<2> {
        let active = Self::active(sae, &pre);
        if training {
            let surrogate = self.surrogate(sae, &pre, true);
            pre * active + surrogate
        } else {
            relu(pre) * active
        }
    }

    fn cost(&self, pass: &Pass) -> Option<Tensor<1>> {
        let l0 = || {
            let step =
                Self::active(pass.sae, &pass.pre) + self.surrogate(pass.sae, &pass.pre, false);
            step.sum_dim(1)
        };
        Some(match self.penalty {
            L0Penalty::Step => mean_sum(l0()),
            L0Penalty::Tanh { scale } => {
                let norms = pass.sae.decoder_norms().unsqueeze();
                mean_sum(tanh(pass.codes.clone() * norms * scale))
            }
            L0Penalty::Quadratic { target } => mean_sum((l0() - target).square() * (2.0 / target)),
        })
    }
}
