//! Robust accuracy: which examples some attack breaks.

use std::sync::{Mutex, PoisonError};

use burn::tensor::Tensor;
use mr_models::{Input, InputKind, Model, data::Dataset, floats, predictions};
use serde::{Deserialize, Serialize};

use crate::attack::Attack;
use crate::error::AttackError;
use crate::goal::Goal;
use crate::threat::{TOLERANCE, ThreatModel};
use crate::victim::{Meter, Victim};
use crate::workers::Workers;

/// How an evaluation runs; none of it but the seed changes what is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Seed of every random draw.
    pub seed: u64,
    /// Examples that one thread holds at a time.
    pub batch_size: usize,
    /// Threads; 0 for all.
    pub threads: usize,
    /// Whether to keep the adversarial examples.
    pub keep: bool,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            batch_size: 128,
            threads: 0,
            keep: false,
        }
    }
}

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

/// Passes through the model, counted in examples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Forward passes.
    pub forwards: u64,
    /// Backward passes.
    pub backwards: u64,
}

/// The outcome of an evaluation, by example and in the order of the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// What became of each example.
    pub examples: Vec<Judged>,
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
        self.examples
            .iter()
            .map(|e| e.clean == e.label && !e.success)
            .collect()
    }

    /// Share of examples that the model gets right.
    pub fn clean_accuracy(&self) -> f64 {
        share(&self.clean_mask())
    }

    /// Share of examples that the model gets right and no attack breaks.
    pub fn robust_accuracy(&self) -> f64 {
        share(&self.robust_mask())
    }
}

fn share(mask: &[bool]) -> f64 {
    mask.iter().filter(|&&set| set).count() as f64 / mask.len().max(1) as f64
}

/// How far an evaluation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Examples done.
    pub done: usize,
    /// Of those, right and broken by nothing.
    pub robust: usize,
    /// Examples in all.
    pub total: usize,
}

/// Evaluates attacks on a model, one after the other, each on what none before it broke.
///
/// Every example gets a fresh forward pass first: one that already reaches the goal is broken at
/// distance 0 and is not attacked. What an attack proposes is projected into the threat and judged by
/// another fresh forward pass; the attack's own opinion does not count.
///
/// # Errors
/// [`AttackError`] if threat, goal, attacks or data do not fit the model, or its logits are not
/// finite.
pub fn evaluate(
    model: &dyn Model,
    data: &Dataset,
    threat: &ThreatModel,
    goal: &Goal,
    attacks: &[&dyn Attack],
    config: &EvaluationConfig,
) -> Result<Evaluation, AttackError> {
    evaluate_with(model, data, threat, goal, attacks, config, &|_| true)
}

/// As [`evaluate`]; tells `progress` after each batch, and stops where it says `false`.
///
/// # Errors
/// Those of [`evaluate`], and [`AttackError::Stopped`].
pub fn evaluate_with(
    model: &dyn Model,
    data: &Dataset,
    threat: &ThreatModel,
    goal: &Goal,
    attacks: &[&dyn Attack],
    config: &EvaluationConfig,
    progress: &(dyn Fn(Progress) -> bool + Sync),
) -> Result<Evaluation, AttackError> {
    fits(model, data, threat, goal, attacks, config)?;
    let meter = Meter::default();
    let total = data.len();
    let so_far = Mutex::new(Progress {
        done: 0,
        robust: 0,
        total,
    });
    let batches = total.div_ceil(config.batch_size);
    let parts = Workers::new(config.threads).map(batches, |batch| {
        let first = batch * config.batch_size;
        let rows: Vec<usize> = (first..total.min(first + config.batch_size)).collect();
        let run = Run {
            model,
            data,
            threat,
            goal,
            attacks,
            config,
            meter: &meter,
        };
        let part = run.batch(&rows)?;
        let mut now = so_far.lock().unwrap_or_else(PoisonError::into_inner);
        now.done += rows.len();
        now.robust += part
            .examples
            .iter()
            .filter(|e| e.clean == e.label && !e.success)
            .count();
        if progress(*now) {
            Ok(part)
        } else {
            Err(AttackError::Stopped)
        }
    })?;
    let mut examples = Vec::with_capacity(total);
    let mut points = config.keep.then(Vec::new);
    for part in parts {
        examples.extend(part.examples);
        if let (Some(points), Some(part)) = (&mut points, part.points) {
            points.extend(part);
        }
    }
    Ok(Evaluation {
        examples,
        counts: meter.counts(),
        points,
    })
}

fn fits(
    model: &dyn Model,
    data: &Dataset,
    threat: &ThreatModel,
    goal: &Goal,
    attacks: &[&dyn Attack],
    config: &EvaluationConfig,
) -> Result<(), AttackError> {
    let spec = model.spec();
    if config.batch_size == 0 {
        return Err(AttackError::setting("batch_size", 0, "at least 1"));
    }
    threat.fits(spec)?;
    goal.fits(spec.classes)?;
    for attack in attacks {
        attack.fits(spec)?;
    }
    match spec.input {
        InputKind::Real { shape } if shape == data.shape() => {}
        InputKind::Real { shape } => {
            return Err(AttackError::Data(format!(
                "`{}` has examples of {:?} (channel, height, width), the model takes {shape:?}",
                data.name(),
                data.shape()
            )));
        }
        InputKind::Tokens { .. } => {
            return Err(AttackError::Data(format!(
                "`{}` holds real values, the model takes tokens",
                data.name()
            )));
        }
    }
    if let Some(&label) = data.labels().iter().find(|&&label| label >= spec.classes) {
        return Err(AttackError::Data(format!(
            "`{}` has class {label}, the model knows {} classes",
            data.name(),
            spec.classes
        )));
    }
    Ok(())
}

