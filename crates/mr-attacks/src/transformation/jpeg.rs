//! What JPEG loses. All settings are those of CIFAR-10-C, by severity.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use rand_chacha::ChaCha8Rng;

use super::picture::{Border, Picture, Plane};

/// Side of a block.
const SIDE: usize = 8;

/// Rounds to 8 bits, as does the file, and loses what JPEG (ITU-T T.81, 1992) of this quality does:
/// only its coder is left out, as that loses nothing. Three channels are red, green and blue, and the
/// two of colour have half the resolution; of any other number each is coded on its own.
pub(crate) fn compression(image: &Picture, level: usize, _rng: &mut ChaCha8Rng) -> Picture {
    let quality = [80, 65, 58, 50, 40][level];
    let bright = table(&BRIGHTNESS, quality);
    let planes: Vec<Plane> = image.planes().map(bytes).collect();
    let [red, green, blue] = planes.as_slice() else {
        return image.of_planes(planes.iter().map(|plane| unit(&coded(plane, &bright))));
    };
    let colour = table(&COLOUR, quality);
    let mixed = |weights: [f32; 3], shift: f32| {
        Plane::of(red.height, red.width, |row, column| {
            let at = row * red.width + column;
            let [r, g, b] = weights;
            (r * red.values[at] + g * green.values[at] + b * blue.values[at] + shift)
                .round()
                .clamp(0.0, 255.0)
        })
    };
    let luma = coded(&mixed([0.299, 0.587, 0.114], 0.0), &bright);
    let chroma = |weights| {
        let half = halved(&mixed(weights, 128.0));
        doubled(&coded(&half, &colour), red.height, red.width)
    };
    let blueness = chroma([-0.168_736, -0.331_264, 0.5]);
    let redness = chroma([0.5, -0.418_688, -0.081_312]);
    let channel = |of_blue: f32, of_red: f32| {
        unit(&Plane::of(red.height, red.width, |row, column| {
            let at = row * red.width + column;
            luma.values[at]
                + of_blue * (blueness.values[at] - 128.0)
                + of_red * (redness.values[at] - 128.0)
        }))
    };
    image.of_planes([
        channel(0.0, 1.402),
        channel(-0.344_136, -0.714_136),
        channel(1.772, 0.0),
    ])
}

fn bytes(mut plane: Plane) -> Plane {
    let byte = |value: &mut f32| *value = (*value * 255.0).round();
    plane.values.iter_mut().for_each(byte);
    plane
}

fn unit(plane: &Plane) -> Plane {
    Plane::of(plane.height, plane.width, |row, column| {
        plane.values[row * plane.width + column].round() / 255.0
    })
}

