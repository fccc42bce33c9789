//! Shuffled orders that a seed decides.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// 0 to `count` - 1, shuffled (Durstenfeld 1964) by draws of the ChaCha8 generator of `seed`,
/// stream `stream`.
pub(crate) fn shuffled(count: usize, seed: u64, stream: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        // Below 2^32 examples the favour that this shows to low indices is below 2^-32 each.
        let other = (u64::from(rng.next_u32()) * (last as u64 + 1)) >> 32;
        order.swap(last, other as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_of_seed_and_epoch() {
        let first = shuffled(100, 7, 0);
        assert_eq!(first, shuffled(100, 7, 0));
        assert_ne!(first, shuffled(100, 7, 1));
        assert_ne!(first, shuffled(100, 8, 0));
        let mut sorted = first;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
        assert_eq!(shuffled(1, 0, 0), [0]);
    }

    #[test]
    fn every_place_is_as_likely() {
        // Where the first of five ends up, over 5,000 seeds; five standard errors about 1,000.
        let mut places = [0; 5];
        for seed in 0..5_000 {
            let order = shuffled(5, seed, 0);
            places[order.iter().position(|&one| one == 0).unwrap()] += 1;
        }
        assert!(
            places.iter().all(|count| (859..1141).contains(count)),
            "{places:?}"
        );
    }
}
