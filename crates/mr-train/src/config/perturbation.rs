//! Perturbation of the weights.

use burn::tensor::Tensor;
use mr_models::Weights;
use serde::{Deserialize, Serialize};

use crate::error::{TrainError, above_0, share};
use crate::loss::LossConfig;

/// Adversarial weight perturbation (Wu et al. 2020, alg. 1): the gradient that the optimizer takes is
/// that of weights which were first moved up the loss, each tensor of two and more dimensions by
/// `gamma` of its own length. On top of any loss but `free`; adversarial examples are made once, for
/// the weights that are not moved.
///
/// A step costs one more forward and backward pass. The way up is that of the loss without
/// regularizers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WeightPerturbation {
    /// Length of a tensor's move, in units of its own length.
    pub gamma: f64,
    /// Share of the run that is trained without.
    pub warmup: f64,
}

impl Default for WeightPerturbation {
    fn default() -> Self {
        Self {
            gamma: 0.01,
            warmup: 0.0,
        }
    }
}

impl WeightPerturbation {
    pub(super) fn validate(&self, loss: &LossConfig) -> Result<(), TrainError> {
        above_0("weight_perturbation.gamma", self.gamma)?;
        share("weight_perturbation.warmup", self.warmup)?;
        if matches!(loss, LossConfig::Free(_)) {
            return Err(TrainError::setting(
                "weight_perturbation",
                "set",
                "left out with the loss `free`, whose one pass serves both gradients",
            ));
        }
        Ok(())
    }

    /// Weights that are moved up the loss by these gradients.
    pub(crate) fn moved(&self, weights: &Weights, gradients: &[Option<Tensor<1>>]) -> Weights {
        let length = |values: &Tensor<1>| values.clone().square().sum().sqrt();
        let mut gradients = gradients.iter();
        weights.map(|entry| {
            let values = entry.values.clone();
            match gradients.next() {
                Some(Some(gradient)) if entry.shape.len() > 1 => {
                    let steep = length(gradient).clamp_min(f32::MIN_POSITIVE);
                    let factor = length(&values) / steep * self.gamma;
                    values + gradient.clone() * factor
                }
                _ => values,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::floats;

    use super::*;

    #[test]
    fn matrices_move_by_their_length_along_the_gradient_and_vectors_stay() {
        let device = Device::flex();
        let mut weights = Weights::default();
        weights.push("w", &[1, 2], vec![3.0, 4.0], true, &device);
        weights.push("b", &[2], vec![1.0, 1.0], true, &device);
        weights.push("still", &[1, 2], vec![1.0, 1.0], true, &device);
        let gradient = |values: [f32; 2]| Some(Tensor::<1>::from_floats(values, &device));
        let gradients = [
            gradient([0.0, -7.0]),
            gradient([1.0, 1.0]),
            gradient([0.0, 0.0]),
        ];
        let awp = WeightPerturbation {
            gamma: 0.1,
            ..WeightPerturbation::default()
        };
        let moved = awp.moved(&weights, &gradients);
        assert_eq!(floats(moved.get::<2>("w")), [3.0, 3.5]);
        assert_eq!(floats(moved.get::<1>("b")), [1.0, 1.0]);
        assert_eq!(floats(moved.get::<2>("still")), [1.0, 1.0]);
    }
}
