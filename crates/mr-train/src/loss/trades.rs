//! TRADES.

use burn::tensor::{Tensor, TensorData};
use mr_attacks::{Norm, ThreatModel, Victim};
use mr_models::objective::{KlDivergence, cross_entropy, kl_divergence};
use mr_models::{Cache, Labels, Model, ModelSpec};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{Turn, bounded};
use crate::error::{TrainError, above_0, at_least_0};
use crate::random::generator;

/// TRADES (Zhang et al. 2019, eq. 5): `CE(x) + beta max KL(p(x) || p(x'))` over the threat's x'.
///
/// The inner maximum is climbed from `x + deviation N(0, 1)`, since the divergence is flat at x
/// itself, with the network in evaluation mode. The outer loss descends through both outputs. Clean
/// and adversarial examples run as one batch, where the authors' code runs two: BatchNorm sees both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trades {
    /// How much the divergence weighs.
    pub beta: f64,
    /// What the attacker may change.
    pub threat: ThreatModel,
    /// Gradient steps of the attacker.
    pub steps: usize,
    /// Length of a step in the threat's norm; 2.5 epsilon / steps by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_size: Option<f32>,
    /// Standard deviation of the start around the clean point.
    pub deviation: f32,
}

impl Default for Trades {
    fn default() -> Self {
        Self {
            beta: 6.0,
            threat: ThreatModel::new(Norm::Linf, 0.1),
            steps: 10,
            step_size: None,
            deviation: 0.001,
        }
    }
}

impl Trades {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        at_least_0("loss.beta", self.beta)?;
        above_0("loss.deviation", f64::from(self.deviation))?;
        if let Some(size) = self.step_size {
            above_0("loss.step_size", f64::from(size))?;
        }
        if self.steps == 0 {
            return Err(TrainError::setting("loss.steps", 0, "at least 1"));
        }
        Ok(())
    }

    pub(super) fn fits(&self, spec: &ModelSpec) -> Result<(), TrainError> {
        self.threat.fits(spec)?;
        bounded("trades", &self.threat)
    }

    pub(super) fn value(&self, turn: &mut Turn<'_>) -> Result<(Tensor<1>, Cache), TrainError> {
        let clean = turn.network.logits(&turn.batch.input);
        let labels = turn.batch.labels.clone().with_reference(clean);
        let attacked = turn.search(&self.threat, labels, |victim| self.climb(victim))?;
        let attacked = attacked.after_clean(&turn.batch.input);
        let (logits, cache) = turn.run(&attacked.input, attacked.added.as_ref())?;
        let count = turn.batch.examples.len();
        let natural = logits.clone().narrow(0, 0, count);
        let adversarial = logits.narrow(0, count, count);
        Ok((self.loss(&natural, &adversarial, &turn.batch.labels), cache))
    }

    pub(crate) fn loss(
        &self,
        natural: &Tensor<3>,
        adversarial: &Tensor<3>,
        labels: &Labels,
    ) -> Tensor<1> {
        let divergence = kl_divergence(natural, adversarial).mean();
        cross_entropy(natural, &labels.truth).mean() + divergence * self.beta
    }

    fn climb(&self, victim: &Victim<'_>) -> Result<Tensor<2>, TrainError> {
        let origin = victim.origin();
        let [_, width] = origin.dims();
        let mut noise = Vec::with_capacity(victim.examples().len() * width);
        for &example in victim.examples() {
            let mut rng = generator(victim.seed(), "trades", 0, example);
            noise.extend((0..width).map(|_| {
                let normal: f32 = StandardNormal.sample(&mut rng);
                normal * self.deviation
            }));
        }
        let noise = Tensor::from_data(TensorData::new(noise, origin.dims()), &origin.device());
        let threat = &self.threat;
        let length = self
            .step_size
            .unwrap_or(2.5 * threat.epsilon / self.steps as f32);
        let mut point = origin.clone() + noise;
        for _ in 0..self.steps {
            let gradient = victim.climb(&KlDivergence, &point)?.gradient;
            let step = threat.steepest(&point, gradient) * length;
            point = threat.project(origin, point + step);
        }
        Ok(point)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::floats;

    use super::*;

    fn loss(beta: f64, natural: [f32; 3], adversarial: [f32; 3]) -> f32 {
        let device = Device::flex();
        let logits = |row: [f32; 3]| Tensor::<1>::from_floats(row, &device).reshape([1, 1, 3]);
        let trades = Trades {
            beta,
            ..Trades::default()
        };
        let labels = Labels::of_classes(&[1], &device);
        floats(trades.loss(&logits(natural), &logits(adversarial), &labels))[0]
    }

    #[test]
    fn the_golden_value_of_two_outputs() {
        // From an independent script of the formula, checked against torch.
        let found = loss(6.0, [1.0, 2.0, 0.5], [0.5, 1.5, 0.7]);
        assert!((found - 0.672_939).abs() < 1e-6, "{found}");
    }

    #[test]
    fn equal_outputs_and_no_weight_leave_the_cross_entropy() {
        let z = [1.0f32, 2.0, 0.5];
        let clean = z.iter().map(|z| z.exp()).sum::<f32>().ln() - 2.0;
        assert!((loss(6.0, z, z) - clean).abs() < 1e-6);
        assert!((loss(0.0, z, [9.0, -9.0, 0.0]) - clean).abs() < 1e-6);
    }
}
