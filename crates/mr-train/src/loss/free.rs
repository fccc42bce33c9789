//! Free adversarial training.

use burn::tensor::Tensor;
use mr_attacks::{Norm, ThreatModel};
use mr_models::objective::cross_entropy;
use mr_models::{Cache, Input, ModelSpec, Place};
use serde::{Deserialize, Serialize};

use super::{Turn, bounded};
use crate::error::TrainError;

/// Free adversarial training (Shafahi et al. 2019, "Adversarial training for free!", alg. 1): each
/// batch is replayed, and one backward pass gives both the weights' gradient and the next step of the
/// perturbation, which the next batch begins with.
///
/// A replay is a step of the run. An epoch has as many steps as any other's, so that E epochs pass
/// over the data E / replays times, as the authors count. The network is attacked as it trains: with
/// dropout and the batch's statistics. Where BatchNorm runs, each shard carries its own perturbation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Free {
    /// What the attacker may change, at the input.
    pub threat: ThreatModel,
    /// Steps on each batch (m).
    pub replays: usize,
}

impl Default for Free {
    fn default() -> Self {
        Self {
            threat: ThreatModel::new(Norm::Linf, 0.1),
            replays: 4,
        }
    }
}

impl Free {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        if self.replays == 0 {
            return Err(TrainError::setting("loss.replays", 0, "at least 1"));
        }
        Ok(())
    }

    pub(super) fn fits(&self, spec: &ModelSpec) -> Result<(), TrainError> {
        self.threat.fits(spec)?;
        bounded("free", &self.threat)?;
        if self.threat.place != Place::Input {
            return Err(TrainError::setting(
                "loss.threat.place",
                format!("{:?}", self.threat.place),
                "left out: the loss `free` perturbs the input",
            ));
        }
        Ok(())
    }

    pub(super) fn value(&self, turn: &mut Turn<'_>) -> Result<(Tensor<1>, Cache), TrainError> {
        let images = turn.batch.input.real();
        let shape = images.dims();
        let origin: Tensor<2> = images.flatten(1, 3);
        let carried = turn.carried.get_or_insert_with(|| origin.zeros_like());
        let point = self
            .threat
            .project(&origin, origin.clone() + carried.clone());
        let leaf: Tensor<4> = point.reshape(shape).autodiff().require_grad();
        turn.leaf = Some(leaf.clone());
        let truth = turn.batch.labels.truth.clone();
        let (logits, cache) = turn.run(&Input::Real(leaf), None)?;
        Ok((cross_entropy(&logits, &truth).mean(), cache))
    }

    /// The perturbation `[batch, coordinate]` after a step along the loss's gradient, in the ball and
    /// in no box: the box is that of the next example.
    pub(crate) fn next(&self, carried: Tensor<2>, gradient: Tensor<4>) -> Tensor<2> {
        let ball = ThreatModel {
            bounds: [f32::MIN, f32::MAX],
            ..self.threat.clone()
        };
        let gradient: Tensor<2> = gradient.flatten(1, 3);
        let step = ball.steepest(&carried, gradient) * ball.epsilon;
        ball.project(&carried.zeros_like(), carried + step)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::floats;

    use super::*;

    #[test]
    fn a_perturbation_steps_by_epsilon_and_stays_in_the_ball() {
        let free = Free::default();
        let device = Device::flex();
        let carried = Tensor::<2>::from_floats([[0.1, -0.05, 0.0]], &device);
        let gradient = Tensor::<1>::from_floats([2.0, 1e-9, -3.0], &device);
        let next = floats(free.next(carried, gradient.reshape([1, 1, 1, 3])));
        let near = next.iter().zip([0.1, 0.05, -0.1]);
        assert!(
            near.into_iter().all(|(a, b)| (a - b).abs() < 1e-7),
            "{next:?}"
        );
    }
}
