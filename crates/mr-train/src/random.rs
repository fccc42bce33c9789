//! Random numbers keyed by what they are for: a resumed run draws what an unkilled one would, with
//! no generator's state to keep.

use mr_attacks::Draw;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// The generator of one purpose, turn (a step or an epoch) and example or part of a batch.
pub(crate) fn generator(seed: u64, purpose: &str, turn: usize, part: u64) -> ChaCha8Rng {
    let draw = Draw {
        seed,
        attack: purpose,
        restart: (turn as u64 >> 32) as u32,
        step: turn as u32,
    };
    draw.rng(part)
}

/// A seed of its own for one purpose and turn.
pub(crate) fn derived(seed: u64, purpose: &str, turn: usize) -> u64 {
    generator(seed, purpose, turn, 0).next_u64()
}
