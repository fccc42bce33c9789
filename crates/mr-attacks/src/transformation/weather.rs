//! Fog, snow and light. All settings are those of CIFAR-10-C, by severity.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::picture::{Border, Picture, Plane};
use super::{blur, colour};

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

/// Whitens the image and adds flakes, blurred by their fall, and the same turned upside down. Flakes of
/// larger images are larger. Where the published code cuts to whole pixels before it enlarges flakes,
/// here the centre stays where it is; images of other than three channels are whitened by their mean.
pub(crate) fn snow(image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
    let [mean, spread, size] = [
        [0.1, 0.2, 1.0],
        [0.1, 0.2, 1.0],
        [0.15, 0.3, 1.75],
        [0.25, 0.3, 2.25],
        [0.3, 0.3, 1.25],
    ][level];
    let threshold = [0.6, 0.5, 0.55, 0.6, 0.65][level];
    let [radius, sigma] = [
        [8.0, 3.0],
        [10.0, 4.0],
        [10.0, 4.0],
        [12.0, 6.0],
        [14.0, 12.0],
    ][level];
    let clear = [0.95, 0.9, 0.9, 0.85, 0.8][level];
    let (scale, [channels, height, width]) = (image.scale(), image.shape());
    let drawn = Plane::of(height, width, |_, _| {
        let unit: f32 = StandardNormal.sample(rng);
        mean + spread * unit
    });
    let [down, right] = [height, width].map(|count| (count as f32 - 1.0) / 2.0);
    let flakes = Plane::of(height, width, |row, column| {
        let row = down + (row as f32 - down) / (size * scale);
        let column = right + (column as f32 - right) / (size * scale);
        let value = drawn.between(row, column, Border::Nearest);
        if value < threshold {
            0.0
        } else {
            value.min(1.0)
        }
    });
    let angle = rng.random_range(-135.0f32..=-45.0).to_radians();
    let flakes = blur::along(&flakes, radius * scale, sigma * scale, angle).values;
    let weights = match channels {
        3 => vec![0.299, 0.587, 0.114],
        _ => vec![1.0 / channels as f32; channels],
    };
    let last = height * width - 1;
    let grey = |at: usize| -> f32 {
        let values = image.values().iter().skip(at).step_by(last + 1);
        values
            .zip(&weights)
            .map(|(value, weight)| value * weight)
            .sum()
    };
    image.map_planes(|plane| {
        Plane::of(height, width, |row, column| {
            let at = row * width + column;
            let value = plane.values[at];
            let white = value.max(1.5 * grey(at) + 0.5);
            clear * value + (1.0 - clear) * white + flakes[at] + flakes[last - at]
        })
    })
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

    /// A flat image of .2 is whitened to .95 x .2 + .05 x .8 = .23. Of the first severity's flakes,
    /// from N(.1, .2) and at least .6, the mean is .1 Q(2.5) + .2 phi(2.5) = .00413, and two layers of
    /// them lie on the image.
    #[test]
    fn snow_is_as_deep_as_it_says_and_the_same_upside_down() {
        let (height, width) = (32, 4000);
        let flat = Picture::new([1, height, width], vec![0.2; height * width]).unwrap();
        let found = snow(&flat, 0, &mut ChaCha8Rng::seed_from_u64(1));
        let values = found.values();
        let least = values.iter().copied().fold(1.0, f32::min);
        assert!((least - 0.23).abs() < 1e-6, "{least}");
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 0.23 - 0.00826).abs() < 0.0012, "{mean}");
        let turned = values.iter().rev();
        assert!(values.iter().zip(turned).all(|(a, b)| (a - b).abs() < 1e-6));
        // Of three channels, each is whitened by what the eye sees of all.
        let red = [[0.5; 64], [0.0; 64], [0.0; 64]].concat();
        let red = Picture::new([3, 8, 8], red).unwrap();
        let found = snow(&red, 0, &mut ChaCha8Rng::seed_from_u64(1));
        let least = |channel: usize| {
            let plane = &found.values()[64 * channel..64 * (channel + 1)];
            plane.iter().copied().fold(1.0, f32::min)
        };
        let white = 1.5 * 0.299 * 0.5 + 0.5;
        assert!((least(0) - (0.95 * 0.5 + 0.05 * white)).abs() < 1e-6);
        assert!((least(1) - 0.05 * white).abs() < 1e-6);
    }
}
