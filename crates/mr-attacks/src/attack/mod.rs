//! How an attacker searches: each algorithm one file, registered in [`AttackConfig`].

mod aimed;
mod apgd;
mod autoattack;
mod ball;
mod bim;
mod binary_search;
mod carlini_wagner;
mod ddn;
mod deepfool;
mod fab;
mod fgsm;
mod field;
mod fixed;
mod fmn;
mod hop_skip_jump;
mod laid_patch;
mod mi_fgsm;
mod nearest;
mod pgd;
mod planes;
mod square;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective};
use serde::{Deserialize, Serialize};

pub use aimed::Aimed;
pub use apgd::Apgd;
pub use autoattack::{AutoAttack, Version};
pub use bim::Bim;
pub use binary_search::MinimalBy;
pub use carlini_wagner::CarliniWagner;
pub use ddn::Ddn;
pub use deepfool::DeepFool;
pub use fab::Fab;
pub use fgsm::Fgsm;
pub use fixed::Fixed;
pub(crate) use fixed::coordinates;
pub use fmn::Fmn;
pub use hop_skip_jump::HopSkipJump;
pub use laid_patch::LaidPatch;
pub use mi_fgsm::MiFgsm;
pub use pgd::{Direction, Pgd, Schedule};
pub use square::Square;
pub use transfer::Transfer;

use crate::error::AttackError;
use crate::threat::ThreatModel;
use crate::victim::Victim;

/// A search for points that reach a goal. It proposes; [`evaluate`](crate::evaluate) judges.
pub trait Attack: Send + Sync {
    /// Its name in records: `pgd`, `apgd-ce`, `apgd-t`.
    fn name(&self) -> String;

    /// Checks its settings, and that model and threat have what it needs.
    ///
    /// # Errors
    /// [`AttackError::Setting`], [`AttackError::Unfit`] or [`AttackError::Model`].
    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError>;

    /// The point that it proposes for each example `[batch, coordinate]`.
    ///
    /// # Errors
    /// [`AttackError`] if the model does not have what the objective reads.
    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError>;
}

/// An attack that climbs an objective, by its gradient or by its values, so that it can be aimed at
/// any: see [`Aimed`].
pub trait ObjectiveAttack: Attack {
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

/// The attack as one that climbs any objective, if it is said to be one.
macro_rules! climber {
    ($attack:ident) => {{
        let _ = $attack;
        None
    }};
    ($attack:ident, $climber:ident) => {
        Some($attack as &dyn $climber)
    };
}

/// Declares [`AttackConfig`]: a line of this list registers an attack. `: ObjectiveAttack` behind it says
/// that it can be aimed at any objective.
macro_rules! attacks {
    ($($(#[$doc:meta])* $name:literal => $attack:ident $(: $climber:ident)?,)*) => {
        /// An attack and its settings; in TOML a table whose `type` names the attack.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", deny_unknown_fields)]
        #[non_exhaustive]
        pub enum AttackConfig {
            $($(#[$doc])* #[serde(rename = $name)] $attack($attack),)*
        }

        impl AttackConfig {
            /// The names that `type` may have.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The attack of this name with its default settings.
            ///
            /// # Errors
            /// [`AttackError::UnknownName`] with near matches.
            pub fn by_name(name: &str) -> Result<Self, AttackError> {
                match name {
                    $($name => Ok(Self::$attack($attack::default())),)*
                    _ => Err(AttackError::unknown("attack", name, Self::NAMES.iter().copied())),
                }
            }

            /// The attack itself.
            pub fn attack(&self) -> &dyn Attack {
                match self {
                    $(Self::$attack(attack) => attack,)*
                }
            }

            /// The attack as a value of its own.
            pub fn boxed(self) -> Box<dyn Attack> {
                match self {
                    $(Self::$attack(attack) => Box::new(attack),)*
                }
            }

            /// The attack, if it can be aimed at any objective.
            pub fn climber(&self) -> Option<&dyn ObjectiveAttack> {
                match self {
                    $(Self::$attack(attack) => climber!(attack $(, $climber)?),)*
                }
            }
        }
    };
}

attacks! {
    /// An ensemble that needs no tuning.
    "autoattack" => AutoAttack,
    /// Fast gradient sign method.
    "fgsm" => Fgsm: ObjectiveAttack,
    /// Basic iterative method.
    "bim" => Bim: ObjectiveAttack,
    /// The same with momentum.
    "mi-fgsm" => MiFgsm: ObjectiveAttack,
    /// Along the boundary, by decisions alone.
    "hop-skip-jump" => HopSkipJump,
    /// Projected gradient descent.
    "pgd" => Pgd: ObjectiveAttack,
    /// Auto-PGD.
    "apgd" => Apgd: ObjectiveAttack,
    /// Fast adaptive boundary attack.
    "fab" => Fab: ObjectiveAttack,
    /// Random search with squares.
    "square" => Square: ObjectiveAttack,
    /// DeepFool.
    "deepfool" => DeepFool: ObjectiveAttack,
    /// Carlini and Wagner's L2 attack.
    "carlini-wagner" => CarliniWagner: ObjectiveAttack,
    /// Decoupled direction and norm.
    "ddn" => Ddn: ObjectiveAttack,
    /// Fast minimum-norm attack.
    "fmn" => Fmn: ObjectiveAttack,
    /// The smallest ball in which another attack succeeds.
    "binary-search" => MinimalBy,
}

/// Refuses a count of 0.
pub(crate) fn at_least_one(what: &'static str, count: usize) -> Result<(), AttackError> {
    if count == 0 {
        return Err(AttackError::setting(what, count, "at least 1"));
    }
    Ok(())
}

/// Refuses a setting that is not a finite number above 0.
pub(crate) fn above_zero(what: &'static str, value: f32) -> Result<(), AttackError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(AttackError::setting(what, value, "a finite number above 0"))
}

impl AttackConfig {
    /// The attacks that it stands for: an ensemble's members in their order, else itself.
    pub fn members(&self, norm: crate::threat::Norm) -> Vec<Self> {
        match self {
            Self::AutoAttack(ensemble) => ensemble.members(norm),
            attack => vec![attack.clone()],
        }
    }

    /// The same without an early stop, where it has one: going on where the goal is reached, as far up
    /// the objective as it comes.
    #[must_use]
    pub fn to_the_end(&self) -> Self {
        let mut attack = self.clone();
        match &mut attack {
            Self::Pgd(Pgd { stop_early, .. })
            | Self::Bim(Bim { stop_early, .. })
            | Self::MiFgsm(MiFgsm { stop_early, .. })
            | Self::Apgd(Apgd { stop_early, .. }) => *stop_early = false,
            _ => {}
        }
        attack
    }
}

/// An attack inside a ball needs a ball: refuses an unbounded threat.
pub(crate) fn bounded(attack: &str, threat: &ThreatModel) -> Result<(), AttackError> {
    if threat.is_unbounded() {
        return Err(AttackError::Unfit(format!(
            "{attack} searches inside a ball: give it a finite epsilon, or take an attack that looks \
             for the smallest perturbation"
        )));
    }
    Ok(())
}

/// Refuses a norm that is none of `norms`.
pub(crate) fn in_norms(
    attack: &str,
    threat: &ThreatModel,
    norms: &[crate::threat::Norm],
) -> Result<(), AttackError> {
    if norms.contains(&threat.norm) {
        return Ok(());
    }
    let norms: Vec<String> = norms.iter().map(ToString::to_string).collect();
    Err(AttackError::Unfit(format!(
        "{attack} knows the norms {}, not {}",
        norms.join(", "),
        threat.norm
    )))
}
