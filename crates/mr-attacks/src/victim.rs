//! What an attack sees of a model: points, values and gradients.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{Int, Tensor};
use mr_models::{
    Input, Labels, Model, Objective, Place, Tap, floats, integers, predictions, value_and_grad_at,
};

use crate::error::AttackError;
use crate::evaluate::Counts;
use crate::goal::Goal;
use crate::threat::ThreatModel;

/// A batch of examples under attack: a model, a threat and a goal, with every point flattened to
/// `[batch, coordinate]` whatever the place. Counts what it is asked, per example.
pub struct Victim<'a> {
    model: &'a dyn Model,
    threat: &'a ThreatModel,
    goal: &'a Goal,
    input: Input,
    labels: Labels,
    origin: Tensor<2>,
    examples: Vec<u64>,
    seed: u64,
    forwards: &'a AtomicU64,
    backwards: &'a AtomicU64,
}

/// A step up the objective.
#[derive(Debug, Clone)]
pub struct Climb {
    /// The objective at each point `[batch]`.
    pub values: Tensor<1>,
    /// Its gradient `[batch, coordinate]`.
    pub gradient: Tensor<2>,
    /// Whether the goal is reached at each point.
    pub reached: Vec<bool>,
}

/// Counts forward and backward passes, in examples, over all threads.
#[derive(Debug, Default)]
pub struct Meter {
    pub(crate) forwards: AtomicU64,
    pub(crate) backwards: AtomicU64,
}

impl Meter {
    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        Counts {
            forwards: self.forwards.load(Ordering::Relaxed),
            backwards: self.backwards.load(Ordering::Relaxed),
        }
    }
}

impl<'a> Victim<'a> {
    /// A batch under attack. `examples` are the examples' own numbers, which random draws depend on.
    ///
    /// # Panics
    /// If the batch sizes differ.
    pub fn new(
        model: &'a dyn Model,
        threat: &'a ThreatModel,
        goal: &'a Goal,
        (input, labels): (Input, Labels),
        examples: Vec<u64>,
        seed: u64,
        meter: &'a Meter,
    ) -> Self {
        assert_eq!(input.batch(), examples.len(), "one number per example");
        let origin = match &threat.place {
            Place::Input => input.real().flatten(1, 3),
            Place::Site(name) => {
                let site = model.spec().site(name).expect("the threat fits the model");
                Tensor::zeros(
                    [examples.len(), site.positions * site.channels],
                    &input.device(),
                )
            }
        };
        Self {
            model,
            threat,
            goal,
            input,
            labels,
            origin,
            examples,
            seed,
            forwards: &meter.forwards,
            backwards: &meter.backwards,
        }
    }

    /// What is allowed.
    pub fn threat(&self) -> &ThreatModel {
        self.threat
    }

    /// The clean points `[batch, coordinate]`: flattened inputs, or zeros at a site.
    pub fn origin(&self) -> &Tensor<2> {
        &self.origin
    }

    /// The numbers of the examples, which random draws depend on.
    pub fn examples(&self) -> &[u64] {
        &self.examples
    }

    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Classes, targets and reference logits of the batch.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Some of the examples, as a batch of their own.
    pub fn select(&self, rows: &[usize]) -> Self {
        let index = row_index(rows, &self.origin);
        Self {
            model: self.model,
            threat: self.threat,
            goal: self.goal,
            input: self.input.select(index.clone()),
            labels: self.labels.select(index.clone()),
            origin: self.origin.clone().select(0, index),
            examples: rows.iter().map(|&row| self.examples[row]).collect(),
            seed: self.seed,
            forwards: self.forwards,
            backwards: self.backwards,
        }
    }

    /// The logits of the clean batch `[batch, position, class]`.
    pub fn clean_logits(&self) -> Tensor<3> {
        self.forwards
            .fetch_add(self.examples.len() as u64, Ordering::Relaxed);
        self.model.logits(&self.input)
    }

