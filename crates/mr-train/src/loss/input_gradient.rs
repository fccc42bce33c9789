//! Input-gradient regularisation.

use burn::tensor::Tensor;
use mr_models::objective::{CrossEntropy, cross_entropy};
use mr_models::{Cache, Input, Place, value_and_grad};
use serde::{Deserialize, Serialize};

use super::Turn;
use crate::error::{TrainError, above_0, at_least_0};

/// Cross-entropy plus `lambda / 2 sum_i ||grad_x_i CE||^2`, where CE is the mean over the batch
/// (Ross & Doshi-Velez 2018, eq. 5): an example's own squared gradient thus weighs
/// `lambda / (2 B)` in the mean over a batch of B.
///
/// There is no second derivative to be had, so the length of a gradient is the slope of the loss
/// along it, `(l(x + h d) - l(x)) / h` with `d = g / ||g||` held constant (Finlay & Oberman 2019,
/// "Scaleable input gradient regularization", eq. 9). The direction is that of the network in
/// evaluation mode; both losses of a slope draw the same dropout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputGradient {
    /// How much it weighs.
    pub lambda: f64,
    /// Length h of the step that a slope is taken over, L2, in input units.
    pub step: f64,
}

impl Default for InputGradient {
    fn default() -> Self {
        Self {
            lambda: 1000.0,
            step: 0.01,
        }
    }
}

impl InputGradient {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        at_least_0("loss.lambda", self.lambda)?;
        above_0("loss.step", self.step)
    }

    pub(super) fn value(&self, turn: &mut Turn<'_>) -> Result<(Tensor<1>, Cache), TrainError> {
        let input = turn.batch.input.clone();
        let labels = &turn.batch.labels;
        let at = value_and_grad(turn.network, &input, labels, &CrossEntropy, &[Place::Input])?;
        let gradient = at.input().clone();
        let shape = gradient.dims();
        let length = gradient
            .clone()
            .flatten::<2>(1, 3)
            .square()
            .sum_dim(1)
            .sqrt();
        let length = length
            .clamp_min(f32::MIN_POSITIVE)
            .reshape([shape[0], 1, 1, 1]);
        let ahead = Input::Real(input.real() + gradient / length * self.step);

        let truth = labels.truth.clone();
        let (logits, cache) = turn.run(&input, None)?;
        let here = cross_entropy(&logits, &truth);
        let (logits, _) = turn.run(&ahead, None)?;
        let slope = (cross_entropy(&logits, &truth) - here.clone()) / self.step;
        let weight = self.lambda / (2 * turn.batch_size) as f64;
        Ok((here.mean() + slope.square().mean() * weight, cache))
    }
}
