//! Basic iterative method.

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective, objective};
use serde::{Deserialize, Serialize};

use super::{Attack, ObjectiveAttack, Pgd};
use crate::error::AttackError;
use crate::threat::ThreatModel;
use crate::victim::Victim;

/// Basic iterative method (Kurakin et al. 2017, "Adversarial examples in the physical world"): [`Pgd`]
/// from the clean point. Ten steps of .2 epsilon by default, as in foolbox; the paper takes steps of one
/// grey level, and as many as the radius asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bim {
    /// Gradient steps.
    pub steps: usize,
    /// Length of a step in the threat's norm; 2 epsilon / steps by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_size: Option<f32>,
    /// The objective that it climbs, by name.
    pub objective: String,
    /// Whether an example that reaches the goal leaves the batch.
    pub stop_early: bool,
}

impl Default for Bim {
    fn default() -> Self {
        Self {
            steps: 10,
            step_size: None,
            objective: "cross-entropy".into(),
            stop_early: true,
        }
    }
}

impl Bim {
    /// As PGD, with this length of a step.
    fn pgd(&self, step_size: Option<f32>) -> Pgd {
        Pgd {
            steps: self.steps,
            step_size,
            random_start: false,
            objective: self.objective.clone(),
            stop_early: self.stop_early,
            ..Pgd::default()
        }
    }
}

impl Attack for Bim {
    fn name(&self) -> String {
        "bim".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        self.pgd(self.step_size).fits(spec, threat)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        self.run_on(victim, objective::by_name(&self.objective)?.as_ref())
    }
}

impl ObjectiveAttack for Bim {
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        let usual = 2.0 * victim.threat().epsilon / self.steps as f32;
        let pgd = self.pgd(Some(self.step_size.unwrap_or(usual)));
        pgd.run_on(victim, objective)
    }
}
