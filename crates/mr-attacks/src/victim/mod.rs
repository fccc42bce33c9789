//! What an attack sees of a model: points, values and gradients.

mod averages;
mod drawn;
mod finite;
mod gallery;
mod geometry;
mod meter;
mod rows;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use burn::tensor::{Device, Int, Tensor};
use mr_models::data::Dataset;
use mr_models::{
    Cache, Hook, Input, Labels, Model, ModelSpec, Objective, Place, Tap, Windowed, class_tensor,
    floats, integers, predictions, run_with_cache, value_and_grad_at, values_at,
};

pub use geometry::Geometry;
pub use meter::Meter;
pub(crate) use rows::{put_some, row_index, rows_where};

use drawn::{Drawn, mix};
use finite::all_finite;

use crate::error::AttackError;
use crate::goal::Goal;
use crate::randomness::fnv1a;
use crate::threat::ThreatModel;

/// A batch of examples under attack: a model, a threat and a goal, with every point flattened to
/// `[batch, coordinate]` whatever the place. Counts what it is asked, per example.
pub struct Victim<'a> {
    model: &'a dyn Model,
    threat: &'a ThreatModel,
    goal: &'a Goal,
    /// What searches may take images from.
    data: Option<&'a Dataset>,
    input: Input,
    labels: Labels,
    origin: Tensor<2>,
    examples: Vec<u64>,
    seed: u64,
    /// What the passes are for; keys what a random model draws, with the next.
    stream: u64,
    /// How many passes each example has been through, whatever batch it was in.
    passes: Rc<RefCell<BTreeMap<u64, u64>>>,
    /// Clean activations that objectives compare with, as they are first asked for.
    clean: RefCell<BTreeMap<String, Tensor<3>>>,
    meter: &'a Meter,
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

