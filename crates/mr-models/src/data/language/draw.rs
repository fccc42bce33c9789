//! Draws for one example of a task.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Words of the key stream that one example may use.
const WORDS: u128 = 1 << 20;

/// What one example draws from: words of its own of the ChaCha8 key stream, so that the example is the
/// same whatever is drawn before it.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: u64, stream: u64, example: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        rng.set_word_pos(u128::from(example) * WORDS);
        Self(rng)
    }

    /// A number from 0 to `count` - 1, each as likely (but for 2^-32).
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.0.next_u32()) * count as u64) >> 32) as usize
    }

    /// So many different numbers from 0 to `count` - 1, in random order.
    pub(super) fn distinct(&mut self, wanted: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..count).collect();
        for at in 0..wanted {
            let other = at + self.below(count - at);
            all.swap(at, other);
        }
        all.truncate(wanted);
        all
    }

    /// One of these.
    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_distinct_and_each_example_has_its_own() {
        let mut drawn = Draw::new(3, 0, 5).distinct(6, 6);
        assert_eq!(drawn, Draw::new(3, 0, 5).distinct(6, 6));
        assert_ne!(drawn, Draw::new(3, 0, 6).distinct(6, 6));
        assert_ne!(drawn, Draw::new(3, 1, 5).distinct(6, 6));
        drawn.sort_unstable();
        assert_eq!(drawn, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn every_number_is_as_likely() {
        let mut seen = [0; 5];
        let mut draw = Draw::new(0, 0, 0);
        for _ in 0..5000 {
            seen[draw.below(5)] += 1;
        }
        assert!(
            seen.iter().all(|count| (850..1150).contains(count)),
            "{seen:?}"
        );
    }
}
