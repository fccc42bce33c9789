//! Momentum iterative fast gradient sign method.

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective, objective};
use serde::{Deserialize, Serialize};

use super::{Attack, ObjectiveAttack, Pgd};
use crate::error::AttackError;
use crate::threat::ThreatModel;
use crate::victim::Victim;

/// MI-FGSM (Dong et al. 2018, "Boosting adversarial attacks with momentum"): [`Pgd`] from the clean point
/// along an accumulated gradient, in steps that together reach the ball's surface. Its examples transfer
/// better between models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MiFgsm {
    /// Gradient steps.
    pub steps: usize,
    /// Length of a step in the threat's norm; epsilon / steps by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_size: Option<f32>,
    /// Decay of the accumulated gradient, each gradient scaled to L1 length 1; in `[0, 1]`.
    pub momentum: f32,
    /// The objective that it climbs, by name.
    pub objective: String,
    /// Whether an example that reaches the goal leaves the batch.
    pub stop_early: bool,
}

impl Default for MiFgsm {
    fn default() -> Self {
        Self {
            steps: 10,
            step_size: None,
            momentum: 1.0,
            objective: "cross-entropy".into(),
            stop_early: true,
        }
    }
}

impl MiFgsm {
    /// As PGD, with this length of a step.
    fn pgd(&self, step_size: Option<f32>) -> Pgd {
        Pgd {
            steps: self.steps,
            step_size,
            momentum: self.momentum,
            random_start: false,
            objective: self.objective.clone(),
            stop_early: self.stop_early,
            ..Pgd::default()
        }
    }
}

impl Attack for MiFgsm {
    fn name(&self) -> String {
        "mi-fgsm".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        self.pgd(self.step_size).fits(spec, threat)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        self.run_on(victim, objective::by_name(&self.objective)?.as_ref())
    }
}

impl ObjectiveAttack for MiFgsm {
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        let usual = victim.threat().epsilon / self.steps as f32;
        let pgd = self.pgd(Some(self.step_size.unwrap_or(usual)));
        pgd.run_on(victim, objective)
    }
}
