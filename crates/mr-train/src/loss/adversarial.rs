//! Adversarial training.

use burn::tensor::Tensor;
use mr_attacks::{AttackConfig, Norm, ThreatModel};
use mr_models::objective::cross_entropy;
use mr_models::{Cache, ModelSpec};
use serde::{Deserialize, Serialize};

use super::Turn;
use crate::config::short_pgd;
use crate::error::TrainError;

/// Adversarial training (Madry et al. 2018, eq. 2.1): the cross-entropy of adversarial examples, or
/// half of that and half of the clean one (Goodfellow et al. 2015).
///
/// The network is attacked with constant weights and in evaluation mode. With `half` the clean and
/// the adversarial examples run as one batch, and BatchNorm sees both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adversarial {
    /// How much of the loss is adversarial.
    pub mix: Mix,
    /// What the attacker may change.
    pub threat: ThreatModel,
    /// How the attacker searches; PGD with 10 steps by default. `stop_early` is not
    /// read: in training attacks climb to their last step.
    pub attack: AttackConfig,
}

/// How much of an adversarial loss is adversarial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mix {
    /// All of it.
    #[default]
    Full,
    /// Half; the other half is the clean loss.
    Half,
}

impl Default for Adversarial {
    fn default() -> Self {
        Self {
            mix: Mix::Full,
            threat: ThreatModel::new(Norm::Linf, 0.1),
            attack: short_pgd(),
        }
    }
}

impl Adversarial {
    pub(super) fn fits(&self, spec: &ModelSpec) -> Result<(), TrainError> {
        self.threat.fits(spec)?;
        Ok(self.attack.attack().fits(spec, &self.threat)?)
    }

    pub(super) fn value(&self, turn: &mut Turn<'_>) -> Result<(Tensor<1>, Cache), TrainError> {
        let mut attacked = turn.attacked(&self.threat, &self.attack)?;
        let mut truth = turn.batch.labels.truth.clone();
        if self.mix == Mix::Half {
            attacked = attacked.after_clean(&turn.batch.input);
            truth = truth.repeat_dim(0, 2);
        }
        let (logits, cache) = turn.run(&attacked.input, attacked.added.as_ref())?;
        Ok((cross_entropy(&logits, &truth).mean(), cache))
    }
}
