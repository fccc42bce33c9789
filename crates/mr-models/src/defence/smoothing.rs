//! Randomised smoothing.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use serde::{Deserialize, Serialize};

use super::backward::off_graph;
use super::{Noise, Transform, setting};
use crate::error::ModelError;

/// Randomised smoothing (Lecuyer et al. 2019; Cohen et al. 2019, "Certified adversarial robustness via
/// randomized smoothing"), to be attacked: the network sees so many copies of the input with Gaussian
/// noise, and the logarithm of its mean probabilities comes out. So the cross-entropy of the outcome and
/// its gradient are those that `SmoothAdv` climbs (Salman et al. 2019, "Provably robust deep learning via
/// adversarially trained smoothed classifiers").
///
/// Deviation from Cohen et al., who count votes: votes have no gradient. The classes agree wherever the
/// network is sure of most copies. The noise is drawn anew in each pass, so an attack may average over
/// passes of so many copies each. All defences stand inside: each copy goes through them. Hooks see the
/// copies one after the other, so an objective of internals reads those of the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smoothing {
    /// Standard deviation of the noise, in pixel units.
    pub sigma: f32,
    /// Copies per pass.
    pub samples: usize,
}

impl Default for Smoothing {
    fn default() -> Self {
        Self {
            sigma: 0.25,
            samples: 32,
        }
    }
}

impl Smoothing {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        self.noise().check()?;
        if !(1..=1 << 16).contains(&self.samples) {
            return Err(setting("samples", self.samples, "from 1 to 65536"));
        }
        Ok(())
    }

    fn noise(&self) -> Noise {
        Noise {
            sigma: self.sigma,
            site: None,
        }
    }
}

impl Transform for Smoothing {
    fn apply(&self, values: Tensor<3>, keys: &[u64]) -> Tensor<3> {
        self.noise().apply(values, keys)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn copies(&self) -> Option<usize> {
        Some(self.samples)
    }
}

/// The logarithm of the mean probabilities of copies, each as logits `[batch, position, class]`.
pub(super) fn log_mean(copies: Vec<Tensor<3>>) -> Tensor<3> {
    let each = copies.into_iter().map(|logits| log_softmax(logits, 2));
    let each: Tensor<4> = Tensor::stack(each.collect(), 0);
    // Taken off before the exponential, so that no probability underflows everywhere.
    let largest = off_graph(each.clone().max_dim(0));
    let mean = (each - largest.clone()).exp().mean_dim(0);
    (mean.log() + largest).squeeze_dim(0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::floats;

    /// Probabilities of (.5, .5) and (.8, .2) have the mean (.65, .35), and those that underflow none
    /// of 0.
    #[test]
    fn the_mean_is_that_of_probabilities() {
        let logits =
            |values: [f32; 2]| Tensor::<1>::from_floats(values, &Device::flex()).reshape([1, 1, 2]);
        let found = log_mean(vec![logits([3.0, 3.0]), logits([4.0f32.ln(), 0.0])]);
        let found: Vec<f32> = floats(found).into_iter().map(f32::exp).collect();
        assert!((found[0] - 0.65).abs() < 1e-6 && (found[1] - 0.35).abs() < 1e-6);
        let far = floats(log_mean(vec![logits([200.0, 0.0]), logits([300.0, 0.0])]));
        assert!(far[0].abs() < 1e-6);
        assert!((far[1] - (-200.0 - 2.0f32.ln())).abs() < 1e-3, "{far:?}");
    }
}
