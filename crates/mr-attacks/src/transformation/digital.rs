//! Contrast and pixels. All settings are those of CIFAR-10-C, by severity.

use rand_chacha::ChaCha8Rng;

use super::picture::{Picture, Plane};

/// Draws each value towards its channel's mean.
pub(crate) fn contrast(image: &Picture, level: usize, _rng: &mut ChaCha8Rng) -> Picture {
    let share = [0.75, 0.5, 0.4, 0.3, 0.15][level];
    image.map_planes(|mut plane| {
        let mean = plane.values.iter().sum::<f32>() / plane.values.len() as f32;
        let drawn = |value: &mut f32| *value = (*value - mean) * share + mean;
        plane.values.iter_mut().for_each(drawn);
        plane
    })
}

/// Makes the image smaller and as large as it was again; each new pixel is the mean of the old ones
/// whose centres lie in it.
pub(crate) fn pixelate(image: &Picture, level: usize, _rng: &mut ChaCha8Rng) -> Picture {
    let share = [0.95, 0.9, 0.85, 0.75, 0.65][level];
    image.map_planes(|plane| {
        let smaller = |count: usize| ((count as f64 * share) as usize).max(1);
        let small = boxed(&plane, smaller(plane.height), smaller(plane.width));
        boxed(&small, plane.height, plane.width)
    })
}

/// Resampled by a box filter.
fn boxed(plane: &Plane, height: usize, width: usize) -> Plane {
    let rows = windows(plane.height, height);
    let columns = windows(plane.width, width);
    Plane::of(height, width, |row, column| {
        let mut sum = 0.0;
        for row in rows[row].clone() {
            let at = |column| plane.values[row * plane.width + column];
            sum += columns[column].clone().map(at).sum::<f32>();
        }
        sum / (rows[row].len() * columns[column].len()) as f32
    })
}

/// The old pixels of each new one, along one side.
fn windows(old: usize, new: usize) -> Vec<std::ops::Range<usize>> {
    let scale = old as f64 / new as f64;
    let reach = 0.5 * scale.max(1.0);
    (0..new)
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale;
            let from = (centre - reach + 0.5) as usize;
            let to = ((centre + reach + 0.5) as usize).min(old);
            from.min(old - 1)..to.max(from.min(old - 1) + 1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_four_pixels_over_two_and_three() {
        assert_eq!(windows(4, 2), [0..2, 2..4]);
        assert_eq!(windows(2, 4), [0..1, 0..1, 1..2, 1..2]);
        assert_eq!(windows(4, 3), [0..1, 1..3, 3..4]);
        assert_eq!(windows(1, 1).first(), Some(&(0..1)));
    }
}
