//! How much two circuits have in common.

use mr_models::Edge;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::graph::Circuit;
use crate::error::CircuitError;

/// The edges of two circuits of one wiring, sorted by whose they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Edges of both.
    pub shared: Vec<Edge>,
    /// Edges of the first alone.
    pub only_first: Vec<Edge>,
    /// Edges of the second alone.
    pub only_second: Vec<Edge>,
}

impl Difference {
    /// Shared edges among those of either; 1 where both are empty.
    pub fn jaccard(&self) -> f64 {
        jaccard(
            self.shared.len(),
            self.only_first.len() + self.only_second.len(),
        )
    }
}

fn jaccard(shared: usize, others: usize) -> f64 {
    match shared + others {
        0 => 1.0,
        all => shared as f64 / all as f64,
    }
}

/// What two circuits of networks with one wiring share: circuits of two models may be compared, such as
/// those of a standard and an adversarially trained one.
///
/// # Errors
/// [`CircuitError::Foreign`] if the edges that they could have are not the same.
pub fn difference(first: &Circuit, second: &Circuit) -> Result<Difference, CircuitError> {
    let (a, b) = (first.wiring(), second.wiring());
    if a != b {
        return Err(CircuitError::Foreign {
            network: "other circuit".into(),
            reason: format!(
                "{} writers and {} readers against {} and {}",
                a.writers.len(),
                a.readers.len(),
                b.writers.len(),
                b.readers.len()
            ),
        });
    }
    let both = first
        .scores()
        .scores
        .iter()
        .zip(first.kept.iter().zip(&second.kept));
    let of = |wanted: [bool; 2]| -> Vec<Edge> {
        let those = both.clone().filter(|(_, (a, b))| [**a, **b] == wanted);
        those.map(|((edge, _), _)| *edge).collect()
    };
    Ok(Difference {
        shared: of([true, true]),
        only_first: of([true, false]),
        only_second: of([false, true]),
    })
}

/// Overlaps that chance gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Null {
    /// Jaccard indices of random circuits, the smallest first.
    pub overlaps: Vec<f64>,
}

impl Null {
    /// The share of random circuits that overlap less; equal ones count half. In [0, 1].
    pub fn percentile(&self, overlap: f64) -> f64 {
        let all = self.overlaps.iter();
        let below = all.clone().filter(|&&other| other < overlap).count() as f64;
        let equal = all
            .filter(|&&other| (other - overlap).abs() < 1e-12)
            .count() as f64;
        (below + equal / 2.0) / self.overlaps.len().max(1) as f64
    }

    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.overlaps.iter().sum::<f64>() / self.overlaps.len().max(1) as f64
    }
}

/// The overlap of a circuit with random ones of the size of another, drawn without putting back from all
/// edges of the wiring: what the overlap of two real ones is to be held against.
pub fn random_overlap(first: &Circuit, size: usize, draws: usize, seed: u64) -> Null {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..first.edges()).collect();
    let size = size.min(order.len());
    let mut overlaps: Vec<f64> = (0..draws)
        .map(|_| {
            let (drawn, _) = order.partial_shuffle(&mut rng, size);
            let shared = drawn.iter().filter(|&&at| first.kept[at]).count();
            jaccard(shared, first.len() + size - 2 * shared)
        })
        .collect();
    overlaps.sort_by(f64::total_cmp);
    Null { overlaps }
}
