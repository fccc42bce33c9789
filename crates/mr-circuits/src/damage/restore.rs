//! Damaged parts, patched back to clean.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use mr_models::{Hook, Idle, Input, Model, Site, State, predictions, run_with_cache};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::front::{Front, Part};
use crate::error::CircuitError;
use crate::pair::Pair;

/// In which orders parts are patched.
#[derive(Debug, Clone, Copy)]
pub struct Orders<'a> {
    /// Parts, the first to be patched first.
    pub ranking: &'a [usize],
    /// How many of them are patched.
    pub counts: &'a [usize],
    /// Seeds of random orders to compare with.
    pub seeds: &'a [u64],
}

/// How many adversarial examples get their true class with some parts as they are in the clean run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// How many parts are patched.
    pub counts: Vec<usize>,
    /// By count, how many are right with the first parts of the ranking.
    pub ranked: Vec<usize>,
    /// By seed, the same with the first parts of a random order.
    pub random: Vec<Vec<usize>>,
    /// How many examples there are.
    pub examples: usize,
}

impl Restored {
    /// Accuracy by count, with the first parts of the ranking.
    pub fn accuracy(&self) -> Vec<f64> {
        self.shares(&self.ranked)
    }

    /// By seed, accuracy by count with the first parts of a random order.
    pub fn random_accuracy(&self) -> Vec<Vec<f64>> {
        self.random.iter().map(|right| self.shares(right)).collect()
    }

    fn shares(&self, right: &[usize]) -> Vec<f64> {
        let all = self.examples.max(1) as f64;
        right.iter().map(|&right| right as f64 / all).collect()
    }

    /// The same of further examples, added.
    ///
    /// # Panics
    /// If counts or seeds differ.
    pub fn add(&mut self, more: &Self) {
        assert_eq!(self.counts, more.counts, "the same counts");
        assert_eq!(self.random.len(), more.random.len(), "the same seeds");
        let curves = self.random.iter_mut().chain([&mut self.ranked]);
        for (curve, more) in curves.zip(more.random.iter().chain([&more.ranked])) {
            for (right, more) in curve.iter_mut().zip(more) {
                *right += more;
            }
        }
        self.examples += more.examples;
    }
}

/// Patches the first `counts` parts of a ranking back to what they are in the clean run, and reads how many
/// examples get their true class again; and the same with parts in random orders, one for each seed. Only
/// what comes after the parts is computed again.
///
/// `progress` is told how many runs of how many are done.
///
/// Of several positions, the prediction at the first counts: this is for networks that classify.
///
/// # Errors
/// [`CircuitError::Model`] if the front or the inputs do not fit, [`CircuitError::Parts`] for more parts
/// than there are.
///
/// # Panics
/// If the ranking names parts that the front does not have, or there is not one true class for each example.
pub fn restore(
    model: &dyn Model,
    pair: &Pair,
    truth: &[usize],
    front: &Front,
    orders: Orders<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Restored, CircuitError> {
    let patching = Patching::new(model, pair, truth, front)?;
    let right = |chosen: &[usize]| patching.right(chosen);
    orders.through(truth.len(), &right, progress)
}

impl Orders<'_> {
    /// Counts what is right with the first parts of each order.
    pub(super) fn through(
        &self,
        examples: usize,
        right: &dyn Fn(&[usize]) -> usize,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Restored, CircuitError> {
        let Self {
            ranking,
            counts,
            seeds,
        } = *self;
        if let Some(&count) = counts.iter().find(|&&count| count > ranking.len()) {
            return Err(CircuitError::Parts {
                count,
                parts: ranking.len(),
            });
        }
        let of = (1 + seeds.len()) * counts.len();
        let mut done = 0;
        let mut curve = |order: &[usize]| -> Vec<usize> {
            let right = counts.iter().map(|&count| {
                let right = right(&order[..count]);
                done += 1;
                progress(done, of);
                right
            });
            right.collect()
        };
        let ranked = curve(ranking);
        let random = seeds.iter().map(|&seed| {
            let mut order = ranking.to_vec();
            order.sort_unstable();
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            curve(&order)
        });
        Ok(Restored {
            counts: counts.to_vec(),
            random: random.collect(),
            ranked,
            examples,
        })
    }
}

/// How many rows of logits are largest at their true class.
pub(super) fn right(logits: &Tensor<3>, truth: &[usize]) -> usize {
    let found = predictions(logits);
    let right = found.iter().zip(truth);
    right.filter(|(found, truth)| found[0] == **truth).count()
}

/// The adversarial run up to the first part, and the clean activations of parts.
struct Patching<'a> {
    model: &'a dyn Model,
    truth: &'a [usize],
    parts: &'a [Part],
    /// The first stage that holds a part, and the adversarial state before it.
    stage: usize,
    state: State,
    clean: BTreeMap<String, Tensor<3>>,
    input: Input,
}

