//! Saturated softmax.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Backward, Transform, setting};
use crate::error::ModelError;

/// Multiplies the logits, as defensive distillation does in effect (Papernot et al. 2016; broken by
/// Carlini & Wagner 2017): no prediction changes, but with a large scale every softmax is 0 or 1 in
/// 32 bits, and the gradient of the cross-entropy underflows to 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Temperature {
    /// What logits are multiplied with, above 0.
    pub scale: f32,
    /// What gradients make of it.
    pub backward: Backward,
}

impl Default for Temperature {
    fn default() -> Self {
        Self {
            scale: 1000.0,
            backward: Backward::Exact,
        }
    }
}

impl Temperature {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        if self.scale.is_finite() && self.scale > 0.0 {
            return Ok(());
        }
        Err(setting("scale", self.scale, "a finite number above 0"))
    }
}

impl Transform for Temperature {
    fn apply(&self, values: Tensor<3>, _keys: &[u64]) -> Tensor<3> {
        self.backward.of(values, |logits| logits * self.scale)
    }
}
