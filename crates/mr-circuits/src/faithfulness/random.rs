//! Random circuits of one size.

use mr_models::{Edge, Model};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::measure::Faithfulness;
use crate::circuit::Circuit;
use crate::error::CircuitError;

/// The faithfulness of random circuits with as many edges as this one, the smallest first: what its own is to
/// be held against (Shi et al. 2024 test circuits so).
///
/// `progress` is told how many of how many are done.
///
/// # Errors
/// Those of [`Faithfulness::without`].
pub fn random_faithfulness<M: Model + Clone>(
    measure: &Faithfulness<'_, M>,
    circuit: &Circuit,
    draws: usize,
    seed: u64,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<f64>, CircuitError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut edges: Vec<Edge> = circuit.wiring().edges();
    let cut = edges.len() - circuit.len();
    let mut found = Vec::with_capacity(draws);
    for done in 0..draws {
        let (drawn, _) = edges.partial_shuffle(&mut rng, cut);
        found.push(measure.without(drawn)?.faithfulness);
        progress(done + 1, draws);
    }
    found.sort_by(f64::total_cmp);
    Ok(found)
}
