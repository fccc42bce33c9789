//! A probe of samples, and what it does with those that it has not seen.

use mr_circuits::{Judged, Positions, Probe, ProbeKind};
use serde::{Deserialize, Serialize};

use super::design::Design;
use super::logistic::logistic;
use super::means::class_means;
use super::reading::Labelled;
use super::ridge::ridge;
use crate::dictionary::Activations;
use crate::error::{TrainError, above_0, at_least_0};

/// How a probe is fitted. Deterministic: a fit draws nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// What is fitted.
    pub kind: ProbeKind,
    /// The penalty: of linear and logistic probes on squared weights, the loss being a mean over samples;
    /// of a mass mean a share of the mean variance, added to the covariance's diagonal. A difference of
    /// means has none.
    pub lambda: f64,
    /// What a sample is.
    pub positions: Positions,
    /// Whether samples are divided by their root mean square, so that lambda means the same at sites of
    /// any scale. What is saved reads the samples as they are.
    pub scaled: bool,
    /// Steps of the search, at most; of logistic probes.
    pub steps: usize,
    /// Largest entry of the gradient at which the search ends; of logistic probes.
    pub tolerance: f64,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            kind: ProbeKind::default(),
            lambda: 1e-3,
            positions: Positions::default(),
            scaled: true,
            steps: 2000,
            tolerance: 1e-4,
        }
    }
}

impl ProbeConfig {
    fn validate(&self) -> Result<(), TrainError> {
        at_least_0("lambda", self.lambda)?;
        above_0("tolerance", self.tolerance)
    }
}

/// A probe, and how its fit ended.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedProbe {
    /// The probe.
    pub probe: Probe,
    /// What was minimised, at the end of the search; 0 of what has a closed form.
    pub loss: f64,
    /// Steps of the search; 0 of what has a closed form.
    pub steps: usize,
    /// Whether the search ended by its tolerance.
    pub converged: bool,
}

/// Fits a probe to some samples (`rows`) of a site, with a label for each sample of all.
///
/// # Errors
/// [`TrainError::Setting`] for a setting outside its range; [`TrainError::Data`] if labels and samples are
/// not equally many, a label is no output, there are no rows, or they do not determine the weights.
pub fn fit_probe(
    of: &Labelled,
    labels: &[usize],
    rows: &[usize],
    outputs: &[String],
    config: &ProbeConfig,
) -> Result<FittedProbe, TrainError> {
    config.validate()?;
    let samples = &of.samples;
    if labels.len() != samples.count() {
        return Err(TrainError::Data(format!(
            "{} labels for {} samples of `{}`",
            labels.len(),
            samples.count(),
            of.site
        )));
    }
    if let Some(label) = labels.iter().find(|&&label| label >= outputs.len()) {
        let count = outputs.len();
        return Err(TrainError::Data(format!(
            "label {label} of {count} outputs"
        )));
    }
    if outputs.len() < 2 || rows.is_empty() {
        return Err(TrainError::Data(format!(
            "{} samples and {} outputs; a probe needs samples of two or more",
            rows.len(),
            outputs.len()
        )));
    }
    let design = Design::new(samples, rows, config.scaled);
    let mine: Vec<usize> = rows.iter().map(|&row| labels[row]).collect();
    let count = outputs.len();
    let (mut loss, mut steps, mut converged, mut means) = (0.0, 0, true, None);
    let (weights, bias) = match config.kind {
        ProbeKind::Linear => {
            let is = |at: usize| f64::from(u8::from(mine[at / count] == at % count));
            let indicators: Vec<f64> = (0..mine.len() * count).map(is).collect();
            ridge(&design, &indicators, count, config.lambda)?
        }
        ProbeKind::Logistic | ProbeKind::Cav => {
            let (lambda, limit, tolerance) = (config.lambda, config.steps, config.tolerance);
            let (weights, bias, end) = logistic(&design, &mine, count, lambda, limit, tolerance);
            (loss, steps, converged) = (end.value, end.steps, end.converged);
            (weights, bias)
        }
        ProbeKind::MeanDifference | ProbeKind::MassMean => {
            let whitened = config.kind == ProbeKind::MassMean;
            let lambda = whitened.then_some(config.lambda);
            let found = class_means(&design, &mine, outputs, lambda)?;
            let put_back = |(at, mean): (usize, &f64)| {
                (mean * design.scale + design.mean[at % design.width]) as f32
            };
            means = Some(found.means.iter().enumerate().map(put_back).collect());
            (found.weights, found.bias)
        }
    };
    let (weights, bias) = design.undone(&weights, &bias);
    let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    let names = outputs.to_vec();
    let mut probe = Probe::new(
        config.kind,
        &of.site,
        config.positions,
        names,
        single(weights),
        single(bias),
    )?;
    if let Some(means) = means {
        probe = probe.with_means(means)?;
    }
    Ok(FittedProbe {
        probe,
        loss,
        steps,
        converged,
    })
}

