//! Damaged parts, patched back to clean.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use mr_models::{Hook, Idle, Input, Model, Site, State, predictions, run_with_cache};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::front::{Front, Part};
use super::integrate::pixels;
use super::split::Damage;
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
    let right = |chosen: &[usize]| patching.right(&[chosen]);
    orders.through(truth.len(), &right, progress)
}

/// The same with each example's own worst parts: by count, how many examples get their true class again with
/// the parts patched whose shares are largest in this very example.
///
/// # Errors
/// Those of [`restore`].
///
/// # Panics
/// If the damage is not of these examples.
pub fn restore_own(
    model: &dyn Model,
    pair: &Pair,
    truth: &[usize],
    damage: &Damage,
    counts: &[usize],
) -> Result<Vec<usize>, CircuitError> {
    let patching = Patching::new(model, pair, truth, &damage.front)?;
    let parts = damage.front.parts.len();
    if let Some(&count) = counts.iter().find(|&&count| count > parts) {
        return Err(CircuitError::Parts { count, parts });
    }
    let rankings = damage.own_rankings();
    let right = counts.iter().map(|&count| {
        let rows: Vec<&[usize]> = rankings.iter().map(|ranking| &ranking[..count]).collect();
        patching.right(&rows)
    });
    Ok(right.collect())
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
        let mut clean = clean.collect::<Result<BTreeMap<_, _>, CircuitError>>()?;
        if front.parts.iter().any(|part| part.site == "input") {
            clean.insert("input".into(), pixels(pair.clean()));
        }
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
        })
    }

    /// How many are right with these parts as they are in the clean run: those of one row in every example, or
    /// of each row in its example.
    fn right(&self, rows: &[&[usize]]) -> usize {
        let mut masks = BTreeMap::<&str, Vec<f32>>::new();
        for (row, chosen) in rows.iter().enumerate() {
            for part in chosen.iter().map(|&at| &self.parts[at]) {
                let Some(clean) = self.clean.get(&part.site) else {
                    continue;
                };
                let width = clean.dims()[2];
                let mask = masks.entry(&part.site);
                let mask = mask.or_insert_with(|| vec![0.0; rows.len() * width]);
                let channels = row * width + part.channels.start..row * width + part.channels.end;
                mask[channels].fill(1.0);
            }
        }
        let device = self.model.device();
        let masks = masks.into_iter().map(|(site, mask)| {
            let width = mask.len() / rows.len();
            let data = TensorData::new(mask, [rows.len(), 1, width]);
            let mask = Tensor::<3>::from_data(data, &device);
            (site, [self.clean[site].clone(), mask])
        });
        let mut hook = Restoring {
            patches: masks.collect(),
        };
        let mut state = self.state.clone();
        if let (State::Input(Input::Real(values)), Some(patch)) =
            (&mut state, hook.patches.get("input"))
        {
            let shape = values.dims();
            let seen = pixels(&Input::Real(values.clone()));
            *values = mixed(seen, patch).swap_dims(1, 2).reshape(shape);
        }
        let stages = self.stage..self.model.stages();
        let logits = self.model.run_stages(stages, state, &mut hook).logits();
        right(&logits, self.truth)
    }
}

/// Puts clean channels where a mask is 1: by site, what is clean and the mask.
struct Restoring<'a> {
    patches: BTreeMap<&'a str, [Tensor<3>; 2]>,
}

impl Hook for Restoring<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.patches.contains_key(site.name.as_str())
    }

    fn at(&mut self, site: &Site, activation: Tensor<3>) -> Tensor<3> {
        mixed(activation, &self.patches[site.name.as_str()])
    }
}

fn mixed(activation: Tensor<3>, [clean, mask]: &[Tensor<3>; 2]) -> Tensor<3> {
    activation * (mask.clone() * -1.0 + 1.0) + clean.clone() * mask.clone()
}
