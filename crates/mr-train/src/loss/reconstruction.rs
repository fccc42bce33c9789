//! Reconstruction of the input, clean or under attack.

use burn::tensor::Tensor;
use mr_models::objective::SquaredError;
use mr_models::{Cache, Input, Labels, ModelSpec, Objective, Place, value_and_grad};
use serde::{Deserialize, Serialize};

use super::Turn;
use crate::error::{TrainError, above_0, at_least_0};
use crate::source::TrainingData;

/// `sum_i I_i (x_i - x'_i)^2` with `I_i = importance_base^i` (Elhage et al. 2022), the loss of the toy
/// model of superposition; with `rho` above 0, of the output at the worst point nearby, still from
/// the clean x.
///
/// The worst point lies `rho` times the mean length of the inputs away (L2, no box), for each example
/// along the gradient of its own loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reconstruction {
    /// Importance of each feature as a share of that of the one before; 1 for equal ones.
    pub importance_base: f64,
    /// Length of the perturbation as a share of the mean length of a shard's inputs; 0 for none.
    pub rho: f64,
}

impl Default for Reconstruction {
    fn default() -> Self {
        Self {
            importance_base: 1.0,
            rho: 0.0,
        }
    }
}

/// Checks that the model gives as many values as an example has.
pub(super) fn fits(spec: &ModelSpec, data: &TrainingData<'_>) -> Result<(), TrainError> {
    let values: usize = data.shape().iter().product();
    if values == spec.classes {
        return Ok(());
    }
    Err(TrainError::Data(format!(
        "the model gives {} values and cannot reconstruct the {values} of `{}`: the loss \
         `reconstruction` is for autoencoders",
        spec.classes,
        data.name()
    )))
}

impl Reconstruction {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        above_0("loss.importance_base", self.importance_base)?;
        at_least_0("loss.rho", self.rho)
    }

    pub(super) fn value(&self, turn: &mut Turn<'_>) -> Result<(Tensor<1>, Cache), TrainError> {
        let clean = turn.batch.input.real();
        let [batch, channels, height, width] = clean.dims();
        let values = channels * height * width;
        let reference = clean.clone().reshape([batch, 1, values]);
        let labels = turn.batch.labels.clone().with_reference(reference);
        let objective = self.objective(values);
        let input = if self.rho > 0.0 {
            self.worst(turn, &clean, &labels, &objective)?
        } else {
            Input::Real(clean)
        };
        let (output, cache) = turn.run(&input, None)?;
        let loss = objective.value(&output, &Cache::default(), &labels).mean();
        Ok((loss, cache))
    }

    fn objective(&self, values: usize) -> SquaredError {
        if self.importance_base == 1.0 {
            return SquaredError::default();
        }
        let importance = (0..values).map(|i| self.importance_base.powi(i as i32) as f32);
        SquaredError {
            importance: importance.collect(),
        }
    }

    fn worst(
        &self,
        turn: &Turn<'_>,
        clean: &Tensor<4>,
        labels: &Labels,
        objective: &SquaredError,
    ) -> Result<Input, TrainError> {
        let length = |of: &Tensor<4>| of.clone().flatten::<2>(1, 3).square().sum_dim(1).sqrt();
        let input = &turn.batch.input;
        let at = value_and_grad(turn.network, input, labels, objective, &[Place::Input])?;
        let gradient = at.input();
        let reach = length(clean).mean() * self.rho;
        let scale = reach.reshape([1, 1]) / length(gradient).clamp_min(f32::MIN_POSITIVE);
        let scale = scale.reshape([clean.dims()[0], 1, 1, 1]);
        Ok(Input::Real(clean.clone() + gradient.clone() * scale))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::{Architecture, Network, Toy, ToyActivation};

    use super::*;
    use crate::golden::descent;
    use crate::loss::LossConfig;
    use crate::source::Batch;

    /// x' = W^T W x = 4 x, for x = (0.3, 0.4) and (1, 0).
    fn loss(reconstruction: Reconstruction) -> f32 {
        let device = Device::flex();
        let toy = Toy {
            features: 2,
            hidden: 2,
            activation: ToyActivation::Linear,
            ..Toy::default()
        };
        let named = vec![
            ("W".into(), vec![2, 2], vec![2., 0., 0., 2.]),
            ("b".into(), vec![2], vec![0., 0.]),
        ];
        let network = Network::with_weights(Architecture::Toy(toy), named, &device).unwrap();
        let x = Tensor::<1>::from_floats([0.3, 0.4, 1., 0.], &device);
        let batch = Batch {
            input: Input::Real(x.reshape([2, 2, 1, 1])),
            labels: Labels::of_classes(&[0, 0], &device),
            examples: vec![0, 1],
        };
        descent(&LossConfig::Reconstruction(reconstruction), &network, batch).0
    }

    #[test]
    fn the_squared_error_is_weighted_by_importance() {
        // Errors 3 x: 9 (0.09 + 0.16) = 2.25 and 9.
        let plain = loss(Reconstruction::default());
        assert!((plain - 5.625).abs() < 1e-5);
        // 9 (0.09 + 0.16 / 2) = 1.53 and 9.
        let weighted = loss(Reconstruction {
            importance_base: 0.5,
            rho: 0.0,
        });
        assert!((weighted - 5.265).abs() < 1e-5);
    }

    #[test]
    fn the_worst_point_is_a_share_of_the_mean_length_away_along_the_gradient() {
        // ||x - 4 (x + d)|| = 3 ||x|| + 4 ||d|| for d along x, the direction of the gradient. Lengths
        // 0.5 and 1, mean 0.75, so d is 0.375 long: (1.5 + 1.5)^2 = 9 and (3 + 1.5)^2 = 20.25.
        let worst = loss(Reconstruction {
            importance_base: 1.0,
            rho: 0.5,
        });
        assert!((worst - 14.625).abs() < 1e-4, "{worst}");
    }
}
