//! Any attack that climbs, on any objective.

use std::sync::Arc;

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective};

use super::{Attack, ObjectiveAttack};
use crate::error::AttackError;
use crate::threat::ThreatModel;
use crate::victim::Victim;

/// An attack aimed at an objective that need not have a name: a channel, a head, a
/// direction, a latent.
#[derive(Clone)]
pub struct Aimed<A> {
    /// How it searches; its own objective is not used.
    pub attack: A,
    /// What it climbs.
    pub objective: Arc<dyn Objective>,
}

impl<A: ObjectiveAttack> Attack for Aimed<A> {
    fn name(&self) -> String {
        self.attack.name()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        self.attack.fits(spec, threat)?;
        Ok(self.objective.fits(spec)?)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        self.attack.run_on(victim, self.objective.as_ref())
    }
}
