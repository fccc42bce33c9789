//! Probabilities instead of logits.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use serde::{Deserialize, Serialize};

use super::{Backward, Transform};

/// Gives probabilities where attacks expect logits: losses that take another softmax of them are
/// nearly flat, and margins vanish where the probabilities are near 0 and 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Softmax {
    /// What gradients make of it.
    pub backward: Backward,
}

impl Transform for Softmax {
    fn apply(&self, values: Tensor<3>, _keys: &[u64]) -> Tensor<3> {
        self.backward.of(values, |logits| softmax(logits, 2))
    }
}
