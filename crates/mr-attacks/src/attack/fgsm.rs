//! Fast gradient sign method.

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective, objective};
use serde::{Deserialize, Serialize};

use super::{Attack, ObjectiveAttack, bounded};
use crate::error::AttackError;
use crate::threat::ThreatModel;
use crate::victim::Victim;

/// Fast gradient (sign) method (Goodfellow et al. 2015, "Explaining and harnessing adversarial
/// examples"): one step of length epsilon in the direction of steepest ascent; for Linf that is the
/// sign of the gradient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fgsm {
    /// The objective that it climbs, by name.
    pub objective: String,
}

impl Default for Fgsm {
    fn default() -> Self {
        Self {
            objective: "cross-entropy".into(),
        }
    }
}

impl Attack for Fgsm {
    fn name(&self) -> String {
        "fgsm".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        bounded("fgsm", threat)?;
        Ok(objective::by_name(&self.objective)?.fits(spec)?)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        self.run_on(victim, objective::by_name(&self.objective)?.as_ref())
    }
}

impl ObjectiveAttack for Fgsm {
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        let threat = victim.threat();
        let origin = victim.origin();
        let gradient = victim.climb(objective, origin)?.gradient;
        let step = threat.steepest(origin, gradient) * threat.epsilon;
        Ok(threat.project(origin, origin.clone() + step))
    }
}
