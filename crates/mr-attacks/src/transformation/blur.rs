//! Blurs. All settings are those of CIFAR-10-C, by severity.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::picture::{Border, Picture, Plane, of_sum_one};

/// How far a Gaussian reaches, in standard deviations.
const TRUNCATE: f32 = 4.0;

/// A Gaussian blur.
pub(crate) fn gaussian(image: &Picture, level: usize, _rng: &mut ChaCha8Rng) -> Picture {
    let sigma = [0.4, 0.6, 0.7, 0.8, 1.0][level] * image.scale();
    image.map_planes(|plane| plane.gaussian(sigma, TRUNCATE, Border::Nearest))
}

/// The mean over a disk whose edge is smoothed.
pub(crate) fn defocus(image: &Picture, level: usize, _rng: &mut ChaCha8Rng) -> Picture {
    let radius = [0.3, 0.4, 0.5, 1.0, 1.5][level] * image.scale();
    let smoothing = [0.4, 0.5, 0.6, 0.2, 0.1][level];
    let kernel = disk(radius, smoothing);
    image.map_planes(|plane| plane.filtered(&kernel, Border::Mirror))
}

/// A square kernel of sum 1: the pixels within a radius, smoothed by a Gaussian of 3 x 3 pixels (5 x 5
/// for a radius above 8).
fn disk(radius: f32, smoothing: f32) -> Vec<f32> {
    let taps: isize = if radius <= 8.0 { 1 } else { 2 };
    let reach = radius as isize + taps;
    let side = (2 * reach + 1) as usize;
    let inside = |at: usize| at as f32 - reach as f32;
    let flat = Plane::of(side, side, |row, column| {
        f32::from(inside(row).powi(2) + inside(column).powi(2) <= radius * radius)
    });
    let weights: Vec<f32> = (-taps..=taps)
        .map(|at| (-0.5 * (at as f32 / smoothing).powi(2)).exp())
        .collect();
    let kernel: Vec<f32> = weights
        .iter()
        .flat_map(|a| weights.iter().map(move |b| a * b))
        .collect();
    of_sum_one(flat.filtered(&kernel, Border::Black).values)
}

/// A blur, pixels that change places with neighbours above and to the left, and the blur again. Where
/// the published code copies the neighbour, this exchanges the two, as the paper has it.
pub(crate) fn glass(image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
    let sigma = [0.05, 0.25, 0.4, 0.25, 0.4][level] * image.scale();
    let rounds = [1, 1, 1, 2, 2][level];
    let reach = image.scale().round() as usize;
    let [_, height, width] = image.shape();
    let mut planes: Vec<Plane> = image
        .planes()
        .map(|plane| plane.gaussian(sigma, TRUNCATE, Border::Nearest))
        .collect();
    for _ in 0..rounds {
        for row in (reach + 1..=height.saturating_sub(reach)).rev() {
            for column in (reach + 1..=width.saturating_sub(reach)).rev() {
                let mut offset = || rng.random_range(0..2 * reach as u64) as usize;
                let other = (row + offset() - reach) * width + column + offset() - reach;
                for plane in &mut planes {
                    plane.values.swap(row * width + column, other);
                }
            }
        }
    }
    let blurred = planes
        .iter()
        .map(|plane| plane.gaussian(sigma, TRUNCATE, Border::Nearest));
    image.of_planes(blurred)
}

/// The mean along a line in a random direction, up to 45 degrees from the rows, with weights that
/// fall like half a Gaussian.
pub(crate) fn motion(image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
    let scale = image.scale();
    let radius = [6.0, 6.0, 6.0, 8.0, 9.0][level] * scale;
    let sigma = [1.0, 1.5, 2.0, 2.0, 2.5][level] * scale;
    let angle = rng.random_range(-45.0f32..=45.0).to_radians();
    image.map_planes(|plane| along(&plane, radius, sigma, angle))
}

/// The mean along a line from each pixel at this angle (radians, from right to down), with weights that
/// fall like half a Gaussian.
pub(super) fn along(plane: &Plane, radius: f32, sigma: f32, angle: f32) -> Plane {
    let taps = 2 * radius.ceil() as usize + 1;
    let weights = (0..taps).map(|at| (-0.5 * (at as f32 / sigma).powi(2)).exp());
    let weights = of_sum_one(weights.collect());
    let offset = |at: usize| {
        let down = (at as f32 * angle.sin()).round() as isize;
        let right = (at as f32 * angle.cos()).round() as isize;
        (down, right)
    };
    Plane::of(plane.height, plane.width, |row, column| {
        let taps = weights.iter().enumerate();
        taps.map(|(at, weight)| {
            let (down, right) = offset(at);
            let (row, column) = (row as isize + down, column as isize + right);
            weight * plane.at(row, column, Border::Nearest)
        })
        .sum()
    })
}

/// The mean of the image and of enlargements about its centre, in steps of 1 %. The published code
/// cuts to whole pixels first; here the centre stays where it is.
pub(crate) fn zoom(image: &Picture, level: usize, _rng: &mut ChaCha8Rng) -> Picture {
    let steps = [6, 11, 16, 21, 26][level];
    image.map_planes(|plane| {
        let centre = |count: usize| (count as f32 - 1.0) / 2.0;
        let (middle, across) = (centre(plane.height), centre(plane.width));
        Plane::of(plane.height, plane.width, |row, column| {
            let zoomed = |step: i32| {
                let factor = 1.0 + 0.01 * step as f32;
                let row = middle + (row as f32 - middle) / factor;
                let column = across + (column as f32 - across) / factor;
                plane.between(row, column, Border::Nearest)
            };
            let whole = plane.values[row * plane.width + column];
            (whole + (0..steps).map(zoomed).sum::<f32>()) / (steps + 1) as f32
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_of_one_and_a_half_has_nine_pixels() {
        let kernel = disk(1.5, 0.1);
        assert_eq!(kernel.len(), 25);
        for (at, weight) in kernel.iter().enumerate() {
            let inner = (1..4).contains(&(at / 5)) && (1..4).contains(&(at % 5));
            let expected = if inner { 1.0 / 9.0 } else { 0.0 };
            assert!((weight - expected).abs() < 1e-6, "{kernel:?}");
        }
    }

    #[test]
    fn a_disk_below_one_pixel_is_its_smoothing() {
        let kernel = disk(0.5, 0.6);
        let side = (-0.5f32 / 0.36).exp();
        assert_eq!(kernel.len(), 9);
        assert!((kernel[4] - (1.0 + 2.0 * side).powi(-2)).abs() < 1e-6);
        assert!((kernel[1] - kernel[4] * side).abs() < 1e-6);
    }
}
