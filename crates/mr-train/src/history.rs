//! What was seen of a run on its way.

use serde::{Deserialize, Serialize};

/// Losses and judgements of a run, in the order of its steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Mean losses, about 200 of them over a whole run.
    pub losses: Vec<MeanLoss>,
    /// Judgements on the examples that are held out.
    pub judgements: Vec<Judgement>,
}

/// The mean of the training loss over some steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanLoss {
    /// Steps done when it was taken; it covers those since the one before.
    pub step: usize,
    /// The mean, regularizers included.
    pub loss: f32,
}

/// How a network did on the examples that are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Steps done when it was judged.
    pub step: usize,
    /// Examples that it was judged by.
    pub examples: usize,
    /// Of those, how many it got right.
    pub clean: usize,
    /// Of those, how many it got right and the attack did not break; `None` without an attack.
    pub robust: Option<usize>,
}

impl Judgement {
    /// Share of examples that it got right.
    pub fn clean_accuracy(&self) -> f64 {
        self.clean as f64 / self.examples as f64
    }

    /// Share of examples that it got right and the attack did not break.
    pub fn robust_accuracy(&self) -> Option<f64> {
        self.robust
            .map(|robust| robust as f64 / self.examples as f64)
    }

    /// What the best state is chosen by.
    pub(crate) fn score(&self) -> usize {
        self.robust.unwrap_or(self.clean)
    }
}
