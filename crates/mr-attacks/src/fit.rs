//! What perturbations for many examples are fitted with: gradients summed over minibatches.

use burn::tensor::{Tensor, TensorData};
use mr_models::{Model, Objective, Workers, data::Dataset, floats, objective};
use serde::{Deserialize, Serialize};

use crate::attack::{above_zero, at_least_one};
use crate::error::AttackError;
use crate::evaluate::data_fits;
use crate::goal::Goal;
use crate::threat::ThreatModel;
use crate::victim::{Meter, Victim};

/// Examples that one thread holds at a time. Gradients are summed part by part, in their order, so
/// that the sum does not depend on threads.
const PART: usize = 32;

/// How a perturbation is fitted to a data set, by ascent over minibatches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitConfig {
    /// Times that every example is seen.
    pub epochs: usize,
    /// Examples per step.
    pub batch_size: usize,
    /// Length of the first step, in the threat's norm; it falls to 0 along half a cosine. By default
    /// a tenth of the ball's radius, and at most a twentieth of the box.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_size: Option<f32>,
    /// The objective that is climbed, by name.
    pub objective: String,
    /// Examples whose objective is above this have no say (Shafahi et al. 2020), so that a few that
    /// are far gone do not decide; a large number for none.
    pub clip: f32,
    /// Seed of orders and draws.
    pub seed: u64,
    /// Threads; 0 for all.
    pub threads: usize,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            epochs: 5,
            batch_size: 128,
            step_size: None,
            objective: "cross-entropy".into(),
            clip: 9.0,
            seed: 0,
            threads: 0,
        }
    }
}

impl FitConfig {
    pub(crate) fn fits(&self) -> Result<(), AttackError> {
        at_least_one("epochs", self.epochs)?;
        at_least_one("batch_size", self.batch_size)?;
        if let Some(size) = self.step_size {
            above_zero("step_size", size)?;
        }
        if self.clip.is_nan() {
            return Err(AttackError::setting("clip", self.clip, "a number, or inf"));
        }
        Ok(())
    }
}

/// How far a fit has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitProgress {
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
    /// Share of the last minibatch for which the goal was reached.
    pub reached: f64,
}

/// A model, its data, and what is fitted against them.
pub(crate) struct Fit<'a> {
    pub(crate) model: &'a dyn Model,
    pub(crate) data: &'a Dataset,
    pub(crate) threat: &'a ThreatModel,
    pub(crate) goal: &'a Goal,
    pub(crate) config: &'a FitConfig,
    objective: Box<dyn Objective>,
}

/// What is fitted, as it is laid over examples.
pub(crate) trait Shared: Sync {
    /// Lays it over a clean point, `[coordinate]`; what is random depends on the example's number.
    fn lay(&self, example: u64, point: &mut [f32]);

    /// Adds the gradient at an example's point to the gradient of what is fitted.
    fn gather(&self, example: u64, gradient: &[f32], sum: &mut [f32]);
}

impl<'a> Fit<'a> {
    pub(crate) fn new(
        model: &'a dyn Model,
        data: &'a Dataset,
        threat: &'a ThreatModel,
        goal: &'a Goal,
        config: &'a FitConfig,
    ) -> Result<Self, AttackError> {
        config.fits()?;
        threat.fits(model.spec())?;
        goal.fits(model.spec().classes)?;
        data_fits(model.spec(), data)?;
        let objective = objective::by_name(&config.objective)?;
        objective.fits(model.spec())?;
        Ok(Self {
            model,
            data,
            threat,
            goal,
            config,
            objective,
        })
    }

    /// Minibatch by minibatch: gives `step` what is fitted, how many steps there were, the length of
    /// this one as a share of the first, and the mean gradient `[width]`; it gives back what is fitted.
    pub(crate) fn ascend<S: Shared>(
        &self,
        width: usize,
        mut state: S,
        progress: &mut dyn FnMut(FitProgress) -> bool,
        mut step: impl FnMut(S, usize, f32, Vec<f32>) -> S,
    ) -> Result<S, AttackError> {
        let per_epoch = self.data.len().div_ceil(self.config.batch_size);
        let total = per_epoch * self.config.epochs;
        let mut done = 0;
        for epoch in 0..self.config.epochs {
            let order = self.data.order(self.config.seed, epoch as u64);
            for rows in order.chunks(self.config.batch_size) {
                let (gradient, reached) = self.gradient(rows, &state, width)?;
                let way = done as f32 / total as f32;
                let length = 0.5 * (1.0 + (std::f32::consts::PI * way).cos());
                state = step(state, done, length, gradient);
                done += 1;
                let reached = reached as f64 / rows.len() as f64;
                let told = FitProgress {
                    done,
                    total,
                    reached,
                };
                if !progress(told) {
                    return Err(AttackError::Stopped);
                }
            }
        }
        Ok(state)
    }

    /// The mean gradient over these rows, and for how many of them the goal is reached.
    fn gradient(
        &self,
        rows: &[usize],
        shared: &impl Shared,
        width: usize,
    ) -> Result<(Vec<f32>, usize), AttackError> {
        let parts: Vec<&[usize]> = rows.chunks(PART).collect();
        let found = Workers::new(self.config.threads)
            .map(parts.len(), |i| self.part(parts[i], shared, width))?;
        let mut sum = vec![0.0; width];
        let mut reached = 0;
        for (part, count) in found {
            reached += count;
            for (sum, part) in sum.iter_mut().zip(part) {
                *sum += part / rows.len() as f32;
            }
        }
        Ok((sum, reached))
    }

    fn part(
        &self,
        rows: &[usize],
        shared: &impl Shared,
        width: usize,
    ) -> Result<(Vec<f32>, usize), AttackError> {
        let device = self.model.device();
        let meter = Meter::default();
        let numbers: Vec<u64> = rows.iter().map(|&row| self.data.number(row)).collect();
        let truth: Vec<usize> = rows.iter().map(|&row| self.data.labels()[row]).collect();
        let classes = self.model.spec().classes;
        let seed = self.config.seed;
        let labels = self.goal.labels(&truth, &numbers, classes, seed, &device);
        let input = self.data.input(rows, &device);
        let examples = numbers.clone();
        let victim = Victim::new(
            self.model,
            self.threat,
            self.goal,
            (input, labels),
            examples,
            seed,
            &meter,
        );
        let clean = victim.clean_logits();
        let victim = victim.with_reference(clean);
        let shape = victim.origin().dims();
        let mut points = floats(victim.origin().clone());
        for (&example, point) in numbers.iter().zip(points.chunks_mut(shape[1])) {
            shared.lay(example, point);
        }
        let points = Tensor::from_data(TensorData::new(points, shape), &device);
        let climb = victim.climb(self.objective.as_ref(), &points)?;
        let values = floats(climb.values);
        let gradients = floats(climb.gradient);
        let mut sum = vec![0.0; width];
        let each = numbers.iter().zip(values).zip(gradients.chunks(shape[1]));
        for ((&example, value), gradient) in each {
            if value < self.config.clip {
                shared.gather(example, gradient, &mut sum);
            }
        }
        let reached = climb.reached.iter().filter(|&&reached| reached).count();
        Ok((sum, reached))
    }
}
