//! Few levels.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Backward, Transform, setting};
use crate::error::ModelError;

/// Rounds to the nearest of a few evenly spaced levels: colour depth reduction (Xu, Evans & Qi 2018,
/// "Feature squeezing") of the input, or of the activation at a site. Its true derivative is 0, so
/// that attacks by gradients see nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quantize {
    /// How many levels, at least 2; the lowest is `low`, the highest `high`.
    pub levels: u32,
    /// The lowest level; what is below comes up to it.
    pub low: f32,
    /// The highest level; what is above comes down to it.
    pub high: f32,
    /// The site; the input where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What gradients make of it.
    pub backward: Backward,
}

impl Default for Quantize {
    fn default() -> Self {
        Self {
            levels: 8,
            low: 0.0,
            high: 1.0,
            site: None,
            backward: Backward::Exact,
        }
    }
}

impl Quantize {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        // Above 2^24 a float does not count the levels.
        if !(2..=1 << 24).contains(&self.levels) {
            return Err(setting("levels", self.levels, "from 2 to 16777216"));
        }
        if !(self.low.is_finite() && self.high.is_finite() && self.low < self.high) {
            let range = format!("{}, {}", self.low, self.high);
            return Err(setting(
                "low, high",
                range,
                "two finite numbers, the lower first",
            ));
        }
        Ok(())
    }
}

impl Transform for Quantize {
    fn apply(&self, values: Tensor<3>, _keys: &[u64]) -> Tensor<3> {
        let top = (self.levels - 1) as f32;
        let width = self.high - self.low;
        self.backward.of_steps(values, |values| {
            let level = ((values - self.low) * (top / width))
                .clamp(0.0, top)
                .round();
            level / top * width + self.low
        })
    }
}
