//! Sweeps: one change after the other, and what each does to an objective.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{Int, Tensor};
use mr_models::{Input, Model, OfLength, Workers};

use crate::ablation::Ablation;
use crate::error::CircuitError;
use crate::pair::Pair;
use crate::patching::question::Question;
use crate::patching::rerun::{Base, Rewrite, Variant};
use crate::patching::spot::Spot;

/// Which run is patched with activations of which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// The corrupt run gets clean activations: is the spot enough to restore the behaviour?
    #[default]
    Denoise,
    /// The clean run gets corrupt activations: is the spot needed for the behaviour?
    Noise,
}

impl Direction {
    /// The run that is changed, and the one that activations come from.
    pub(crate) fn of(self, pair: &Pair) -> (&Input, &Input) {
        match self {
            Self::Denoise => (pair.corrupt(), pair.clean()),
            Self::Noise => (pair.clean(), pair.corrupt()),
        }
    }
}

/// What patching each of some spots did to the objective of each example.
#[derive(Debug, Clone, PartialEq)]
pub struct Patches {
    /// The objective of the run that was patched, before; one value per example.
    pub base: Vec<f32>,
    /// The objective of the run that the activations came from.
    pub donor: Vec<f32>,
    /// The objective of the patched run, spot by spot, one value per example each.
    pub patched: Vec<Vec<f32>>,
}

impl Patches {
    /// `(patched - base) / (donor - base)` of one spot and one example: 1 where the spot carries the
    /// whole difference between the two runs, 0 where it carries none; NaN where there is no difference.
    ///
    /// # Panics
    /// If there is no such spot or example.
    pub fn restored(&self, spot: usize, example: usize) -> f32 {
        let base = self.base[example];
        (self.patched[spot][example] - base) / (self.donor[example] - base)
    }

    /// [`restored`](Self::restored) of each spot over the batch, as a ratio of sums: examples that differ
    /// more count more.
    pub fn mean_restored(&self) -> Vec<f32> {
        let base = sum(&self.base);
        let whole = sum(&self.donor) - base;
        // And no negative zero.
        let of = |patched: &Vec<f32>| ((sum(patched) - base) / whole) as f32 + 0.0;
        self.patched.iter().map(of).collect()
    }
}

fn sum(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum()
}

/// How a sweep runs; neither setting changes what it finds.
///
/// Each change is a run of its own, from the stage of the changed spot on: what comes before is run once.
/// Several changes of one stage run as one batch. Where the objective reads the last position alone, the
/// stages at the end that see nothing but single positions run that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// Rows that one thread holds at a time: examples times changes.
    pub batch_size: usize,
    /// Threads; 0 for all.
    pub threads: usize,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            batch_size: 32,
            threads: 0,
        }
    }
}

/// Told how many runs of how many are done.
pub type Progress<'a> = dyn FnMut(usize, usize) + Send + 'a;

impl Sweep {
    /// Patches each spot in turn from one run of the pair into the other, and reads the objective
    /// (Vig et al. 2020; Meng et al. 2022; the directions as in Heimersheim & Nanda 2024).
    ///
    /// # Errors
    /// [`CircuitError::Model`] for an unknown site, a region that it does not have, an input or an
    /// objective that does not fit the model; [`CircuitError::NotFinite`] where a run has no value.
    pub fn patch(
        &self,
        question: Question<'_>,
        pair: &Pair,
        direction: Direction,
        spots: &[Spot],
        progress: &mut Progress<'_>,
    ) -> Result<Patches, CircuitError> {
        let (base, donor) = direction.of(pair);
        let plan = Plan {
            input: base,
            donor: Some(donor),
            variants: each(spots),
            kept: Vec::new(),
            whole: false,
        };
        self.over(question, &plan, progress, &|batch| {
            let donor = batch.donor();
            Ok(Box::new(move |_, spot, region, _| {
                donor.cut(&spot.site, region)
            }))
        })
    }