/// The objective at points, without its gradient.
#[derive(Debug, Clone)]
pub struct Scores {
    /// The objective at each point.
    pub values: Vec<f32>,
    /// Whether the goal is reached at each point.
    pub reached: Vec<bool>,
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
            data: None,
            input,
            labels,
            origin,
            examples,
            seed,
            stream: 0,
            passes: Rc::default(),
            clean: RefCell::default(),
            meter,
        }
    }

    /// The same, with random models drawing what no other stream does.
    pub(crate) fn in_stream(mut self, name: &str) -> Self {
        self.stream = fnv1a(name.as_bytes());
        self
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

    /// What is known of the model.
    pub fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    /// Where the model's weights lie.
    pub fn device(&self) -> Device {
        self.origin.device()
    }

    /// The true class of each example, at its last position.
    pub fn truth(&self) -> Vec<usize> {
        let positions = self.labels.truth.dims()[1];
        let classes = classes_of(&self.labels.truth);
        classes
            .chunks(positions)
            .map(|row| row[positions - 1])
            .collect()
    }

    /// How the coordinates of a point lie in a picture.
    ///
    /// # Panics
    /// If the threat does not fit the model.
    pub fn geometry(&self) -> Geometry {
        match &self.threat.place {
            Place::Input => {
                let [_, channels, height, width] = self.input.real().dims();
                Geometry {
                    channels,
                    height,
                    width,
                    interleaved: false,
                }
            }
            Place::Site(name) => {
                let site = self.spec().site(name).expect("the threat fits the model");
                let [height, width] = site.grid.unwrap_or([1, site.positions]);
                Geometry {
                    channels: site.channels,
                    height,
                    width,
                    interleaved: true,
                }
            }
        }
    }

    /// The same batch with these classes as the targets of objectives: one way among several to reach
    /// the goal, which stays what it is.
    pub fn towards(&self, targets: &[usize]) -> Self {
        let mut there = self.same();
        there.labels = there
            .labels
            .with_target(class_tensor(targets, &self.device()));
        there
    }

    /// The same batch under another threat, such as a smaller ball.
    pub fn under(&self, threat: &'a ThreatModel) -> Self {
        Self {
            threat,
            ..self.same()
        }
    }

    /// The same batch before another model, such as one that an attack is transferred from.
    pub fn of(&self, model: &'a dyn Model) -> Self {
        Self {
            model,
            clean: RefCell::default(),
            ..self.same()
        }
    }

    fn same(&self) -> Self {
        Self {
            model: self.model,
            threat: self.threat,
            goal: self.goal,
            data: self.data,
            input: self.input.clone(),
            labels: self.labels.clone(),
            origin: self.origin.clone(),
            examples: self.examples.clone(),
            seed: self.seed,
            stream: self.stream,
            passes: Rc::clone(&self.passes),
            clean: self.clean.clone(),
            meter: self.meter,
        }
    }

    /// Some of the examples, as a batch of their own.
    pub fn select(&self, rows: &[usize]) -> Self {
        let index = row_index(rows, &self.origin);
        Self {
            model: self.model,
            threat: self.threat,
            goal: self.goal,
            data: self.data,
            input: self.input.select(index.clone()),
            labels: self.labels.select(index.clone()),
            origin: self.origin.clone().select(0, index.clone()),
            examples: rows.iter().map(|&row| self.examples[row]).collect(),
            seed: self.seed,
            stream: self.stream,
            passes: Rc::clone(&self.passes),
            clean: RefCell::new(
                self.clean
                    .borrow()
                    .iter()
                    .map(|(site, all)| (site.clone(), all.clone().select(0, index.clone())))
                    .collect(),
            ),
            meter: self.meter,
        }
    }

    /// The logits of the clean batch `[batch, position, class]`.
    pub fn clean_logits(&self) -> Tensor<3> {
        self.count_forward();
        self.counted(self.drawn().logits(&self.input))
    }

    /// The same with logits that divergences are measured from.
    pub(crate) fn with_reference(mut self, reference: Tensor<3>) -> Self {
        self.labels = self.labels.with_reference(reference);
        self
    }

    /// The logits at points `[batch, position, class]`.
    pub fn logits(&self, point: &Tensor<2>) -> Tensor<3> {
        self.count_forward();
        let (input, taps) = self.at(point);
        self.counted(match taps.first() {
            None => self.drawn().logits(&input),
            Some(tap) => self.drawn().run(&input, &mut Adding(tap)),
        })
    }

    /// The objective at points and whether they reach the goal, by a forward pass alone.
    ///
    /// # Errors
    /// [`AttackError::Model`] if the objective does not fit the model.
    pub fn score(
        &self,
        objective: &dyn Objective,
        point: &Tensor<2>,
    ) -> Result<Scores, AttackError> {
        let (values, logits) = self.see(objective, point)?;
        Ok(Scores {
            values: floats(values),
            reached: self.reached(&logits),
        })
    }

    /// The objective at points `[batch]` and the logits there, by one forward pass.
    pub(crate) fn see(
        &self,
        objective: &dyn Objective,
        point: &Tensor<2>,
    ) -> Result<(Tensor<1>, Tensor<3>), AttackError> {
        let labels = self.labels_for(objective)?;
        self.count_forward();
        let (input, taps) = self.at(point);
        let drawn = self.drawn();
        let (values, logits) = values_at(&drawn, &input, &labels, objective, &taps)?;
        Ok((self.finite_values(values), logits))
    }

    /// A batch that recomputes windows of these points alone, where model, place and objective let it.
    pub(crate) fn windowed(
        &self,
        objective: &dyn Objective,
        point: &Tensor<2>,
    ) -> Option<Box<dyn Windowed + 'a>> {
        let of_logits = objective.sites().is_empty() && objective.references().is_empty();
        if self.threat.place != Place::Input || !of_logits || self.model.is_random() {
            return None;
        }
        self.model.windowed(&self.at(point).0)
    }

    /// The objective of logits that were computed elsewhere, which counts as a forward pass.
    pub(crate) fn score_logits(&self, objective: &dyn Objective, logits: &Tensor<3>) -> Scores {
        self.count_forward();
        let values = objective.value(logits, &Cache::default(), &self.labels);
        Scores {
            values: floats(self.finite_values(values)),
            reached: self.reached(logits),
        }
    }

    /// The objective at points, its gradient there, and whether they reach the goal. An objective that is
    /// no finite number is minus infinity, a slope that is none 0; both are counted.
    ///
    /// # Errors
    /// [`AttackError::Model`] if the objective does not fit the model.
    pub fn climb(
        &self,
        objective: &dyn Objective,
        point: &Tensor<2>,
    ) -> Result<Climb, AttackError> {
        let labels = self.labels_for(objective)?;
        self.count_forward();
        let count = self.examples.len() as u64;
        self.meter.backwards.fetch_add(count, Ordering::Relaxed);
        let (input, taps) = self.at(point);
        let at_input = taps.is_empty();
        let found = value_and_grad_at(&self.drawn(), &input, &labels, objective, at_input, &taps)?;
        let gradient = match &self.threat.place {
            Place::Input => found.input().clone().flatten(1, 3),
            Place::Site(site) => found.site(site).clone().flatten(1, 2),
        };
        Ok(self.finite_climb(Climb {
            reached: self.reached(&found.logits),
            values: found.values,
            gradient,
        }))
    }

    /// Whether these logits reach the goal, by example. Logits that are no finite numbers never do.
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
                let logits = &values[i * positions * classes..(i + 1) * positions * classes];
                let goal = self.goal;
                all_finite(logits)
                    && goal.reached(logits, &predicted[i], &row(&truth), target.as_deref())
            })
            .collect()
    }

    /// What the model is given at these points: the input, and what is added at a site.
    fn at(&self, point: &Tensor<2>) -> (Input, Vec<Tap>) {
        match &self.threat.place {
            Place::Input => {
                let input = Input::Real(point.clone().reshape(self.input.real().dims()));
                (input, Vec::new())
            }
            Place::Site(name) => {
                let site = self.spec().site(name).expect("the threat fits the model");
                let shape = [self.examples.len(), site.positions, site.channels];
                let tap = Tap {
                    site: name.clone(),
                    added: Some(point.clone().reshape(shape)),
                };
                (self.input.clone(), vec![tap])
            }
        }
    }

    /// The labels, with the clean activations that the objective compares with.
    fn labels_for(&self, objective: &dyn Objective) -> Result<Labels, AttackError> {
        let mut labels = self.labels.clone();
        let sites = objective.references();
        let mut clean = self.clean.borrow_mut();
        let missing: Vec<&String> = sites.iter().filter(|s| !clean.contains_key(*s)).collect();
        if !missing.is_empty() {
            self.count_forward();
            let (_, cache) = run_with_cache(&self.drawn(), &self.input, &missing)?;
            clean.extend(cache.iter().map(|(site, at)| (site.into(), at.clone())));
        }
        for site in sites {
            let at = clean[&site].clone();
            labels.activations.insert(site, at);
        }
        Ok(labels)
    }

    /// The model, with the random numbers of one more pass.
    pub(crate) fn drawn(&self) -> impl Model + '_ {
        let mut keys = Vec::new();
        if self.model.is_random() {
            let mut passes = self.passes.borrow_mut();
            keys.extend(self.examples.iter().map(|&example| {
                let pass = passes.entry(example).or_default();
                *pass += 1;
                mix(self.seed ^ mix(self.stream ^ mix(example ^ mix(*pass))))
            }));
        }
        Drawn {
            model: self.model,
            keys,
        }
    }
}

fn classes_of(classes: &Tensor<2, Int>) -> Vec<usize> {
    let values = integers(classes.clone());
    values.into_iter().map(|class| class as usize).collect()
}

/// Adds a perturbation at its site.
struct Adding<'a>(&'a Tap);

impl Hook for Adding<'_> {
    fn wants(&self, site: &mr_models::Site) -> bool {
        site.name == self.0.site
    }

    fn at(&mut self, _site: &mr_models::Site, activation: Tensor<3>) -> Tensor<3> {
        match &self.0.added {
            Some(added) => activation + added.clone(),
            None => activation,
        }
    }
}
