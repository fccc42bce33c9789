//! What was seen of a run on its way.

use serde::{Deserialize, Serialize};

/// Losses and judgements of a run, in the order of its steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Mean losses, about 200 of them over a whole run.
    pub losses: Vec<MeanLoss>,
    /// Judgements on the examples that are held out.
    pub judgements: Vec<Judgement>,
    /// What was seen of overfitting to one step, where it is watched for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sightings: Vec<Sighting>,
}

/// How a network did on examples that are held out, by attacks of one step and of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Steps done when it was looked at.
    pub step: usize,
    /// Examples that it was looked at by.
    pub examples: usize,
    /// Of those, how many withstood the one step that is trained on.
    pub one_step: usize,
    /// Of those, how many withstood PGD.
    pub many_steps: usize,
    /// Whether the two are too far apart.
    pub overfitted: bool,
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Steps done when it was judged.
    pub step: usize,
    /// Examples that it was judged by; of sequences, the tokens that it could foretell.
    pub examples: usize,
    /// Of those, how many it got right.
    pub clean: usize,
    /// Of those, how many it got right and the attack did not break; `None` without an attack.
    pub robust: Option<usize>,
    /// Of sequences, the mean surprise of a token, `-log2 p`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_token: Option<f64>,
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

    /// What the best state is chosen by: of language models the fewest bits.
    pub(crate) fn score(&self) -> f64 {
        match self.bits_per_token {
            Some(bits) => -bits,
            None => self.robust.unwrap_or(self.clean) as f64,
        }
    }
}
