//! Rounded outputs.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Backward, Transform, setting};
use crate::error::ModelError;

/// Rounds the logits to a few decimals: no gradient, and small changes of the input do not show in the
/// output either. Classes that are rounded to the same logit are told apart by their number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoundLogits {
    /// Digits behind the point, at most 6.
    pub decimals: u32,
    /// What gradients make of it.
    pub backward: Backward,
}

impl RoundLogits {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        if self.decimals <= 6 {
            return Ok(());
        }
        Err(setting("decimals", self.decimals, "from 0 to 6"))
    }
}

impl Transform for RoundLogits {
    fn apply(&self, values: Tensor<3>, _keys: &[u64]) -> Tensor<3> {
        let unit = 10f32.powi(self.decimals as i32);
        self.backward
            .of_steps(values, |logits| (logits * unit).round() / unit)
    }
}
