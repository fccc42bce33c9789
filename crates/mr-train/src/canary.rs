//! What notices that a network withstands nothing but the one step it was trained on.

use mr_attacks::{Attack, EvaluationConfig, Goal, Pgd, evaluate};
use mr_models::Network;
use mr_models::data::Dataset;
use serde::{Deserialize, Serialize};

use crate::error::{TrainError, share};
use crate::history::Sighting;
use crate::loss::Fast;

/// A look at examples that are held out, after each epoch: by the step that is trained on, and by
/// PGD. Where the accuracies part, the network has overfitted to the step (catastrophic overfitting,
/// Wong et al. 2020, sec. 5.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Canary {
    /// Examples that it looks at: of those held out for validation, where there are some; otherwise it
    /// holds out its own. 0 for no canary.
    pub examples: usize,
    /// Gradient steps of PGD.
    pub steps: usize,
    /// How far PGD's accuracy may fall below that of the one step.
    pub gap: f64,
    /// What is done about it.
    pub then: Answer,
}

/// What is done about overfitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is told in the history.
    #[default]
    Warn,
    /// Training stops, and ends with the state of the highest accuracy under PGD so far (that of the
    /// validation, where there is one).
    Stop,
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            examples: 256,
            steps: 10,
            gap: 0.2,
            then: Answer::Warn,
        }
    }
}

impl Canary {
    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        share("loss.canary.gap", self.gap)?;
        if self.steps == 0 {
            return Err(TrainError::setting("loss.canary.steps", 0, "at least 1"));
        }
        Ok(())
    }

    /// Looks at a network after so many steps.
    pub(crate) fn look(
        &self,
        network: &Network,
        held: &Dataset,
        loss: &Fast,
        seed: u64,
        step: usize,
    ) -> Result<Sighting, TrainError> {
        let some = held.take(self.examples.min(held.len()))?;
        let config = EvaluationConfig {
            seed,
            ..EvaluationConfig::default()
        };
        let withstood = |attack: &dyn Attack| -> Result<usize, TrainError> {
            let goal = Goal::Untargeted;
            let found = evaluate(network, &some, &loss.threat, &goal, &[attack], &config)?;
            Ok(found.robust_mask().into_iter().filter(|&set| set).count())
        };
        let many = Pgd {
            steps: self.steps,
            ..Pgd::default()
        };
        let (one_step, many_steps) = (withstood(&loss.one_step())?, withstood(&many)?);
        let apart = (one_step as f64 - many_steps as f64) / some.len() as f64;
        Ok(Sighting {
            step,
            examples: some.len(),
            one_step,
            many_steps,
            overfitted: apart > self.gap,
        })
    }
}
