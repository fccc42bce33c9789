//! What the items share: the examples that the model gets right, and ways to ask it about them.

use std::sync::{Mutex, PoisonError};

use mr_models::Workers;
use mr_models::data::Dataset;

use super::{ChecklistConfig, Examined, ITEMS, Item, Stand};
use crate::attack::{Attack, Pgd};
use crate::error::AttackError;
use crate::evaluate::{EvaluationConfig, Watch, evaluate_with};
use crate::evaluation::Evaluation;
use crate::goal::Goal;
use crate::threat::ThreatModel;
use crate::victim::{Meter, Victim};

type Progress<'a> = &'a mut (dyn FnMut(Stand<'_>) -> bool + Send);

pub(super) struct Bench<'a> {
    pub(super) examined: Examined<'a>,
    pub(super) config: &'a ChecklistConfig,
    /// The examples that the model gets right; none at all where it gets none right.
    right: Option<Dataset>,
    /// Which of them projected gradient descent breaks, once it was asked.
    plain: Option<Vec<bool>>,
    /// The item at work, and those that are done.
    at: &'static str,
    done: Vec<Item>,
    progress: Mutex<Progress<'a>>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        examined: Examined<'a>,
        config: &'a ChecklistConfig,
        done: Vec<Item>,
        progress: Progress<'a>,
    ) -> Result<Self, AttackError> {
        let mut bench = Self {
            examined,
            config,
            right: None,
            plain: None,
            at: "clean",
            done,
            progress: Mutex::new(progress),
        };
        bench.pgd().fits(examined.model.spec(), examined.threat)?;
        let clean = bench.evaluate(examined.data, examined.threat, &[])?;
        let right: Vec<usize> = (0..examined.data.len())
            .filter(|&row| clean.clean_mask()[row])
            .collect();
        // A subset of nothing is the only one that there is not.
        bench.right = examined.data.subset(&right).ok();
        Ok(bench)
    }

    /// Tells which item is at work.
    pub(super) fn begin(&mut self, item: &'static str) -> Result<(), AttackError> {
        self.at = item;
        self.goes_on()
    }

    /// Enters what came of it.
    pub(super) fn end(&mut self, item: Item) {
        self.done.push(item);
    }

    /// The items that are done.
    pub(super) fn items(&self) -> &[Item] {
        &self.done
    }

    pub(super) fn into_items(self) -> Vec<Item> {
        self.done
    }

    fn goes_on(&self) -> Result<(), AttackError> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Stand {
            item: self.at,
            done: &self.done,
            total: ITEMS.len(),
        };
        if progress(at) {
            Ok(())
        } else {
            Err(AttackError::Stopped)
        }
    }

    /// How many examples the model gets right.
    pub(super) fn count(&self) -> usize {
        self.right.as_ref().map_or(0, Dataset::len)
    }

    /// The attack whose gradients are in question.
    pub(super) fn pgd(&self) -> Pgd {
        Pgd {
            steps: self.config.steps,
            eot: self.config.eot,
            // Before a random model an example on the brink had luck: the farther beyond, the surer.
            stop_early: !self.examined.model.is_random(),
            ..Pgd::default()
        }
    }

    /// Which examples it breaks under the threat.
    pub(super) fn plain(&mut self) -> Result<Vec<bool>, AttackError> {
        if self.plain.is_none() {
            self.plain = Some(self.broken(self.examined.threat, &self.pgd())?);
        }
        Ok(self.plain.clone().unwrap_or_default())
    }

    /// Which examples an attack breaks.
    pub(super) fn broken(
        &self,
        threat: &ThreatModel,
        attack: &dyn Attack,
    ) -> Result<Vec<bool>, AttackError> {
        let Some(right) = &self.right else {
            return Ok(Vec::new());
        };
        let found = self.evaluate(right, threat, &[attack])?;
        Ok(found.examples.iter().map(|one| one.success).collect())
    }

    fn evaluate(
        &self,
        data: &Dataset,
        threat: &ThreatModel,
        attacks: &[&dyn Attack],
    ) -> Result<Evaluation, AttackError> {
        let config = EvaluationConfig {
            seed: self.config.seed,
            batch_size: self.config.batch_size,
            threads: self.config.threads,
            keep: false,
            passes: self.config.eot,
        };
        let model = self.examined.model;
        let watch = Watch {
            journal: None,
            progress: &mut |_| self.goes_on().is_ok(),
        };
        evaluate_with(
            model,
            data,
            threat,
            &Goal::Untargeted,
            attacks,
            &config,
            watch,
        )
    }

    /// What a job finds out about each example. `stream` names what random models draw for.
    pub(super) fn each<T: Send>(
        &self,
        stream: &str,
        job: impl Fn(&Victim<'_>) -> Result<Vec<T>, AttackError> + Sync,
    ) -> Result<Vec<T>, AttackError> {
        let Some(right) = &self.right else {
            return Ok(Vec::new());
        };
        let rows: Vec<usize> = (0..right.len()).collect();
        let batches: Vec<&[usize]> = rows.chunks(self.config.batch_size).collect();
        let device = self.examined.model.device();
        let parts = Workers::new(self.config.threads).map(batches.len(), |batch| {
            self.goes_on()?;
            let rows = batches[batch];
            let meter = Meter::default();
            let victim = Victim::new(
                self.examined.model,
                self.examined.threat,
                &Goal::Untargeted,
                (right.input(rows, &device), right.labels_of(rows, &device)),
                rows.iter().map(|&row| right.number(row)).collect(),
                self.config.seed,
                &meter,
            );
            job(&victim.in_stream(stream))
        })?;
        Ok(parts.into_iter().flatten().collect())
    }
}

/// The value below which this share of the values lies; NaN for none.
pub(super) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = share * sorted.len().saturating_sub(1) as f64;
    sorted.get(at.round() as usize).copied().unwrap_or(f64::NAN)
}

/// Euclidean length.
pub(super) fn length(values: &[f32]) -> f64 {
    let squares = values.iter().map(|&v| f64::from(v) * f64::from(v));
    squares.sum::<f64>().sqrt()
}

pub(super) fn count(mask: &[bool]) -> usize {
    mask.iter().filter(|&&set| set).count()
}

/// How many a search found that another missed.
pub(super) fn missed(found: &[bool], by: &[bool]) -> usize {
    found
        .iter()
        .zip(by)
        .filter(|&(&found, &by)| found && !by)
        .count()
}
