//! Robust accuracy: which examples some attack breaks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{Tensor, TensorData};
use mr_models::{Input, InputKind, Model, ModelSpec, Place, Workers, data::Dataset, floats};
use serde::{Deserialize, Serialize};

use crate::attack::Attack;
use crate::error::AttackError;
use crate::evaluation::{Counts, Evaluation, Judged};
use crate::goal::Goal;
use crate::journal::Journal;
use crate::table::Table;
use crate::threat::{TOLERANCE, ThreatModel};
use crate::victim::{Meter, Victim};

/// How an evaluation runs; none of it but `seed` and `passes` changes what is decided.
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
    /// Passes that a random model is judged by, of which the majority counts; this too changes what is
    /// decided. A model that is not random is judged by one.
    #[serde(skip_serializing_if = "is_one")]
    pub passes: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_one(passes: &usize) -> bool {
    *passes == 1
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            batch_size: 128,
            threads: 0,
            keep: false,
            passes: 1,
        }
    }
}

/// How far an evaluation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The attack at work; `clean` before the first.
    pub attack: &'a str,
    /// Examples that it is done with.
    pub done: usize,
    /// Examples that it is given: those that no attack before it broke.
    pub total: usize,
    /// Of all examples, those that are right and broken by nothing so far.
    pub robust: usize,
    /// All examples.
    pub examples: usize,
}

/// Evaluates attacks on a model, one after the other, each on what none before it broke.
///
/// Every example gets a fresh forward pass first: one that already reaches the goal is broken at
/// distance 0 and is not attacked. What an attack proposes is projected into the threat and judged by
/// another fresh forward pass; the attack's own opinion does not count. Under an unbounded threat every
/// attack is given every example that is not broken at distance 0, and the smallest distance counts.
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
    evaluate_with(
        model,
        data,
        threat,
        goal,
        attacks,
        config,
        Watch {
            journal: None,
            progress: &mut |_| true,
        },
    )
}

/// How an evaluation is watched.
pub struct Watch<'a> {
    /// Where to leave what is finished, and to take from what an earlier run finished.
    pub journal: Option<&'a Journal>,
    /// Told when an attack begins and after each batch; where it says `false` the evaluation stops.
    pub progress: &'a mut (dyn FnMut(Progress<'_>) -> bool + Send),
}