    /// Ablates each spot in turn, and reads the objective of the input. There is no donor, whose objective
    /// is empty, unless the ablation is that of resampling.
    ///
    /// # Errors
    /// As [`patch`](Self::patch).
    pub fn ablate(
        &self,
        question: Question<'_>,
        input: &Input,
        ablation: &Ablation,
        spots: &[Spot],
        progress: &mut Progress<'_>,
    ) -> Result<Patches, CircuitError> {
        if let Ablation::Resample(corrupt) = ablation {
            let pair = Pair::new(input.clone(), corrupt.clone())?;
            return self.patch(question, &pair, Direction::Noise, spots, progress);
        }
        let sites: Vec<&str> = spots.iter().map(|spot| spot.site.as_str()).collect();
        let values = ablation.at(question.model, &sites)?;
        let plan = Plan {
            input,
            donor: None,
            variants: each(spots),
            kept: Vec::new(),
            whole: false,
        };
        self.over(question, &plan, progress, &|_| {
            let values = values.clone();
            Ok(Box::new(move |_, spot, region, before| {
                // Axes of 1 are for all.
                let values = &values[&spot.site];
                let mut region = region.clone();
                if values.dims()[1] == 1 {
                    region.positions = None;
                }
                region.cut(values).expand(before.dims())
            }))
        })
    }

    /// Adds a direction to every position of a spot, at each of some strengths in turn (Turner et al.
    /// 2023): is what the direction stands for used? The edit alone is
    /// [`Rewrite::Add`](mr_models::Rewrite::Add).
    ///
    /// # Errors
    /// As [`patch`](Self::patch); [`CircuitError::Setting`] for a direction that has not one finite number
    /// per channel of the spot.
    pub fn steer(
        &self,
        question: Question<'_>,
        input: &Input,
        spot: &Spot,
        direction: &[f32],
        strengths: &[f32],
        progress: &mut Progress<'_>,
    ) -> Result<Patches, CircuitError> {
        let [_, channels] = spot.region.size(question.model.spec().site(&spot.site)?);
        if direction.len() != channels || direction.iter().any(|value| !value.is_finite()) {
            let of = format!("{} numbers", direction.len());
            let valid = "one finite number per channel of the spot";
            return Err(CircuitError::setting("the direction", of, valid));
        }
        let device = question.model.device();
        let direction = Tensor::<1>::from_floats(direction, &device).reshape([1, 1, channels]);
        let plan = Plan {
            input,
            donor: None,
            variants: vec![vec![spot.clone()]; strengths.len()],
            kept: Vec::new(),
            whole: false,
        };
        self.over(question, &plan, progress, &|_| {
            let (direction, strengths) = (direction.clone(), strengths.to_vec());
            Ok(Box::new(move |at, _, _, before| {
                before + direction.clone() * strengths[at]
            }))
        })
    }

