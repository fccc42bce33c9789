//! Noise. All settings are those of CIFAR-10-C, by severity.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

use super::picture::Picture;

/// Adds Gaussian noise.
pub(crate) fn gaussian(image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
    let deviation = [0.04, 0.06, 0.08, 0.09, 0.10][level];
    image.map(|value| value + deviation * normal(rng))
}

/// Counts photons: Poisson, with so many for white.
pub(crate) fn shot(image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
    let photons = [500.0f32, 250.0, 100.0, 75.0, 50.0][level];
    image.map(|value| match Poisson::new(value * photons) {
        Ok(counts) => counts.sample(rng) / photons,
        // No light, no photons: a mean of 0 is no Poisson distribution here.
        Err(_) => 0.0,
    })
}

/// Makes a share of all values black or white, half of them each.
pub(crate) fn impulse(image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
    let share = [0.01, 0.02, 0.03, 0.05, 0.07][level];
    image.map(|value| {
        if !rng.random_bool(share) {
            value
        } else if rng.random_bool(0.5) {
            1.0
        } else {
            0.0
        }
    })
}

/// Adds Gaussian noise in proportion to the value.
pub(crate) fn speckle(image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
    let deviation = [0.06, 0.1, 0.12, 0.16, 0.2][level];
    image.map(|value| value + value * deviation * normal(rng))
}

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(rng)
}
