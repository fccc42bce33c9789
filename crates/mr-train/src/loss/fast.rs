//! Fast adversarial training.

use burn::tensor::Tensor;
use mr_attacks::{AttackConfig, Norm, Pgd, ThreatModel};
use mr_models::objective::cross_entropy;
use mr_models::{Cache, ModelSpec};
use serde::{Deserialize, Serialize};

use super::{Turn, bounded};
use crate::canary::Canary;
use crate::error::{TrainError, above_0};

/// Fast adversarial training (Wong et al. 2020, "Fast is better than free"): the cross-entropy of
/// examples after one step of `alpha epsilon` from a random point of the ball.
///
/// It can overfit to its one step from one epoch to the next: the network withstands that step and
/// nothing else. The canary, on examples that are held out, tells (the authors look at training
/// examples).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fast {
    /// What the attacker may change.
    pub threat: ThreatModel,
    /// Length of the step in units of epsilon.
    pub alpha: f64,
    /// How overfitting to the step is noticed, and what is done about it.
    pub canary: Canary,
}

impl Default for Fast {
    fn default() -> Self {
        Self {
            threat: ThreatModel::new(Norm::Linf, 0.1),
            alpha: 1.25,
            canary: Canary::default(),
        }
    }
}

impl Fast {
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        above_0("loss.alpha", self.alpha)?;
        self.canary.validate()
    }

    pub(super) fn fits(&self, spec: &ModelSpec) -> Result<(), TrainError> {
        self.threat.fits(spec)?;
        bounded("fast", &self.threat)
    }

    /// The one step that is trained against.
    pub(crate) fn one_step(&self) -> Pgd {
        Pgd {
            steps: 1,
            // A ball of radius 0 has no step; any length stays in it.
            step_size: Some((self.alpha as f32 * self.threat.epsilon).max(f32::MIN_POSITIVE)),
            ..Pgd::default()
        }
    }

    pub(super) fn value(&self, turn: &mut Turn<'_>) -> Result<(Tensor<1>, Cache), TrainError> {
        let attacked = turn.attacked(&self.threat, &AttackConfig::Pgd(self.one_step()))?;
        let truth = turn.batch.labels.truth.clone();
        let (logits, cache) = turn.run(&attacked.input, attacked.added.as_ref())?;
        Ok((cross_entropy(&logits, &truth).mean(), cache))
    }
}
