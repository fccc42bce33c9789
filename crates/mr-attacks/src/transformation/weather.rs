//! Fog and light. All settings are those of CIFAR-10-C, by severity.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::colour;
use super::picture::{Picture, Plane};

/// Adds an uneven layer and dims the whole so that the brightest value stays what it was.
pub(crate) fn fog(image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
    let density = [0.2, 0.5, 0.75, 1.0, 1.5][level];
    let decay = [3.0, 3.0, 2.5, 2.0, 1.75][level];
    let [_, height, width] = image.shape();
    let side = height.max(width).next_power_of_two();
    let layer = plasma(side, decay, rng);
    let brightest = image.values().iter().copied().fold(0.0, f32::max);
    let dimmed = brightest / (brightest + density);
    image.map_planes(|plane| {
        Plane::of(height, width, |row, column| {
            let value = plane.values[row * width + column];
            (value + density * layer[row * side + column]) * dimmed
        })
    })
}

/// A plasma fractal `[side, side]` in `[0, 1]`, periodic: from coarse to fine, the middle of each
/// square and then of each edge is the mean of its four neighbours and a random deviation, which
/// shrinks by the square of `decay` from level to level (Fournier et al. 1982, diamond and square).
fn plasma(side: usize, decay: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut map = vec![0.0f32; side * side];
    let mut step = side;
    let mut amplitude = 100.0f32;
    while step >= 2 {
        let half = step / 2;
        let mut middle = |map: &mut [f32], row: usize, column: usize, ways: [(usize, usize); 4]| {
            let near = |(down, right): (usize, usize)| {
                map[(row + down) % side * side + (column + right) % side]
            };
            let mean = ways.into_iter().map(near).sum::<f32>() / 4.0;
            // The published code scales the range by the amplitude twice.
            map[row * side + column] =
                mean + amplitude * amplitude * rng.random_range(-1.0f32..=1.0);
        };
        // `side - half` is `half` to the left, or up.
        let back = side - half;
        for row in (half..side).step_by(step) {
            for column in (half..side).step_by(step) {
                let corners = [(back, back), (back, half), (half, back), (half, half)];
                middle(&mut map, row, column, corners);
            }
        }
        let sides = [(back, 0), (half, 0), (0, back), (0, half)];
        for (down, right) in [(0, half), (half, 0)] {
            for row in (down..side).step_by(step) {
                for column in (right..side).step_by(step) {
                    middle(&mut map, row, column, sides);
                }
            }
        }
        step = half;
        amplitude /= decay;
    }
    let low = map.iter().copied().fold(f32::INFINITY, f32::min);
    let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = (high - low).max(f32::MIN_POSITIVE);
    map.into_iter().map(|value| (value - low) / range).collect()
}

/// Adds the same light everywhere: to the largest channel of each pixel, the others in proportion.
pub(crate) fn brightness(image: &Picture, level: usize, _rng: &mut ChaCha8Rng) -> Picture {
    let light = [0.05, 0.1, 0.15, 0.2, 0.3][level];
    colour::brighter(image, light)
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn plasma_fills_its_range_and_is_smoother_the_faster_it_decays() {
        let rough = |decay: f32| {
            let map = plasma(32, decay, &mut ChaCha8Rng::seed_from_u64(3));
            assert!(map.iter().all(|v| (0.0..=1.0).contains(v)));
            assert!(map.contains(&0.0) && map.contains(&1.0));
            let steps = map.windows(2).map(|pair| (pair[0] - pair[1]).abs());
            steps.sum::<f32>()
        };
        assert!(rough(3.0) < rough(1.75));
        assert_eq!(plasma(1, 3.0, &mut ChaCha8Rng::seed_from_u64(3)), [0.0]);
    }
}