struct Run<'a> {
    model: &'a dyn Model,
    data: &'a Dataset,
    threat: &'a ThreatModel,
    goal: &'a Goal,
    attacks: &'a [&'a dyn Attack],
    config: &'a EvaluationConfig,
    meter: &'a Meter,
}

struct Part {
    examples: Vec<Judged>,
    points: Option<Vec<f32>>,
}

impl Run<'_> {
    fn batch(&self, rows: &[usize]) -> Result<Part, AttackError> {
        let device = self.model.device();
        let input = self.data.input(rows, &device);
        let truth: Vec<usize> = rows.iter().map(|&row| self.data.labels()[row]).collect();
        let numbers: Vec<u64> = rows.iter().map(|&row| self.data.number(row)).collect();
        let seed = self.config.seed;
        let classes = self.model.spec().classes;
        let labels = self.goal.labels(&truth, &numbers, classes, seed, &device);
        self.check_box(&input, &numbers)?;
        let mut victim = Victim::new(
            self.model,
            self.threat,
            self.goal,
            (input, labels),
            numbers.clone(),
            seed,
            self.meter,
        );
        let clean = victim.clean_logits();
        check_finite(&clean, &numbers)?;
        let broken = victim.reached(&clean);
        let predicted = predictions(&clean);
        victim = victim.with_reference(clean);
        let mut examples: Vec<Judged> = (0..rows.len())
            .map(|i| Judged {
                index: numbers[i],
                label: truth[i],
                clean: last(&predicted[i]),
                adversarial: last(&predicted[i]),
                success: broken[i],
                distance: broken[i].then_some(0.0),
                attack: None,
            })
            .collect();
        let width = victim.origin().dims()[1];
        let mut points = self.config.keep.then(|| floats(victim.origin().clone()));
        for attack in self.attacks {
            let open: Vec<usize> = (0..rows.len()).filter(|&i| !examples[i].success).collect();
            if open.is_empty() {
                break;
            }
            let part = victim.select(&open);
            let proposed = attack.run(&part)?;
            let origin = part.origin();
            let point = self.threat.project(origin, sane(proposed, origin));
            let logits = part.logits(&point);
            let open_numbers: Vec<u64> = open.iter().map(|&i| numbers[i]).collect();
            check_finite(&logits, &open_numbers)?;
            let reached = part.reached(&logits);
            let inside = self.threat.contains(origin, &point);
            let distances = floats(self.threat.distance(origin, &point));
            let predicted = predictions(&logits);
            let values = points.is_some().then(|| floats(point));
            for (j, &i) in open.iter().enumerate() {
                if !(reached[j] && inside[j]) {
                    continue;
                }
                examples[i].success = true;
                examples[i].adversarial = last(&predicted[j]);
                examples[i].distance = Some(distances[j]);
                examples[i].attack = Some(attack.name().into());
                if let (Some(points), Some(values)) = (&mut points, &values) {
                    points[i * width..(i + 1) * width]
                        .copy_from_slice(&values[j * width..(j + 1) * width]);
                }
            }
        }
        Ok(Part { examples, points })
    }

    fn check_box(&self, input: &Input, numbers: &[u64]) -> Result<(), AttackError> {
        if self.threat.place != mr_models::Place::Input {
            return Ok(());
        }
        let [low, high] = self.threat.bounds;
        let values = floats(input.real());
        let width = values.len() / numbers.len();
        let outside = |v: f32| !(v >= low - TOLERANCE && v <= high + TOLERANCE);
        match values.iter().position(|&v| outside(v)) {
            None => Ok(()),
            Some(at) => Err(AttackError::Data(format!(
                "example {} of `{}` has the value {} at coordinate {}, outside the box [{low}, {high}]",
                numbers[at / width],
                self.data.name(),
                values[at],
                at % width
            ))),
        }
    }
}

/// A proposal that is not a finite number is no proposal.
fn sane(proposed: Tensor<2>, origin: &Tensor<2>) -> Tensor<2> {
    let broken = proposed.clone().is_finite().bool_not();
    proposed.mask_where(broken, origin.clone())
}

fn check_finite(logits: &Tensor<3>, numbers: &[u64]) -> Result<(), AttackError> {
    let values = floats(logits.clone());
    let width = values.len() / numbers.len();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(AttackError::NotFinite {
            example: numbers[at / width] as usize,
            value: values[at],
        }),
    }
}

/// The prediction at the last position: the only one, for images.
fn last(predicted: &[usize]) -> usize {
    predicted.last().copied().unwrap_or_default()
}