impl<'a> Patching<'a> {
    fn new(
        model: &'a dyn Model,
        pair: &Pair,
        truth: &'a [usize],
        front: &'a Front,
    ) -> Result<Self, CircuitError> {
        let spec = model.spec();
        for input in [pair.clean(), pair.corrupt()] {
            spec.accepts(input)?;
        }
        let sites = front.sites();
        let (_, cache) = run_with_cache(model, pair.clean(), &sites)?;
        let clean = sites
            .iter()
            .map(|&site| Ok((site.to_string(), cache.get(site)?.clone())));
        let clean = clean.collect::<Result<_, CircuitError>>()?;
        let stage = |part: &Part| spec.site(&part.site).map_or(0, |site| site.stage);
        let first = front.parts.iter().map(stage).min().unwrap_or(0);
        // What runs only as a whole begins at its input.
        let stage = if model.stages() == spec.stages() {
            first
        } else {
            0
        };
        let input = State::Input(pair.corrupt().clone());
        let state = match stage {
            0 => input,
            _ => model.run_stages(0..stage, input, &mut Idle),
        };
        Ok(Self {
            model,
            truth,
            parts: &front.parts,
            stage,
            state,
            clean,
            input: pair.clean().clone(),
        })
    }

    /// How many are right with these parts as they are in the clean run.
    fn right(&self, chosen: &[usize]) -> usize {
        let mut hook = Restoring {
            clean: &self.clean,
            masks: BTreeMap::new(),
        };
        let mut state = self.state.clone();
        for &at in chosen {
            let part = &self.parts[at];
            if let (State::Input(Input::Real(values)), "input") = (&mut state, part.site.as_str()) {
                let [batch, _, height, width] = values.dims();
                let channel = self.input.real().slice_dim(1, part.channels.clone());
                let place = [0..batch, part.channels.clone(), 0..height, 0..width];
                *values = values.clone().slice_assign(place, channel);
            }
            if let Some(clean) = self.clean.get(&part.site) {
                let mask = hook.masks.entry(part.site.clone());
                let mask = mask.or_insert_with(|| vec![0.0; clean.dims()[2]]);
                mask[part.channels.clone()].fill(1.0);
            }
        }
        let stages = self.stage..self.model.stages();
        let logits = self.model.run_stages(stages, state, &mut hook).logits();
        right(&logits, self.truth)
    }
}

/// Puts clean channels where a mask is 1.
struct Restoring<'a> {
    clean: &'a BTreeMap<String, Tensor<3>>,
    masks: BTreeMap<String, Vec<f32>>,
}

impl Hook for Restoring<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.masks.contains_key(&site.name)
    }

    fn at(&mut self, site: &Site, activation: Tensor<3>) -> Tensor<3> {
        let mask = &self.masks[&site.name];
        let data = TensorData::new(mask.clone(), [1, 1, mask.len()]);
        let mask = Tensor::<3>::from_data(data, &activation.device());
        let kept = activation * (mask.clone() * -1.0 + 1.0);
        kept + self.clean[&site.name].clone() * mask
    }
}
