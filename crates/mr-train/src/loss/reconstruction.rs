//! Reconstruction of the input, clean or under attack.

use burn::tensor::Tensor;
use mr_models::objective::SquaredError;
use mr_models::{Cache, Input, Labels, Model, ModelSpec, Objective, Place, value_and_grad};
use serde::{Deserialize, Serialize};

use super::Turn;
use crate::error::{TrainError, above_0, at_least_0};
use crate::source::TrainingData;

/// `sum_i I_i (x_i - x'_i)^2` with `I_i = importance_base^i` (Elhage et al. 2022), the loss of the toy
/// model of superposition; with `rho` above 0, of the output at a perturbed point, still from the
/// clean x. The perturbation is `rho` times the mean length of the inputs long (L2, no box).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reconstruction {
    /// Importance of each feature as a share of that of the one before; 1 for equal ones.
    pub importance_base: f64,
    /// Length of the perturbation as a share of the mean length of a shard's inputs; 0 for none.
    pub rho: f64,
    /// Its direction.
    pub attack: ToyAttack,
}

/// How an autoencoder's input is perturbed in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToyAttack {
    /// For each example along the gradient of its own loss.
    #[default]
    Gradient,
    /// Toy models: for all examples along the row of `W^T W` that harms most, judged on the first
    /// 64 examples of a shard (the analytic attack of Elhage et al. 2022).
    Analytic,
}

/// Examples that a direction of the analytic attack is judged on.
const JUDGED: usize = 64;

impl Default for Reconstruction {
    fn default() -> Self {
        Self {
            importance_base: 1.0,
            rho: 0.0,
            attack: ToyAttack::default(),
        }
    }
}

/// Checks that the model gives as many values as an example has.
impl Reconstruction {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        above_0("loss.importance_base", self.importance_base)?;
        at_least_0("loss.rho", self.rho)
    }

    pub(super) fn fits(&self, spec: &ModelSpec, data: &TrainingData<'_>) -> Result<(), TrainError> {
        if self.attack == ToyAttack::Analytic && spec.name != "toy" {
            return Err(TrainError::setting(
                "loss.attack",
                "analytic",
                format!("gradient: the model is of type {}, not a toy", spec.name),
            ));
        }
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
        let reach = lengths(&clean.clone().flatten(1, 3)).mean() * self.rho;
        let change = match self.attack {
            ToyAttack::Gradient => {
                let input = &turn.batch.input;
                let places = [Place::Input];
                let at = value_and_grad(turn.network, input, labels, objective, &places)?;
                let gradient: Tensor<2> = at.input().clone().flatten(1, 3);
                let length = lengths(&gradient).clamp_min(f32::MIN_POSITIVE);
                gradient / length * reach.unsqueeze()
            }
            ToyAttack::Analytic => {
                let overlap = turn.network.weights().get::<2>("W");
                let overlap = overlap.clone().transpose().matmul(overlap);
                let length = lengths(&overlap).clamp_min(f32::MIN_POSITIVE);
                let directions = overlap / length * reach.unsqueeze();
                most_harmful(turn.network, clean, &directions, objective)
            }
        };
        let [batch, channels, height, width] = clean.dims();
        let change = change
            .expand([batch, channels * height * width])
            .reshape([batch, channels, height, width]);
        Ok(Input::Real(clean.clone() + change))
    }
}

/// The length of each row, as a column.
fn lengths(rows: &Tensor<2>) -> Tensor<2> {
    rows.clone().square().sum_dim(1).sqrt()
}

/// The one of `directions` `[direction, feature]` that raises the loss most, `[1, feature]`.
fn most_harmful(
    network: &dyn Model,
    clean: &Tensor<4>,
    directions: &Tensor<2>,
    objective: &SquaredError,
) -> Tensor<2> {
    let [count, features] = directions.dims();
    let judged = clean.dims()[0].min(JUDGED);
    let some = clean
        .clone()
        .narrow(0, 0, judged)
        .reshape([1, judged, features]);
    let attacked = some.clone() + directions.clone().reshape([count, 1, features]);
    let attacked = attacked.reshape([count * judged, features, 1, 1]);
    let labels = Labels::of_classes(&[], &clean.device()).with_reference(
        some.expand([count, judged, features])
            .reshape([count * judged, 1, features]),
    );
    let output = network.logits(&Input::Real(attacked));
    let losses = objective.value(&output, &Cache::default(), &labels);
    let worst = losses.reshape([count, judged]).sum_dim(1).argmax(0);
    directions.clone().select(0, worst.reshape([1]))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::{Architecture, Network, Toy, ToyActivation};

    use super::*;
    use crate::loss::LossConfig;
    use crate::source::Batch;
    use crate::tests::descent;

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
            mask: None,
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
            ..Reconstruction::default()
        });
        assert!((weighted - 5.265).abs() < 1e-5);
    }

    #[test]
    fn the_worst_point_is_a_share_of_the_mean_length_away_along_the_gradient() {
        // ||x - 4 (x + d)|| = 3 ||x|| + 4 ||d|| for d along x, the direction of the gradient. Lengths
        // 0.5 and 1, mean 0.75, so d is 0.375 long: (1.5 + 1.5)^2 = 9 and (3 + 1.5)^2 = 20.25.
        let worst = loss(Reconstruction {
            rho: 0.5,
            ..Reconstruction::default()
        });
        assert!((worst - 14.625).abs() < 1e-4, "{worst}");
    }

    #[test]
    fn the_analytic_attack_moves_all_examples_along_the_most_harmful_overlap() {
        // Overlaps lie along the axes, d is 0.375 long. Along the first: (2.4, 1.2) and (4.5, 0) are
        // 7.2 and 20.25; along the second 8.1 and 11.25.
        let worst = loss(Reconstruction {
            rho: 0.5,
            attack: ToyAttack::Analytic,
            ..Reconstruction::default()
        });
        assert!((worst - 13.725).abs() < 1e-4, "{worst}");
    }
}
