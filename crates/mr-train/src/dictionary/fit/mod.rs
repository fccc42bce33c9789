//! Dictionaries fitted to a stream of activations.

mod checkpoint;
mod plan;
mod resample;
mod state;
mod steer;

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Device;
use mr_models::Workers;
use mr_sae::{Means, Sae};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use plan::{Centre, FitConfig, Plan, Resample};
pub use state::Report;

use super::stream::{Place, Reader, Stream};
use crate::error::{TrainError, at_least_0};
use checkpoint::Checkpoint;
use state::State;

/// How long dictionaries are fitted, together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitLength {
    /// Steps.
    pub steps: usize,
    /// Samples per step.
    pub batch_size: usize,
    /// Steps between two reports.
    pub report: usize,
    /// Steps between two checkpoints.
    pub checkpoint: usize,
    /// When to stop before the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<EarlyStop>,
}

/// Fitting ends when no dictionary's loss falls any more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStop {
    /// Reports without a better loss.
    pub patience: usize,
    /// By which share of itself a loss has to fall to be better.
    pub share: f64,
}

impl Default for EarlyStop {
    fn default() -> Self {
        Self {
            patience: 5,
            share: 1e-3,
        }
    }
}

impl Default for FitLength {
    fn default() -> Self {
        Self {
            steps: 10_000,
            batch_size: 4096,
            report: 100,
            checkpoint: 1000,
            early_stop: None,
        }
    }
}

impl FitLength {
    fn check(&self) -> Result<(), TrainError> {
        for (what, value) in [
            ("steps", self.steps),
            ("batch_size", self.batch_size),
            ("report", self.report),
            ("checkpoint", self.checkpoint),
        ] {
            if value == 0 {
                return Err(TrainError::setting(what, 0, "at least 1"));
            }
        }
        match self.early_stop {
            Some(EarlyStop { patience: 0, .. }) => {
                Err(TrainError::setting("early_stop.patience", 0, "at least 1"))
            }
            Some(stop) => at_least_0("early_stop.share", stop.share),
            None => Ok(()),
        }
    }
}

/// Where a fit stands.
#[derive(Debug, Clone, Copy)]
pub struct FitProgress<'a> {
    /// Steps that are done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Each dictionary's name and its last report, if there is one yet.
    pub reports: &'a [(String, Option<Report>)],
}

/// A dictionary and how its fit went.
#[derive(Debug, Clone)]
pub struct FittedSae {
    /// What was asked for.
    pub plan: Plan,
    /// The dictionary.
    pub sae: Sae,
    /// What it did, from report to report.
    pub reports: Vec<Report>,
    /// Samples since each latent was on, on the last step.
    pub idle: Vec<u64>,
}

/// Dictionaries after a fit.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The dictionaries, in the order of their plans.
    pub dictionaries: Vec<FittedSae>,
    /// Steps that were done.
    pub steps: usize,
    /// Whether the callback ended the fit before its last step. A checkpoint is written then, and the same call goes on.
    pub interrupted: bool,
}

/// Fits dictionaries to one stream of activations, all of them to the same batches. With a folder, the fit's state is kept in
/// it, and a killed fit goes on to the bits of an unkilled one; the bits do not depend on the number of threads.
///
/// A sample is what an autoencoder or a crosscoder reads, and of a transcoder what it reads followed by what it writes.
///
/// # Errors
/// [`TrainError::Setting`] for a setting out of range, [`TrainError::Data`] where samples do not fit or are not finite,
/// [`TrainError::Diverged`] at a loss that is not finite, those of the stream, and those of checkpoints.
pub fn fit(
    plans: &[Plan],
    length: &FitLength,
    stream: &dyn Stream,
    folder: Option<&Path>,
    means: Means,
    device: &Device,
    tell: &mut dyn FnMut(FitProgress<'_>) -> ControlFlow<()>,
) -> Result<Fitted, TrainError> {
    length.check()?;
    let width = stream.width();
    if plans.is_empty() {
        return Err(TrainError::setting(
            "plans",
            "[]",
            "one dictionary at least",
        ));
    }
    for (at, plan) in plans.iter().enumerate() {
        plan.check(width)?;
        if let (Some(l0), Some(_)) = (plan.fit.l0, length.early_stop) {
            let valid = "left out where a fit may stop early: the coefficient is not where L0 is right before the end";
            return Err(TrainError::setting("l0", l0, valid));
        }
        if plans[..at].iter().any(|other| other.name == plan.name) {
            return Err(TrainError::setting(
                "name",
                &plan.name,
                "another for each dictionary",
            ));
        }
    }
    let run = json!({ "plans": plans, "length": length, "stream": stream.about() });
    let path = folder.map(|folder| folder.join(crate::CHECKPOINT));
    let held = match path.as_deref().filter(|path| path.exists()) {
        Some(path) => Some(Checkpoint::read(path, &run, plans, device)?),
        None => None,
    };
    let place = held.as_ref().map_or_else(Place::default, |held| held.place);
    let mut reader = Reader::new(stream, length.batch_size, place)?;
    let (mut step, mut states) = if let Some(held) = held {
        (held.step, held.states)
    } else {
        let begin = |plan| State::begin(plan, reader.load(), width, device);
        (0, plans.iter().map(begin).collect::<Result<Vec<_>, _>>()?)
    };
    let keep = |step: usize, states: &[State], place: Place| {
        let write = |path| Checkpoint::write(step, states, place, &run, path);
        path.as_deref().map_or(Ok(()), write)
    };
    let mut interrupted = false;
    while step < length.steps && !stale(&states, length.early_stop) {
        let batch = reader.next()?;
        for state in &mut states {
            state.resample(step, batch, width);
            state.step(batch, width, [step, length.steps], means)?;
        }
        step += 1;
        if step.is_multiple_of(length.report) || step == length.steps {
            for state in &mut states {
                state.report(step);
            }
        }
        if step.is_multiple_of(length.checkpoint) || step == length.steps {
            keep(step, &states, reader.place())?;
        }
        let reports: Vec<_> = states
            .iter()
            .map(|state| (state.plan.name.clone(), state.reports.last().copied()))
            .collect();
        let progress = FitProgress {
            step,
            steps: length.steps,
            reports: &reports,
        };
        if tell(progress).is_break() && step < length.steps {
            keep(step, &states, reader.place())?;
            interrupted = true;
            break;
        }
    }
    Ok(Fitted {
        dictionaries: states
            .into_iter()
            .map(|state| FittedSae {
                plan: state.plan,
                sae: state.sae,
                reports: state.reports,
                idle: state.idle,
            })
            .collect(),
        steps: step,
        interrupted,
    })
}

/// Steps by hand on as many threads as rayon would use.
pub fn on_host() -> Means {
    Means::Host(Workers::new(0))
}

/// Whether no dictionary's loss falls any more.
fn stale(states: &[State], stop: Option<EarlyStop>) -> bool {
    let Some(stop) = stop else { return false };
    states.iter().all(|state| {
        let losses: Vec<f64> = state.reports.iter().map(|report| report.loss).collect();
        let Some(split) = losses
            .len()
            .checked_sub(stop.patience)
            .filter(|&split| split > 0)
        else {
            return false;
        };
        let least = |losses: &[f64]| losses.iter().copied().fold(f64::INFINITY, f64::min);
        let (before, since) = (least(&losses[..split]), least(&losses[split..]));
        since >= before - stop.share * before.abs()
    })
}

#[cfg(test)]
mod tests;
