//! How a model does under each member of a family, and under the worst.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use burn::tensor::{Tensor, TensorData};
use mr_models::{Input, Model, Workers, data::Dataset, predictions};
use serde::{Deserialize, Serialize};

use super::{Picture, Transformation};
use crate::error::AttackError;
use crate::evaluate::{EvaluationConfig, Progress, check_finite, data_fits, last};
use crate::evaluation::Counts;
use crate::goal::Goal;
use crate::threat::{Norm, ThreatModel};
use crate::victim::{Meter, Victim};

/// What became of one example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// Its number in the data set that it came from.
    pub index: u64,
    /// Its true class.
    pub label: usize,
    /// The class that the model gives it.
    pub clean: usize,
    /// The first member that makes the model wrong, if it is right on the clean example.
    pub broken_by: Option<String>,
}

impl Fate {
    /// Whether the model is right, and stays so under every member.
    pub fn is_robust(&self) -> bool {
        self.clean == self.label && self.broken_by.is_none()
    }
}

/// What one member did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Its name.
    pub name: String,
    /// Examples that it was tried on.
    pub examples: usize,
    /// Those of them that the model gets right.
    pub right: usize,
}

impl Tried {
    /// Share of the examples that the model gets right; `None` if it was tried on none.
    pub fn accuracy(&self) -> Option<f64> {
        (self.examples > 0).then(|| self.right as f64 / self.examples as f64)
    }
}

/// The outcome, by example and in the order of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transformed {
    /// What became of each example.
    pub examples: Vec<Fate>,
    /// What each member did, in the order that they were given.
    pub members: Vec<Tried>,
    /// Passes through the model.
    pub counts: Counts,
}

impl Transformed {
    /// Whether each example is right under every member, and clean.
    pub fn robust_mask(&self) -> Vec<bool> {
        self.examples.iter().map(Fate::is_robust).collect()
    }

    /// Share of examples that the model gets right.
    pub fn clean_accuracy(&self) -> f64 {
        let right = self.examples.iter().filter(|e| e.clean == e.label).count();
        right as f64 / self.examples.len() as f64
    }

    /// Share of examples that the model gets right under every member, and clean.
    pub fn robust_accuracy(&self) -> f64 {
        let robust = self.examples.iter().filter(|e| e.is_robust()).count();
        robust as f64 / self.examples.len() as f64
    }

    /// The mean of the members' accuracies, for corruptions the mean corruption accuracy; only where
    /// every member was tried on every example.
    pub fn mean_accuracy(&self) -> Option<f64> {
        let whole = |member: &Tried| member.examples == self.examples.len();
        if self.members.is_empty() || !self.members.iter().all(whole) {
            return None;
        }
        let sum: f64 = self.members.iter().filter_map(Tried::accuracy).sum();
        Some(sum / self.members.len() as f64)
    }
}

/// Tries every member on every example, each by a fresh forward pass.
///
/// With `worst_only` an example leaves with the first member that makes the model wrong, and one that
/// the clean model gets wrong is not tried at all: that is enough for [`Transformed::robust_accuracy`],
/// and of a member then nothing more is known than how it did on the examples that it was tried on.
///
/// `progress` is told after each batch of each member; where it says `false` the evaluation stops.
///
/// # Errors
/// [`AttackError`] if the members or the data do not fit the model, if two members have one name, or
/// if logits are not finite; [`AttackError::Stopped`].
pub fn evaluate_transformations(
    model: &dyn Model,
    data: &Dataset,
    members: &[&dyn Transformation],
    worst_only: bool,
    config: &EvaluationConfig,
    progress: &mut (dyn FnMut(Progress<'_>) -> bool + Send),
) -> Result<Transformed, AttackError> {
    if config.batch_size == 0 {
        return Err(AttackError::setting("batch_size", 0, "at least 1"));
    }
    data_fits(model.spec(), data)?;
    let names: Vec<String> = members.iter().map(|member| member.name()).collect();
    for (at, member) in members.iter().enumerate() {
        member.fits(data.shape())?;
        if names[..at].contains(&names[at]) {
            return Err(AttackError::Unfit(format!("{} is given twice", names[at])));
        }
    }
    let run = Run {
        model,
        data,
        members,
        names: &names,
        worst_only,
        config,
        broken: AtomicUsize::new(0),
        told: Mutex::new(Told { done: 0, progress }),
    };
    let all: Vec<usize> = (0..data.len()).collect();
    let batches: Vec<&[usize]> = all.chunks(config.batch_size).collect();
    let parts = Workers::new(config.threads).map(batches.len(), |i| run.batch(batches[i]))?;
    let mut whole = Transformed {
        examples: Vec::with_capacity(data.len()),
        members: names.into_iter().map(Tried::none).collect(),
        counts: Counts::default(),
    };
    for part in parts {
        whole.examples.extend(part.examples);
        whole.counts += part.counts;
        for (whole, part) in whole.members.iter_mut().zip(part.members) {
            whole.examples += part.examples;
            whole.right += part.right;
        }
    }
    Ok(whole)
}

impl Tried {
    fn none(name: String) -> Self {
        Self {
            name,
            examples: 0,
            right: 0,
        }
    }
}

struct Run<'a> {
    model: &'a dyn Model,
    data: &'a Dataset,
    members: &'a [&'a dyn Transformation],
    names: &'a [String],
    worst_only: bool,
    config: &'a EvaluationConfig,
    broken: AtomicUsize,
    told: Mutex<Told<'a>>,
}

