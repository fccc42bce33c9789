//! Stretching and bending. All settings are those of CIFAR-10-C, by severity.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::picture::{Border, Picture, Plane};

/// A random affine map, then every pixel moved by a smooth random field (Simard et al. 2003).
pub(crate) fn transform(image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
    let side = 32.0 * image.scale();
    let strength = [0.0, 0.05, 0.08, 0.1, 0.1][level] * side;
    let smoothness = [0.0, 0.2, 0.06, 0.04, 0.03][level] * side;
    let stretch = [0.08, 0.07, 0.06, 0.05, 0.03][level] * side;
    let [_, height, width] = image.shape();
    let map = affine(height, width, stretch, rng);
    let mut field = || {
        let noise = Plane::of(height, width, |_, _| rng.random_range(-1.0f32..=1.0));
        noise.gaussian(smoothness, 3.0, Border::Reflect)
    };
    let (right, down) = (field(), field());
    image.map_planes(|plane| {
        let stretched = Plane::of(height, width, |row, column| {
            let [row, column] = map(row as f32, column as f32);
            plane.between(row, column, Border::Mirror)
        });
        Plane::of(height, width, |row, column| {
            let at = row * width + column;
            let row = row as f32 + strength * down.values[at];
            let column = column as f32 + strength * right.values[at];
            stretched.between(row, column, Border::Reflect)
        })
    })
}

/// Where a pixel of the new image comes from: the affine map that carries three corners of a square
/// about the centre, each moved at random by up to `stretch`, back to where they were. In small images
/// they move by a third of the square at most, so that it is not turned over.
fn affine(
    height: usize,
    width: usize,
    stretch: f32,
    rng: &mut ChaCha8Rng,
) -> impl Fn(f32, f32) -> [f32; 2] + use<> {
    let side = (height.min(width) / 3).max(1) as f32;
    let stretch = stretch.min(side / 3.0);
    let (middle, across) = ((height / 2) as f32, (width / 2) as f32);
    let old = [[side, side], [side, -side], [-side, -side]];
    let mut shift = || rng.random_range(-stretch..=stretch);
    let new = old.map(|[row, column]| [row + shift(), column + shift()]);
    let edge = |corners: &[[f32; 2]; 3], to: usize| {
        [
            corners[to][0] - corners[0][0],
            corners[to][1] - corners[0][1],
        ]
    };
    let (a, b) = (edge(&new, 1), edge(&new, 2));
    let (from_a, from_b) = (edge(&old, 1), edge(&old, 2));
    let area = a[0] * b[1] - a[1] * b[0];
    move |row, column| {
        let (row, column) = (row - middle - new[0][0], column - across - new[0][1]);
        let along_a = (row * b[1] - column * b[0]) / area;
        let along_b = (column * a[0] - row * a[1]) / area;
        [
            middle + old[0][0] + along_a * from_a[0] + along_b * from_b[0],
            across + old[0][1] + along_a * from_a[1] + along_b * from_b[1],
        ]
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn an_unmoved_square_maps_every_pixel_to_itself() {
        let map = affine(9, 7, 0.0, &mut ChaCha8Rng::seed_from_u64(0));
        for (row, column) in [(0.0, 0.0), (4.0, 3.0), (8.0, 1.0)] {
            let [r, c] = map(row, column);
            assert!((r - row).abs() < 1e-5 && (c - column).abs() < 1e-5);
        }
    }
}