/// The means of 2 x 2 pixels.
fn halved(plane: &Plane) -> Plane {
    Plane::of(
        plane.height.div_ceil(2),
        plane.width.div_ceil(2),
        |row, column| {
            let at = |down, right| {
                let (row, column) = (2 * row as isize + down, 2 * column as isize + right);
                plane.at(row, column, Border::Nearest)
            };
            ((at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0).round()
        },
    )
}

/// Twice as large, by linear interpolation.
fn doubled(plane: &Plane, height: usize, width: usize) -> Plane {
    Plane::of(height, width, |row, column| {
        let half = |at: usize| (at as f32 - 0.5) / 2.0;
        plane
            .between(half(row), half(column), Border::Nearest)
            .round()
    })
}

/// Each block of 8 x 8 pixels to the cosine basis, rounded to multiples of the table, and back.
fn coded(plane: &Plane, table: &[f32; 64]) -> Plane {
    let basis = basis();
    let mut out = plane.clone();
    for top in (0..plane.height).step_by(SIDE) {
        for left in (0..plane.width).step_by(SIDE) {
            let mut block = [0.0; 64];
            for (at, value) in block.iter_mut().enumerate() {
                let (row, column) = (top + at / SIDE, left + at % SIDE);
                *value = plane.at(row as isize, column as isize, Border::Nearest) - 128.0;
            }
            let mut waves = sandwich(&basis, &block, false);
            for (wave, step) in waves.iter_mut().zip(table) {
                *wave = (*wave / step).round() * step;
            }
            for (at, value) in sandwich(&basis, &waves, true).iter().enumerate() {
                let (row, column) = (top + at / SIDE, left + at % SIDE);
                if row < plane.height && column < plane.width {
                    out.values[row * plane.width + column] =
                        (value + 128.0).round().clamp(0.0, 255.0);
                }
            }
        }
    }
    out
}

/// The orthonormal cosine basis `[wave, pixel]`.
fn basis() -> [f32; 64] {
    std::array::from_fn(|at| {
        let (wave, pixel) = ((at / SIDE) as f32, (at % SIDE) as f32);
        let scale = if wave == 0.0 { FRAC_1_SQRT_2 } else { 1.0 };
        0.5 * scale * ((2.0 * pixel + 1.0) * wave * PI / 16.0).cos()
    })
}

/// `B x B^T`, or `B^T x B` for the way back.
fn sandwich(basis: &[f32; 64], block: &[f32; 64], back: bool) -> [f32; 64] {
    let weight = |i: usize, k: usize| {
        if back {
            basis[k * SIDE + i]
        } else {
            basis[i * SIDE + k]
        }
    };
    let rows: [f32; 64] = std::array::from_fn(|at| {
        let (i, j) = (at / SIDE, at % SIDE);
        (0..SIDE).map(|k| weight(i, k) * block[k * SIDE + j]).sum()
    });
    std::array::from_fn(|at| {
        let (i, j) = (at / SIDE, at % SIDE);
        (0..SIDE).map(|k| weight(j, k) * rows[i * SIDE + k]).sum()
    })
}

/// A table for a quality from 1 to 100, by the rule of the Independent JPEG Group.
fn table(standard: &[u16; 64], quality: u32) -> [f32; 64] {
    let percent = if quality < 50 {
        5000 / quality
    } else {
        200 - 2 * quality
    };
    standard.map(|step| ((u32::from(step) * percent + 50) / 100).clamp(1, 255) as f32)
}

/// The standard's example table for brightness (its table K.1).
const BRIGHTNESS: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, //
    12, 12, 14, 19, 26, 58, 60, 55, //
    14, 13, 16, 24, 40, 57, 69, 56, //
    14, 17, 22, 29, 51, 87, 80, 62, //
    18, 22, 37, 56, 68, 109, 103, 77, //
    24, 35, 55, 64, 81, 104, 113, 92, //
    49, 64, 78, 87, 103, 121, 120, 101, //
    72, 92, 95, 98, 112, 100, 103, 99,
];

/// The standard's example table for colour (its table K.2).
const COLOUR: [u16; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, //
    18, 21, 26, 66, 99, 99, 99, 99, //
    24, 26, 56, 99, 99, 99, 99, 99, //
    47, 66, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_goes_to_waves_and_back() {
        let basis = basis();
        let block: [f32; 64] = std::array::from_fn(|at| (at * at % 97) as f32);
        let waves = sandwich(&basis, &block, false);
        // The first wave is eight times the mean.
        assert!((waves[0] - block.iter().sum::<f32>() / 8.0).abs() < 1e-2);
        for (back, was) in sandwich(&basis, &waves, true).iter().zip(block) {
            assert!((back - was).abs() < 1e-3);
        }
    }

    #[test]
    fn tables_of_qualities() {
        assert_eq!(table(&BRIGHTNESS, 50)[..3], [16.0, 11.0, 10.0]);
        assert_eq!(table(&BRIGHTNESS, 80)[..3], [6.0, 4.0, 4.0]);
        assert_eq!(table(&COLOUR, 40)[..3], [21.0, 23.0, 30.0]);
    }
}