/// How far the evaluation has come, and who is told.
struct Told<'a> {
    done: usize,
    progress: &'a mut (dyn FnMut(Progress<'_>) -> bool + Send),
}

impl Run<'_> {
    fn batch(&self, rows: &[usize]) -> Result<Transformed, AttackError> {
        let meter = Meter::default();
        let pictures = rows
            .iter()
            .map(|&row| Picture::new(self.data.shape(), self.data.image(row)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut examples: Vec<Fate> = rows
            .iter()
            .zip(self.classes("clean", rows, &pictures, &meter)?)
            .map(|(&row, clean)| Fate {
                index: self.data.number(row),
                label: self.data.labels()[row],
                clean,
                broken_by: None,
            })
            .collect();
        let wrong = examples.iter().filter(|e| !e.is_robust()).count();
        self.broken.fetch_add(wrong, Ordering::Relaxed);
        let mut members = Vec::with_capacity(self.members.len());
        for (member, name) in self.members.iter().zip(self.names) {
            let tried: Vec<usize> = (0..rows.len())
                .filter(|&i| !self.worst_only || examples[i].is_robust())
                .collect();
            let changed: Vec<Picture> = tried
                .iter()
                .map(|&i| member.apply(&pictures[i], examples[i].index, self.config.seed))
                .collect();
            let tried_rows: Vec<usize> = tried.iter().map(|&i| rows[i]).collect();
            let found = self.classes(name, &tried_rows, &changed, &meter)?;
            let mut right = 0;
            for (&i, class) in tried.iter().zip(found) {
                if class == examples[i].label {
                    right += 1;
                } else if examples[i].is_robust() {
                    examples[i].broken_by = Some(name.clone());
                    self.broken.fetch_add(1, Ordering::Relaxed);
                }
            }
            members.push(Tried {
                name: name.clone(),
                examples: tried.len(),
                right,
            });
            self.tell(name, rows.len())?;
        }
        Ok(Transformed {
            examples,
            members,
            counts: meter.counts(),
        })
    }

    /// The class that the model gives each of these changed examples, by a forward pass.
    fn classes(
        &self,
        member: &str,
        rows: &[usize],
        pictures: &[Picture],
        meter: &Meter,
    ) -> Result<Vec<usize>, AttackError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let device = self.model.device();
        let [channels, height, width] = self.data.shape();
        let values: Vec<f32> = pictures.iter().flat_map(Picture::values).copied().collect();
        let shape = [rows.len(), channels, height, width];
        let input = Input::Real(Tensor::from_data(TensorData::new(values, shape), &device));
        let numbers: Vec<u64> = rows.iter().map(|&row| self.data.number(row)).collect();
        let threat = ThreatModel::unbounded(Norm::Linf);
        let victim = Victim::new(
            self.model,
            &threat,
            &Goal::Untargeted,
            (input, self.data.labels_of(rows, &device)),
            numbers.clone(),
            self.config.seed,
            meter,
        );
        let logits = victim.in_stream(member).clean_logits();
        check_finite(&logits, &numbers)?;
        Ok(predictions(&logits).iter().map(|p| last(p)).collect())
    }

    fn tell(&self, member: &str, done: usize) -> Result<(), AttackError> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.done += done;
        let done = told.done;
        let examples = self.data.len();
        let goes_on = (told.progress)(Progress {
            attack: member,
            done,
            total: examples * self.members.len(),
            robust: examples.saturating_sub(self.broken.load(Ordering::Relaxed)),
            examples,
        });
        if goes_on {
            Ok(())
        } else {
            Err(AttackError::Stopped)
        }
    }
}

#[cfg(test)]
mod tests;
