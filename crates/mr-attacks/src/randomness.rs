//! Random numbers that depend on what they are for, not on when they are drawn.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What a random number is drawn for. Equal draws give equal numbers, whatever the batch, its order
/// or the thread: the generator is ChaCha8 keyed by these fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw<'a> {
    /// The run's seed.
    pub seed: u64,
    /// The attack's name.
    pub attack: &'a str,
    /// Which restart of the attack.
    pub restart: u32,
    /// Which step of the restart.
    pub step: u32,
}

impl Draw<'_> {
    /// The generator of one example.
    pub fn rng(&self, example: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&example.to_le_bytes());
        key[16..24].copy_from_slice(&fnv1a(self.attack.as_bytes()).to_le_bytes());
        key[24..28].copy_from_slice(&self.restart.to_le_bytes());
        key[28..].copy_from_slice(&self.step.to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }
}

/// FNV-1a (Fowler, Noll & Vo): a hash that is the same in every build and on every platform.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Rows drawn by `row` from each example's own generator: `[example, width]`.
pub(crate) fn rows(
    draw: Draw<'_>,
    examples: &[u64],
    width: usize,
    device: &Device,
    mut row: impl FnMut(&mut ChaCha8Rng, &mut Vec<f32>),
) -> Tensor<2> {
    let mut values = Vec::with_capacity(examples.len() * width);
    for &example in examples {
        row(&mut draw.rng(example), &mut values);
    }
    Tensor::from_data(TensorData::new(values, [examples.len(), width]), device)
}

/// U(-1, 1) for each example: `[example, width]`.
pub fn uniform(draw: Draw<'_>, examples: &[u64], width: usize, device: &Device) -> Tensor<2> {
    rows(draw, examples, width, device, |rng, values| {
        values.extend((0..width).map(|_| rng.random_range(-1.0f32..=1.0)));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_draws_the_same_in_any_company() {
        let draw = Draw {
            seed: 1,
            attack: "pgd",
            restart: 0,
            step: 0,
        };
        let device = Device::flex();
        let both = mr_models::floats(uniform(draw, &[4, 9], 3, &device));
        let alone = mr_models::floats(uniform(draw, &[9], 3, &device));
        assert_eq!(both[3..], alone);
        assert_ne!(both[..3], alone);
        assert!(both.iter().all(|value| value.abs() <= 1.0));
        let other = Draw { restart: 1, ..draw };
        assert_ne!(mr_models::floats(uniform(other, &[9], 3, &device)), alone);
    }
}