    /// Runs every variant of a plan. `rewriting` says for each batch what a change is.
    pub(crate) fn over(
        &self,
        question: Question<'_>,
        plan: &Plan<'_>,
        progress: &mut Progress<'_>,
        rewriting: &Rewriting<'_>,
    ) -> Result<Patches, CircuitError> {
        if self.batch_size == 0 {
            return Err(CircuitError::setting("batch_size", 0, "at least 1"));
        }
        question.fits(plan.input)?;
        let sized;
        let model: &dyn Model = match plan.input {
            Input::Tokens(tokens) => {
                sized = OfLength::new(question.model, tokens.dims()[1])?;
                &sized
            }
            Input::Real(_) => question.model,
        };
        let spots = || plan.variants.iter().flatten();
        spots().try_for_each(|spot| spot.fits(model.spec()))?;
        let mut sites: Vec<&str> = spots().map(|spot| spot.site.as_str()).collect();
        sites.extend(plan.kept.iter().map(String::as_str));
        sites.sort_unstable();
        sites.dedup();
        let mut found = Patches {
            base: Vec::new(),
            donor: Vec::new(),
            patched: vec![Vec::new(); plan.variants.len()],
        };
        let examples = plan.input.batch();
        let told = Mutex::new((0, progress));
        for start in (0..examples).step_by(self.batch_size) {
            let end = examples.min(start + self.batch_size);
            let rows = Tensor::<1, Int>::arange(start as i64..end as i64, &model.device());
            let labels = question.labels.select(rows.clone());
            let question = Question {
                model,
                labels: &labels,
                ..question
            };
            let inputs: Vec<&Input> = [plan.input].into_iter().chain(plan.donor).collect();
            let runs = Workers::new(self.threads).map(inputs.len(), |run| {
                Base::of(
                    question,
                    inputs[run].select(rows.clone()),
                    &sites,
                    plan.whole,
                )
            })?;
            let batch = Batch {
                base: &runs[0],
                donor: runs.get(1),
                threads: self.threads,
            };
            check("the run that is changed", &batch.base.values)?;
            if let Some(donor) = batch.donor {
                check("the run that activations come from", &donor.values)?;
                found.donor.extend_from_slice(&donor.values);
            }
            let rewrite = rewriting(&batch)?;
            let groups = groups(batch.base, &plan.variants, self.batch_size / (end - start));
            let values = Workers::new(self.threads).map(groups.len(), |group| {
                let group = groups[group].iter();
                let group: Vec<_> = group.map(|&at| (at, &plan.variants[at])).collect();
                let values = batch.base.changed(&group, rewrite.as_ref());
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                told.0 += (end - start) * group.len();
                let done = told.0;
                (told.1)(done, examples * plan.variants.len());
                Ok::<_, CircuitError>(values)
            })?;
            for (&at, values) in groups.iter().flatten().zip(values.into_iter().flatten()) {
                let changed = plan.variants[at].first();
                let changed = changed.map_or("nothing changed".into(), ToString::to_string);
                check(&format!("the run with another {changed}"), &values)?;
                found.patched[at].extend(values);
            }
            found.base.extend_from_slice(&batch.base.values);
        }
        Ok(found)
    }
}

/// What a sweep goes over.
pub(crate) struct Plan<'a> {
    /// The run that is changed.
    pub(crate) input: &'a Input,
    /// Another one, example by example.
    pub(crate) donor: Option<&'a Input>,
    /// What changes together.
    pub(crate) variants: Vec<Variant>,
    /// Sites whose activations changes are made of, besides those that change.
    pub(crate) kept: Vec<String>,
    /// Whether every stage runs every position, whatever the objective reads.
    pub(crate) whole: bool,
}

/// The runs of one batch that changes are made of.
pub(crate) struct Batch<'a> {
    pub(crate) base: &'a Base<'a>,
    pub(crate) donor: Option<&'a Base<'a>>,
    pub(crate) threads: usize,
}

impl<'a> Batch<'a> {
    /// The other run.
    ///
    /// # Panics
    /// If the plan has none.
    pub(crate) fn donor(&self) -> &'a Base<'a> {
        self.donor.expect("the plan has a donor")
    }
}

/// Of a batch, what its changes are.
pub(crate) type Rewriting<'a> =
    dyn for<'b> Fn(&Batch<'b>) -> Result<Box<Rewrite<'b>>, CircuitError> + 'a;

fn each(spots: &[Spot]) -> Vec<Variant> {
    spots.iter().map(|spot| vec![spot.clone()]).collect()
}

/// Which variants run together: of one order, so many of them.
fn groups(base: &Base<'_>, variants: &[Variant], together: usize) -> Vec<Vec<usize>> {
    let orders: Vec<_> = variants.iter().map(|variant| base.order(variant)).collect();
    let mut all: Vec<usize> = (0..variants.len()).collect();
    all.sort_by_key(|&at| orders[at]);
    let alike = all.chunk_by(|&a, &b| orders[a] == orders[b]);
    let groups = alike.flat_map(|alike| alike.chunks(together.max(1)));
    groups.map(<[usize]>::to_vec).collect()
}

fn check(run: &str, values: &[f32]) -> Result<(), CircuitError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(example) => Err(CircuitError::NotFinite {
            run: run.into(),
            example,
            value: values[example],
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
