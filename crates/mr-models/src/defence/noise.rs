//! Gaussian noise.

use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{Transform, setting};
use crate::error::ModelError;

/// Adds Gaussian noise, drawn anew in each pass: gradients of one pass are as noisy as its output, and
/// an attack has to average over passes (expectation over transformation; Athalye et al. 2018). Its
/// true derivative is the identity. The sum is not brought back into the box, as in randomised
/// smoothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// Standard deviation, in pixel units at the input.
    pub sigma: f32,
    /// The site; the input where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

impl Default for Noise {
    fn default() -> Self {
        Self {
            sigma: 0.1,
            site: None,
        }
    }
}

impl Noise {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        if self.sigma.is_finite() && self.sigma > 0.0 {
            return Ok(());
        }
        Err(setting("sigma", self.sigma, "a finite number above 0"))
    }
}

impl Transform for Noise {
    fn apply(&self, values: Tensor<3>, keys: &[u64]) -> Tensor<3> {
        let [batch, rows, columns] = values.dims();
        assert_eq!(keys.len(), batch, "one key per example");
        let mut noise = Vec::with_capacity(batch * rows * columns);
        for &key in keys {
            let mut rng = ChaCha8Rng::seed_from_u64(key);
            noise.extend((0..rows * columns).map(|_| {
                let unit: f32 = StandardNormal.sample(&mut rng);
                self.sigma * unit
            }));
        }
        let device = values.device().inner();
        values + Tensor::from_data(TensorData::new(noise, [batch, rows, columns]), &device)
    }

    fn is_random(&self) -> bool {
        true
    }
}