/// What the threads of an evaluation have in common.
type Shared<'a> = (Table, &'a mut (dyn FnMut(Progress<'_>) -> bool + Send));

/// As [`evaluate`], and watched: with progress, and a [`Journal`] from which a killed run goes on.
///
/// # Errors
/// Those of [`evaluate`], [`AttackError::Stopped`], and [`AttackError::Journal`].
pub fn evaluate_with(
    model: &dyn Model,
    data: &Dataset,
    threat: &ThreatModel,
    goal: &Goal,
    attacks: &[&dyn Attack],
    config: &EvaluationConfig,
    watch: Watch<'_>,
) -> Result<Evaluation, AttackError> {
    fits(model, data, threat, goal, attacks, config)?;
    let Watch { journal, progress } = watch;
    let run = Run {
        model,
        data,
        threat,
        goal,
        config,
    };
    let clean = run.clean(progress)?;
    let names: Vec<String> = attacks.iter().map(|attack| attack.name()).collect();
    let mut table = Table::new(&names, clean.examples, clean.counts);
    if config.keep {
        table.points = Some(data_points(&run, threat));
    }
    if let Some(journal) = journal {
        journal.restore(&mut table)?;
    }
    let shared = Mutex::new((table, progress));
    for (at, attack) in attacks.iter().enumerate() {
        let open = lock(&shared).0.open(at, threat.is_unbounded());
        let total = open.len();
        let done = AtomicUsize::new(0);
        let batches: Vec<&[usize]> = open.chunks(config.batch_size).collect();
        let tell = |shared: &mut Shared<'_>, done| {
            let (table, progress) = shared;
            let goes_on = progress(Progress {
                attack: &names[at],
                done,
                total,
                robust: table.robust(),
                examples: table.examples.len(),
            });
            if goes_on {
                return Ok(());
            }
            if let Some(journal) = journal {
                journal.keep(table, true)?;
            }
            Err(AttackError::Stopped)
        };
        if total > 0 {
            tell(&mut lock(&shared), 0)?;
        }
        Workers::new(config.threads).map(batches.len(), |batch| {
            let rows = batches[batch];
            let found = run.attack(*attack, rows, &clean.logits)?;
            let mut shared = lock(&shared);
            shared.0.enter(at, rows, found.0, found.1);
            let done = done.fetch_add(rows.len(), Ordering::Relaxed) + rows.len();
            if let Some(journal) = journal {
                journal.keep(&shared.0, false)?;
            }
            tell(&mut shared, done)
        })?;
    }
    let (table, _) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(journal) = journal {
        journal.keep(&table, true)?;
    }
    Ok(Evaluation {
        attempts: table.attempts(),
        examples: table.examples,
        counts: table.counts,
        points: table.points,
    })
}

pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether everything of a run goes together.
pub(crate) fn fits(
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
    if config.passes == 0 {
        return Err(AttackError::setting("passes", 0, "at least 1"));
    }
    threat.fits(spec)?;
    goal.fits(spec.classes)?;
    for attack in attacks {
        attack.fits(spec, threat)?;
    }
    data_fits(spec, data)
}

/// Checks that a model takes the examples of a data set, and knows their classes.
pub(crate) fn data_fits(spec: &ModelSpec, data: &Dataset) -> Result<(), AttackError> {
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

/// What every batch of a run shares.
pub(crate) struct Run<'a> {
    pub(crate) model: &'a dyn Model,
    pub(crate) data: &'a Dataset,
    pub(crate) threat: &'a ThreatModel,
    pub(crate) goal: &'a Goal,
    pub(crate) config: &'a EvaluationConfig,
}

/// The examples before any attack, with their logits, row-major.
struct Clean {
    examples: Vec<Judged>,
    logits: Vec<f32>,
    counts: Counts,
}

/// What an attack did to an example.
pub(crate) struct Found {
    pub(crate) success: bool,
    pub(crate) adversarial: usize,
    pub(crate) distance: f32,
    pub(crate) point: Option<Vec<f32>>,
}

impl Run<'_> {
    /// These rows of the data as a batch under attack, and the examples' numbers.
    pub(crate) fn victim<'v>(
        &'v self,
        rows: &[usize],
        meter: &'v Meter,
    ) -> Result<(Victim<'v>, Vec<u64>), AttackError> {
        let device = self.model.device();
        let input = self.data.input(rows, &device);
        let truth: Vec<usize> = rows.iter().map(|&row| self.data.labels()[row]).collect();
        let numbers: Vec<u64> = rows.iter().map(|&row| self.data.number(row)).collect();
        let seed = self.config.seed;
        let classes = self.model.spec().classes;
        let labels = self.goal.labels(&truth, &numbers, classes, seed, &device);
        check_box(self.threat, &input, &numbers, self.data.name())?;
        let victim = Victim::new(
            self.model,
            self.threat,
            self.goal,
            (input, labels),
            numbers.clone(),
            seed,
            meter,
        );
        Ok((victim.with_data(self.data), numbers))
    }

    fn clean(
        &self,
        progress: &mut (dyn FnMut(Progress<'_>) -> bool + Send),
    ) -> Result<Clean, AttackError> {
        let all: Vec<usize> = (0..self.data.len()).collect();
        let batches: Vec<&[usize]> = all.chunks(self.config.batch_size).collect();
        let told = Mutex::new((0, 0, progress));
        let parts = Workers::new(self.config.threads).map(batches.len(), |batch| {
            let part = self.clean_batch(batches[batch])?;
            let mut told = lock(&told);
            let (done, robust, progress) = &mut *told;
            *done += part.examples.len();
            *robust += part.examples.iter().filter(|e| e.is_robust()).count();
            let goes_on = progress(Progress {
                attack: "clean",
                done: *done,
                total: all.len(),
                robust: *robust,
                examples: all.len(),
            });
            if goes_on {
                Ok(part)
            } else {
                Err(AttackError::Stopped)
            }
        })?;
        let mut clean = Clean {
            examples: Vec::with_capacity(all.len()),
            logits: Vec::new(),
            counts: Counts::default(),
        };
        for part in parts {
            clean.counts += part.counts;
            clean.examples.extend(part.examples);
            clean.logits.extend(part.logits);
        }
        Ok(clean)
    }

    fn clean_batch(&self, rows: &[usize]) -> Result<Clean, AttackError> {
        let meter = Meter::default();
        let (victim, numbers) = self.victim(rows, &meter)?;
        let victim = victim.in_stream("clean");
        let logits = victim.clean_logits();
        check_finite(&logits, &numbers)?;
        let vote = victim.vote(&logits, None, self.config.passes);
        let examples = (0..rows.len()).map(|i| Judged {
            index: numbers[i],
            label: self.data.labels()[rows[i]],
            clean: vote.predicted[i],
            adversarial: vote.predicted[i],
            success: vote.reached[i],
            distance: vote.reached[i].then_some(0.0),
            attack: None,
        });
        Ok(Clean {
            examples: examples.collect(),
            logits: floats(logits),
            counts: meter.counts(),
        })
    }

    fn attack(
        &self,
        attack: &dyn Attack,
        rows: &[usize],
        clean: &[f32],
    ) -> Result<(Vec<Found>, Counts), AttackError> {
        let meter = Meter::default();
        let (victim, numbers) = self.victim(rows, &meter)?;
        let name = attack.name();
        let reference = rows_of(clean, rows, self.data.len(), &victim);
        let victim = victim.with_reference(reference).in_stream(&name);
        let proposed = attack.run(&victim)?;
        let origin = victim.origin();
        let point = self.threat.project(origin, victim.finite_points(proposed));
        let logits = victim.logits(&point);
        check_finite(&logits, &numbers)?;
        let vote = victim.vote(&logits, Some(&point), self.config.passes);
        let inside = self.threat.contains(origin, &point);
        let distances = floats(self.threat.distance(origin, &point));
        let width = point.dims()[1];
        let points = self.config.keep.then(|| floats(point));
        let found = (0..rows.len()).map(|i| {
            let success = vote.reached[i] && inside[i];
            let at = i * width..(i + 1) * width;
            Found {
                success,
                adversarial: vote.predicted[i],
                distance: distances[i],
                point: points
                    .as_ref()
                    .filter(|_| success)
                    .map(|all| all[at].to_vec()),
            }
        });
        Ok((found.collect(), meter.counts()))
    }
}

/// Refuses inputs outside a threat's box.
pub(crate) fn check_box(
    threat: &ThreatModel,
    input: &Input,
    numbers: &[u64],
    name: &str,
) -> Result<(), AttackError> {
    if threat.place != Place::Input {
        return Ok(());
    }
    let [low, high] = threat.bounds;
    let values = floats(input.real());
    let width = values.len() / numbers.len();
    let outside = |v: f32| !(v >= low - TOLERANCE && v <= high + TOLERANCE);
    match values.iter().position(|&v| outside(v)) {
        None => Ok(()),
        Some(at) => Err(AttackError::Data(format!(
            "example {} of `{name}` has the value {} at coordinate {}, outside the box [{low}, {high}]",
            numbers[at / width],
            values[at],
            at % width
        ))),
    }
}

/// The clean points `[example, coordinate]`, row-major.
fn data_points(run: &Run<'_>, threat: &ThreatModel) -> Vec<f32> {
    let count = run.data.len();
    match &threat.place {
        Place::Input => (0..count).flat_map(|row| run.data.image(row)).collect(),
        Place::Site(name) => {
            let site = run
                .model
                .spec()
                .site(name)
                .expect("the threat fits the model");
            vec![0.0; count * site.positions * site.channels]
        }
    }
}

/// Clean logits of some rows, `[row, position, class]`.
fn rows_of(all: &[f32], rows: &[usize], count: usize, victim: &Victim<'_>) -> Tensor<3> {
    let classes = victim.spec().classes;
    let width = all.len() / count;
    let mut values = Vec::with_capacity(rows.len() * width);
    for &row in rows {
        values.extend_from_slice(&all[row * width..(row + 1) * width]);
    }
    let shape = [rows.len(), width / classes, classes];
    Tensor::from_data(TensorData::new(values, shape), &victim.device())
}

pub(crate) fn check_finite(logits: &Tensor<3>, numbers: &[u64]) -> Result<(), AttackError> {
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
pub(crate) fn last(predicted: &[usize]) -> usize {
    predicted.last().copied().unwrap_or_default()
}
