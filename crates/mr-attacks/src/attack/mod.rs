//! How an attacker searches: each algorithm one file, registered in [`AttackConfig`].

mod aimed;
mod fgsm;
mod pgd;

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective};
use serde::{Deserialize, Serialize};

pub use aimed::Aimed;
pub use fgsm::Fgsm;
pub use pgd::{Direction, Pgd, Schedule};

use crate::error::AttackError;
use crate::victim::Victim;

/// A search for points that reach a goal. It proposes; [`evaluate`](crate::evaluate) judges.
pub trait Attack: Send + Sync {
    /// Its name in records.
    fn name(&self) -> &'static str;

    /// Checks its settings and that the model has what it needs.
    ///
    /// # Errors
    /// [`AttackError::Setting`] or [`AttackError::Model`].
    fn fits(&self, spec: &ModelSpec) -> Result<(), AttackError>;

    /// The point that it proposes for each example `[batch, coordinate]`.
    ///
    /// # Errors
    /// [`AttackError`] if the model does not have what the objective reads.
    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError>;
}

/// An attack that climbs an objective, so that it can be aimed at any: see [`Aimed`].
pub trait GradientAttack: Attack {
    /// As [`Attack::run`], up this objective.
    ///
    /// # Errors
    /// Those of [`Attack::run`].
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError>;
}

/// An attack and its settings; in TOML a table whose `type` names the attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum AttackConfig {
    /// Fast gradient sign method.
    Fgsm(Fgsm),
    /// Projected gradient descent.
    Pgd(Pgd),
}

impl AttackConfig {
    /// The names that `type` may have.
    pub const NAMES: [&str; 2] = ["fgsm", "pgd"];

    /// The attack of this name with its default settings.
    ///
    /// # Errors
    /// [`AttackError::UnknownName`] with near matches.
    pub fn by_name(name: &str) -> Result<Self, AttackError> {
        match name {
            "fgsm" => Ok(Self::Fgsm(Fgsm::default())),
            "pgd" => Ok(Self::Pgd(Pgd::default())),
            _ => Err(AttackError::unknown("attack", name, Self::NAMES)),
        }
    }

    /// The attack itself.
    pub fn attack(&self) -> &dyn Attack {
        match self {
            Self::Fgsm(fgsm) => fgsm,
            Self::Pgd(pgd) => pgd,
        }
    }
}