/// What probes do with samples that were held out of their fit, all samples in turn.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOut {
    /// Their answers, sample by sample.
    pub judged: Judged,
    /// Whether every search ended by its tolerance.
    pub converged: bool,
}

impl HeldOut {
    /// The share of right answers of each example, over its samples: examples are the units of
    /// statistics, not positions.
    pub fn by_example(&self, per_example: usize) -> Vec<f64> {
        let share = |right: &[bool]| {
            let count = right.iter().filter(|&&right| right).count();
            count as f64 / right.len() as f64
        };
        self.judged
            .right
            .chunks(per_example.max(1))
            .map(share)
            .collect()
    }
}

/// Judges each fold of [`folds`](super::folds) by a probe of the others. Samples of one example are held
/// out together.
///
/// # Errors
/// Those of [`fit_probe`].
///
/// # Panics
/// If there is not a fold for each example.
pub fn held_out(
    of: &Labelled,
    labels: &[usize],
    folds: &[usize],
    outputs: &[String],
    config: &ProbeConfig,
) -> Result<HeldOut, TrainError> {
    let (samples, per_example) = (&of.samples, of.per_example);
    assert_eq!(
        folds.len() * per_example,
        samples.count(),
        "a fold for each example"
    );
    let count = folds.iter().max().map_or(0, |last| last + 1);
    let all = samples.count();
    let mut judged = nothing_judged(all);
    let mut converged = true;
    for fold in 0..count {
        let held = |row: &usize| folds[row / per_example] == fold;
        let (out, kept): (Vec<usize>, Vec<usize>) = (0..all).partition(held);
        let fitted = fit_probe(of, labels, &kept, outputs, config)?;
        converged &= fitted.converged;
        answer(&fitted.probe, samples, labels, &out, &mut judged);
    }
    Ok(HeldOut { judged, converged })
}

/// Room for the answers about so many samples.
pub(super) fn nothing_judged(samples: usize) -> Judged {
    Judged {
        predicted: vec![0; samples],
        right: vec![false; samples],
        log_loss: vec![0.0; samples],
    }
}

/// Puts a probe's answers about some rows of the samples where they belong.
pub(super) fn answer(
    probe: &Probe,
    samples: &Activations,
    labels: &[usize],
    rows: &[usize],
    judged: &mut Judged,
) {
    let width = samples.width();
    let row = |&row: &usize| &samples.values()[row * width..(row + 1) * width];
    let values: Vec<f32> = rows.iter().flat_map(row).copied().collect();
    let truth: Vec<usize> = rows.iter().map(|&row| labels[row]).collect();
    let answers = probe.judge(&values, &truth);
    for (at, &row) in rows.iter().enumerate() {
        judged.predicted[row] = answers.predicted[at];
        judged.right[row] = answers.right[at];
        judged.log_loss[row] = answers.log_loss[at];
    }
}

#[cfg(test)]
mod tests;
