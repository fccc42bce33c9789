//! What came of an evaluation, example by example.

use serde::{Deserialize, Serialize};

/// What became of one example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Its number in the data set that it came from.
    pub index: u64,
    /// Its true class.
    pub label: usize,
    /// The class that the model gives it.
    pub clean: usize,
    /// The class that the model gives the adversarial example; `clean` where there is none.
    pub adversarial: usize,
    /// Whether the goal is reached, by the clean example or by an adversarial one.
    pub success: bool,
    /// Distance of the adversarial example in the threat's norm: 0 where the clean example already
    /// reaches the goal, `None` where nothing was found.
    pub distance: Option<f32>,
    /// The attack that found it; `None` where nothing was found or none was needed.
    pub attack: Option<String>,
}

impl Judged {
    /// Whether the model is right and nothing broke it.
    pub fn is_robust(&self) -> bool {
        self.clean == self.label && !self.success
    }
}

/// Passes through the model, counted in examples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Forward passes.
    pub forwards: u64,
    /// Backward passes.
    pub backwards: u64,
    /// Passes whose logits, objective or gradient held NaN or an infinity, and proposals that did.
    #[serde(default, skip_serializing_if = "none")]
    pub not_finite: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn none(count: &u64) -> bool {
    *count == 0
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.forwards += other.forwards;
        self.backwards += other.backwards;
        self.not_finite += other.not_finite;
    }
}

/// The outcome of an evaluation, by example and in the order of the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// What became of each example.
    pub examples: Vec<Judged>,
    /// What each attack did, in the order that they ran.
    pub attempts: Vec<Attempt>,
    /// Passes through the model.
    pub counts: Counts,
    /// The adversarial points `[example, coordinate]`, row-major, if they were to be kept: clean
    /// points where nothing was found.
    pub points: Option<Vec<f32>>,
}

impl Evaluation {
    /// Whether the model is right on each clean example.
    pub fn clean_mask(&self) -> Vec<bool> {
        self.examples.iter().map(|e| e.clean == e.label).collect()
    }

    /// Whether each example is right and broken by nothing.
    pub fn robust_mask(&self) -> Vec<bool> {
        self.examples.iter().map(Judged::is_robust).collect()
    }

    /// Share of examples that the model gets right.
    pub fn clean_accuracy(&self) -> f64 {
        share(&self.clean_mask())
    }

    /// Share of examples that the model gets right and no attack breaks.
    pub fn robust_accuracy(&self) -> f64 {
        share(&self.robust_mask())
    }

    /// Whether each example is right and broken by nothing of this size, from the distances: a point of
    /// the security curve of an evaluation without a ball. One with a ball knows only of radii up to its
    /// own.
    pub fn robust_within(&self, epsilon: f32) -> Vec<bool> {
        let unbroken = |e: &Judged| e.clean == e.label && e.distance.is_none_or(|d| d > epsilon);
        self.examples.iter().map(unbroken).collect()
    }
}

fn share(mask: &[bool]) -> f64 {
    mask.iter().filter(|&&set| set).count() as f64 / mask.len().max(1) as f64
}

/// What an attack did in an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The attack's name.
    pub attack: String,
    /// Examples that it was given.
    pub attacked: usize,
    /// Of those, broken by it.
    pub broken: usize,
    /// Examples that are right and broken by nothing up to here.
    pub robust: usize,
}
