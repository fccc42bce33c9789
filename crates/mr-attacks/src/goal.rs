//! What an attacker wants.

use std::sync::Arc;

use burn::tensor::Device;
use mr_models::{Labels, class_tensor};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::AttackError;
use crate::randomness::Draw;

/// Whether an attack got what it wanted, judged on one example. `predicted`, `truth` and `target`
/// hold one class per position; `logits` are row-major `[position, class]`.
pub trait Criterion: Send + Sync {
    /// Its name in records.
    fn name(&self) -> String;

    /// Whether this output is a success.
    fn reached(
        &self,
        logits: &[f32],
        predicted: &[usize],
        truth: &[usize],
        target: Option<&[usize]>,
    ) -> bool;
}

/// The criterion that no output meets: an attack under it climbs its objective to the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Never;

impl Criterion for Never {
    fn name(&self) -> String {
        "none".into()
    }

    fn reached(&self, _: &[f32], _: &[usize], _: &[usize], _: Option<&[usize]>) -> bool {
        false
    }
}

/// What an attacker wants.
#[derive(Clone, Default)]
pub enum Goal {
    /// Any wrong class, at any position.
    #[default]
    Untargeted,
    /// A certain wrong class at every position.
    Targeted(Targets),
    /// Whatever the criterion says.
    Criterion(Arc<dyn Criterion>),
}

impl std::fmt::Debug for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

/// Which class a targeted attack wants of an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// This class; examples that already have it are left out of the count of successes.
    Class(usize),
    /// The class after the true one.
    Next,
    /// A wrong class drawn uniformly for each example.
    Random,
}

impl Goal {
    /// Its name in records.
    pub fn name(&self) -> String {
        match self {
            Self::Untargeted => "untargeted".into(),
            Self::Targeted(Targets::Class(class)) => format!("targeted({class})"),
            Self::Targeted(Targets::Next) => "targeted(next)".into(),
            Self::Targeted(Targets::Random) => "targeted(random)".into(),
            Self::Criterion(criterion) => criterion.name(),
        }
    }

    /// Checks that a model with so many classes can be driven there.
    ///
    /// # Errors
    /// [`AttackError::Setting`].
    pub fn fits(&self, classes: usize) -> Result<(), AttackError> {
        let Self::Targeted(targets) = self else {
            return Ok(());
        };
        if classes < 2 {
            return Err(AttackError::setting(
                "target",
                self.name(),
                "left out: the model has one class",
            ));
        }
        match targets {
            Targets::Class(class) if *class >= classes => Err(AttackError::setting(
                "target",
                class,
                format!("a class below {classes}"),
            )),
            _ => Ok(()),
        }
    }

    /// The target class of each example, if there is one.
    pub(crate) fn targets(
        &self,
        truth: &[usize],
        examples: &[u64],
        classes: usize,
        seed: u64,
    ) -> Option<Vec<usize>> {
        let Self::Targeted(targets) = self else {
            return None;
        };
        let draw = Draw {
            seed,
            attack: "target",
            restart: 0,
            step: 0,
        };
        let of = |(&truth, &example): (&usize, &u64)| match targets {
            Targets::Class(class) => *class,
            Targets::Next => (truth + 1) % classes,
            Targets::Random => {
                (truth + draw.rng(example).random_range(1..classes as u64) as usize) % classes
            }
        };
        Some(truth.iter().zip(examples).map(of).collect())
    }

    /// Labels of a batch of one-position examples, with targets where there are any.
    pub(crate) fn labels(
        &self,
        truth: &[usize],
        examples: &[u64],
        classes: usize,
        seed: u64,
        device: &Device,
    ) -> Labels {
        let labels = Labels::of_classes(truth, device);
        match self.targets(truth, examples, classes, seed) {
            Some(targets) => labels.with_target(class_tensor(&targets, device)),
            None => labels,
        }
    }

    /// Whether this output of one example is a success.
    pub(crate) fn reached(
        &self,
        logits: &[f32],
        predicted: &[usize],
        truth: &[usize],
        target: Option<&[usize]>,
    ) -> bool {
        match self {
            Self::Untargeted => predicted != truth,
            Self::Targeted(_) => target == Some(predicted) && predicted != truth,
            Self::Criterion(criterion) => criterion.reached(logits, predicted, truth, target),
        }
    }
}
