//! MART.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor};
use mr_attacks::{AttackConfig, Norm, ThreatModel};
use mr_models::objective::cross_entropy;
use mr_models::{Cache, Labels, ModelSpec};
use serde::{Deserialize, Serialize};

use super::Turn;
use crate::config::short_pgd;
use crate::error::{TrainError, at_least_0};

/// Misclassification-aware adversarial training (Wang et al. 2020, "Improving adversarial robustness
/// requires revisiting misclassified examples", eq. 11): with p the clean and p' the adversarial
/// output, `BCE(p', y) + beta KL(p || p') (1 - p_y)`, where the boosted cross-entropy BCE is
/// `-log p'_y - log(1 - max_{i != y} p'_i)`.
///
/// With the constants of the authors' code. As there, nothing is held constant: the gradient also
/// flows through the weight `1 - p_y`. Clean and adversarial examples run as one batch, where that
/// code runs two, and the attack starts anywhere in the ball, where that code starts near the example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mart {
    /// How much the weighted divergence weighs.
    pub beta: f64,
    /// What the attacker may change.
    pub threat: ThreatModel,
    /// How the attacker searches; PGD with 10 steps by default.
    pub attack: AttackConfig,
}

/// Keeps a logarithm finite.
const SMALLEST: f32 = 1e-12;

impl Default for Mart {
    fn default() -> Self {
        Self {
            beta: 5.0,
            threat: ThreatModel::new(Norm::Linf, 0.1),
            attack: short_pgd(),
        }
    }
}

impl Mart {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        at_least_0("loss.beta", self.beta)
    }

    pub(super) fn fits(&self, spec: &ModelSpec) -> Result<(), TrainError> {
        if spec.classes < 2 {
            return Err(TrainError::Data(
                "the loss `mart` pushes against a second class, the model has one".into(),
            ));
        }
        self.threat.fits(spec)?;
        Ok(self.attack.attack().fits(spec, &self.threat)?)
    }

    pub(super) fn value(&self, turn: &mut Turn<'_>) -> Result<(Tensor<1>, Cache), TrainError> {
        let attacked = turn.attacked(&self.threat, &self.attack)?;
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
        let [batch, positions, classes] = natural.dims();
        let truth: Tensor<3, Int> = labels.truth.clone().unsqueeze_dim(2);
        let p_adversarial = softmax(adversarial.clone(), 2);
        let of_classes: Tensor<3, Int> =
            Tensor::<1, Int>::arange(0..classes as i64, &truth.device())
                .reshape([1, 1, classes])
                .expand([batch, positions, classes]);
        let own = truth.clone().repeat_dim(2, classes).equal(of_classes);
        let wrong = p_adversarial.clone().mask_fill(own, 0.0).max_dim(2);
        let boost = -(-wrong + 1.0001 + SMALLEST).log();
        let boosted = cross_entropy(adversarial, &labels.truth).mean() + boost.mean();

        let log_p = log_softmax(natural.clone(), 2);
        let p = log_p.clone().exp();
        let terms = p.clone() * (log_p - (p_adversarial + SMALLEST).log());
        let divergence = terms.sum_dim(2);
        let weight = -p.gather(2, truth) + 1.000_000_1;
        boosted + (divergence * weight).mean() * self.beta
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::floats;

    use super::*;

    #[test]
    fn the_golden_value_of_two_outputs() {
        // From an independent script of the formula, checked against torch.
        let device = Device::flex();
        let logits = |row: [f32; 3]| Tensor::<1>::from_floats(row, &device).reshape([1, 1, 3]);
        let of = |beta| {
            let mart = Mart {
                beta,
                ..Mart::default()
            };
            let labels = Labels::of_classes(&[1], &device);
            let (natural, adversarial) = (logits([1.0, 2.0, 0.5]), logits([0.5, 1.5, 0.7]));
            floats(mart.loss(&natural, &adversarial, &labels))[0]
        };
        assert!((of(6.0) - 0.958_686).abs() < 1e-6, "{}", of(6.0));
        assert!((of(0.0) - 0.881_208).abs() < 1e-6, "{}", of(0.0));
    }
}
