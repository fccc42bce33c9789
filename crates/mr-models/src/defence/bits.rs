//! Few bits.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Backward, Quantize, Transform, setting};
use crate::error::ModelError;

/// Keeps this many bits of each value in `[0, 1]`: `2^bits` levels of [`Quantize`], as Xu et al. 2018
/// count them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bits {
    /// Bits of a value, from 1 to 16.
    pub bits: u32,
    /// The site; the input where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What gradients make of it.
    pub backward: Backward,
}

impl Default for Bits {
    fn default() -> Self {
        Self {
            bits: 3,
            site: None,
            backward: Backward::Exact,
        }
    }
}

impl Bits {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        if (1..=16).contains(&self.bits) {
            return Ok(());
        }
        Err(setting("bits", self.bits, "from 1 to 16"))
    }
}

impl Transform for Bits {
    fn apply(&self, values: Tensor<3>, keys: &[u64]) -> Tensor<3> {
        let levels = Quantize {
            levels: 1 << self.bits,
            backward: self.backward,
            ..Quantize::default()
        };
        levels.apply(values, keys)
    }
}