    /// The same with logits that divergences are measured from.
    pub(crate) fn with_reference(mut self, reference: Tensor<3>) -> Self {
        self.labels = self.labels.with_reference(reference);
        self
    }

    /// The logits at points `[batch, position, class]`.
    pub fn logits(&self, point: &Tensor<2>) -> Tensor<3> {
        self.forwards
            .fetch_add(self.examples.len() as u64, Ordering::Relaxed);
        match &self.threat.place {
            Place::Input => self.model.logits(&self.at_input(point)),
            Place::Site(site) => {
                let mut adding = Adding {
                    site,
                    added: point.clone(),
                };
                self.model.run(&self.input, &mut adding)
            }
        }
    }

    /// The objective at points, its gradient there, and whether they reach the goal.
    ///
    /// # Errors
    /// [`AttackError::Model`] if the objective does not fit the model.
    pub fn climb(
        &self,
        objective: &dyn Objective,
        point: &Tensor<2>,
    ) -> Result<Climb, AttackError> {
        let count = self.examples.len() as u64;
        self.forwards.fetch_add(count, Ordering::Relaxed);
        self.backwards.fetch_add(count, Ordering::Relaxed);
        let (input, taps) = match &self.threat.place {
            Place::Input => (self.at_input(point), Vec::new()),
            Place::Site(site) => {
                let shape = self.site_shape(site);
                let tap = Tap {
                    site: site.clone(),
                    added: Some(point.clone().reshape(shape)),
                };
                (self.input.clone(), vec![tap])
            }
        };
        let at_input = taps.is_empty();
        let found =
            value_and_grad_at(self.model, &input, &self.labels, objective, at_input, &taps)?;
        let gradient = match &self.threat.place {
            Place::Input => found.input().clone().flatten(1, 3),
            Place::Site(site) => found.site(site).clone().flatten(1, 2),
        };
        Ok(Climb {
            reached: self.reached(&found.logits),
            values: found.values,
            gradient,
        })
    }

    /// Whether these logits reach the goal, by example.
    pub fn reached(&self, logits: &Tensor<3>) -> Vec<bool> {
        let [batch, positions, classes] = logits.dims();
        let values = floats(logits.clone());
        let truth = classes_of(&self.labels.truth);
        let targets = self.labels.target.as_ref().map(classes_of);
        let predicted = predictions(logits);
        (0..batch)
            .map(|i| {
                let row = |all: &'_ [usize]| all[i * positions..(i + 1) * positions].to_vec();
                let target = targets.as_ref().map(|all| row(all));
                self.goal.reached(
                    &values[i * positions * classes..(i + 1) * positions * classes],
                    &predicted[i],
                    &row(&truth),
                    target.as_deref(),
                )
            })
            .collect()
    }

    fn at_input(&self, point: &Tensor<2>) -> Input {
        Input::Real(point.clone().reshape(self.input.real().dims()))
    }

    fn site_shape(&self, site: &str) -> [usize; 3] {
        let site = self
            .model
            .spec()
            .site(site)
            .expect("the threat fits the model");
        [self.examples.len(), site.positions, site.channels]
    }
}

fn classes_of(classes: &Tensor<2, Int>) -> Vec<usize> {
    let values = integers(classes.clone());
    values.into_iter().map(|class| class as usize).collect()
}

/// Rows as an index on the device of `like`.
pub(crate) fn row_index(rows: &[usize], like: &Tensor<2>) -> Tensor<1, Int> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Tensor::from_data(rows.as_slice(), &like.device())
}

/// Adds a flattened perturbation at a site.
struct Adding<'a> {
    site: &'a str,
    added: Tensor<2>,
}

impl mr_models::Hook for Adding<'_> {
    fn wants(&self, site: &mr_models::Site) -> bool {
        site.name == self.site
    }

    fn at(&mut self, _site: &mr_models::Site, activation: Tensor<3>) -> Tensor<3> {
        let shape = activation.dims();
        activation + self.added.clone().reshape(shape)
    }
}
