//! How much circuits of two kinds of networks have in common, held against seeds and against chance.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::diff::{comparable, jaccard};
use super::graph::Circuit;
use crate::error::CircuitError;

/// The Jaccard indices of the edges of circuits of two kinds of networks: between the kinds, and between
/// networks of one kind that differ by their seed alone. That is the floor: where it is low, a low overlap
/// between the kinds says nothing of the kinds. Channels of nets that began at different weights have no
/// counterparts, so that their floor is near chance.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlaps {
    counts: [usize; 2],
    /// Of each two circuits, those of the first kind first.
    jaccard: Vec<Vec<f64>>,
    /// Mean overlaps between the kinds that chance gives.
    pub random: Null,
}

/// Overlaps that chance gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Null {
    /// Mean Jaccard indices of random circuits, the smallest first.
    pub overlaps: Vec<f64>,
}

/// Compares circuits of two kinds of networks, and those of the first with random circuits in the place of
/// the second: each has as many edges into every layer as the circuit in whose place it is, drawn without
/// putting back. Circuits of attribution crowd in some layers, and would share edges there by that alone.
///
/// # Errors
/// [`CircuitError::Foreign`] if the edges that they could have are not the same, [`CircuitError::Empty`] for
/// a kind without a circuit.
pub fn overlaps(kinds: [&[Circuit]; 2], draws: usize, seed: u64) -> Result<Overlaps, CircuitError> {
    let [first, second] = kinds;
    let (Some(one), false) = (first.first(), second.is_empty()) else {
        return Err(CircuitError::Empty);
    };
    let all: Vec<&Circuit> = first.iter().chain(second).collect();
    for circuit in &all {
        comparable(one, circuit)?;
    }
    let overlap = |a: &Circuit, b: &Circuit| shared(&a.kept, &b.kept);
    let row = |a: &&Circuit| all.iter().map(|b| overlap(a, b)).collect();
    let jaccard = all.iter().map(row).collect();

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut alike: Vec<Alike> = second.iter().map(Alike::of).collect();
    let pairs = (first.len() * second.len()) as f64;
    let mut drawn = vec![false; one.edges()];
    let mut random: Vec<f64> = (0..draws)
        .map(|_| {
            let sums = alike.iter_mut().map(|alike| {
                alike.draw(&mut drawn, &mut rng);
                let overlaps = first.iter().map(|circuit| shared(&circuit.kept, &drawn));
                overlaps.sum::<f64>()
            });
            sums.sum::<f64>() / pairs
        })
        .collect();
    random.sort_by(f64::total_cmp);
    Ok(Overlaps {
        counts: [first.len(), second.len()],
        jaccard,
        random: Null { overlaps: random },
    })
}

impl Overlaps {
    /// How many circuits of each kind there are.
    pub fn counts(&self) -> [usize; 2] {
        self.counts
    }

    /// The mean over all pairs of one circuit of each kind, of those that the indices draw: with repeats, as
    /// a bootstrap over networks draws them.
    ///
    /// # Panics
    /// For an index past the number of circuits.
    pub fn between(&self, drawn: [&[usize]; 2]) -> f64 {
        let [first, second] = drawn;
        let pairs = first
            .iter()
            .flat_map(|&a| second.iter().map(move |&b| (a, self.counts[0] + b)));
        self.mean(pairs)
    }

    /// The same without pairs at one place, such as those of one seed: what began at the same weights overlaps
    /// for that reason too, which no pair of the floor does. NaN if there is no other pair.
    ///
    /// # Panics
    /// For an index past the number of circuits.
    pub fn crossed(&self, drawn: [&[usize]; 2]) -> f64 {
        let [first, second] = drawn;
        let pairs = first
            .iter()
            .flat_map(|&a| second.iter().map(move |&b| (a, b)))
            .filter(|(a, b)| a != b);
        self.mean(pairs.map(|(a, b)| (a, self.counts[0] + b)))
    }

    /// The floor: the mean over all pairs of two different circuits of one kind, of those that the indices
    /// draw. NaN if there is no such pair.
    ///
    /// # Panics
    /// For an index past the number of circuits.
    pub fn within(&self, drawn: [&[usize]; 2]) -> f64 {
        let firsts = [0, self.counts[0]];
        let pairs = drawn.into_iter().zip(firsts).flat_map(|(kind, first)| {
            let pairs = kind
                .iter()
                .enumerate()
                .flat_map(move |(at, &a)| kind[at + 1..].iter().map(move |&b| (a, b)));
            let different = pairs.filter(|(a, b)| a != b);
            different.map(move |(a, b)| (first + a, first + b))
        });
        self.mean(pairs)
    }

    /// The overlap of each circuit of the first kind with the one at its place in the second, such as that
    /// of the same seed; none where the kinds have not as many circuits.
    pub fn matched(&self) -> Vec<f64> {
        let [first, second] = self.counts;
        let places = 0..if first == second { first } else { 0 };
        places.map(|at| self.jaccard[at][first + at]).collect()
    }

    fn mean(&self, pairs: impl Iterator<Item = (usize, usize)>) -> f64 {
        let (sum, count) = pairs.fold((0.0, 0), |(sum, count), (a, b)| {
            (sum + self.jaccard[a][b], count + 1)
        });
        sum / f64::from(count)
    }
}

impl Null {
    /// The share of random circuits that overlap less; equal ones count half. In [0, 1].
    pub fn percentile(&self, overlap: f64) -> f64 {
        let all = self.overlaps.iter();
        let below = all.clone().filter(|&&other| other < overlap - 1e-12);
        let equal = all.filter(|&&other| (other - overlap).abs() <= 1e-12);
        (below.count() as f64 + equal.count() as f64 / 2.0) / self.overlaps.len().max(1) as f64
    }

    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.overlaps.iter().sum::<f64>() / self.overlaps.len().max(1) as f64
    }
}

fn shared(first: &[bool], second: &[bool]) -> f64 {
    let both = first.iter().zip(second);
    let shared = both.clone().filter(|(a, b)| **a && **b).count();
    jaccard(shared, both.filter(|(a, b)| a != b).count())
}

/// Random circuits with as many edges into each layer as one.
struct Alike {
    /// The edges into each layer, by their places, and how many of them are drawn.
    layers: Vec<(Vec<usize>, usize)>,
}

impl Alike {
    fn of(circuit: &Circuit) -> Self {
        let readers = &circuit.wiring().readers;
        let mut layers: Vec<(Vec<usize>, usize)> = Vec::new();
        let edges = circuit.scores().scores.iter().zip(&circuit.kept);
        for (at, ((edge, _), kept)) in edges.enumerate() {
            let layer = readers[edge.reader].order();
            if layers.len() <= layer {
                layers.resize_with(layer + 1, Default::default);
            }
            layers[layer].0.push(at);
            layers[layer].1 += usize::from(*kept);
        }
        Self { layers }
    }

    fn draw(&mut self, into: &mut [bool], rng: &mut ChaCha8Rng) {
        into.fill(false);
        for (edges, count) in &mut self.layers {
            let (drawn, _) = edges.partial_shuffle(rng, *count);
            for &at in &*drawn {
                into[at] = true;
            }
        }
    }
}
