//! Small turns, scales and shifts.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Turns, scales and shifts images a little, all by the same (Olah et al. 2017, "transformation
/// robustness"): what excites a part only at one place and angle is noise. Pixels are read between four
/// neighbours; beyond the edge the edge goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shake {
    /// Radians, clockwise.
    pub(super) turn: f32,
    /// Factor.
    pub(super) scale: f32,
    /// Rows and columns.
    pub(super) shift: [f32; 2],
}

impl Shake {
    /// A random one: shifts by up to so many pixels, scales by up to 1 + or - so much, turns by up to so
    /// many degrees.
    pub(super) fn draw(rng: &mut ChaCha8Rng, pixels: f32, scale: f32, degrees: f32) -> Self {
        let mut upto = |most: f32| {
            if most > 0.0 {
                rng.random_range(-most..=most)
            } else {
                0.0
            }
        };
        Self {
            turn: upto(degrees.to_radians()),
            scale: 1.0 + upto(scale),
            shift: [upto(pixels), upto(pixels)],
        }
    }

    /// The images `[batch, channel, height, width]`, shaken.
    pub(super) fn apply(&self, images: Tensor<4>, device: &Device) -> Tensor<4> {
        let [batch, channels, height, width] = images.dims();
        let flat: Tensor<3> = images.reshape([batch, channels, height * width]);
        let (sin, cos) = self.turn.sin_cos();
        let middle = [(height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0];
        let mut neighbours = [const { Vec::<i64>::new() }; 4];
        let mut weights = [const { Vec::<f32>::new() }; 4];
        for at in 0..height * width {
            let y = ((at / width) as f32 - middle[0]) / self.scale;
            let x = ((at % width) as f32 - middle[1]) / self.scale;
            let from = [
                cos * y - sin * x + middle[0] + self.shift[0],
                sin * y + cos * x + middle[1] + self.shift[1],
            ];
            let clamp = |value: f32, side: usize| value.clamp(0.0, side as f32 - 1.0);
            let [y, x] = [clamp(from[0], height), clamp(from[1], width)];
            let (top, left) = (y.floor(), x.floor());
            let (down, along) = (y - top, x - left);
            for (corner, (dy, dx)) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().enumerate() {
                let row = (top as usize + dy).min(height - 1);
                let column = (left as usize + dx).min(width - 1);
                neighbours[corner].push((row * width + column) as i64);
                let part = |share: f32, far: usize| if far == 1 { share } else { 1.0 - share };
                weights[corner].push(part(down, dy) * part(along, dx));
            }
        }
        let parts = neighbours.into_iter().zip(weights).map(|(rows, weights)| {
            let count = rows.len();
            let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), device);
            let weights = TensorData::new(weights, [1, 1, count]);
            flat.clone().select(2, rows) * Tensor::<3>::from_data(weights, device)
        });
        let sum = parts.reduce(|sum, part| sum + part);
        let sum = sum.expect("a pixel has four neighbours");
        sum.reshape([batch, channels, height, width])
    }
}

#[cfg(test)]
mod tests {
    use mr_models::floats;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn shaken(shake: Shake) -> Vec<f32> {
        let device = Device::flex();
        let data = TensorData::new((0..9).map(|v| v as f32).collect::<Vec<_>>(), [1, 1, 3, 3]);
        floats(shake.apply(Tensor::from_data(data, &device), &device))
    }

    const STILL: Shake = Shake {
        turn: 0.0,
        scale: 1.0,
        shift: [0.0, 0.0],
    };

    #[test]
    fn shifts_and_turns_move_pixels() {
        assert_eq!(shaken(STILL), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let shift = [1.0, 0.0];
        let down = shaken(Shake { shift, ..STILL });
        assert_eq!(down, [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 6.0, 7.0, 8.0]);
        let shift = [0.0, 0.5];
        let half = shaken(Shake { shift, ..STILL });
        assert_eq!(half, [0.5, 1.5, 2.0, 3.5, 4.5, 5.0, 6.5, 7.5, 8.0]);
        let turn = std::f32::consts::FRAC_PI_2;
        let turned = shaken(Shake { turn, ..STILL });
        // Clockwise.
        let expected = [6.0, 3.0, 0.0, 7.0, 4.0, 1.0, 8.0, 5.0, 2.0];
        for (found, expected) in turned.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{turned:?}");
        }
    }

    #[test]
    fn nothing_drawn_is_nothing_shaken() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        assert_eq!(Shake::draw(&mut rng, 0.0, 0.0, 0.0), STILL);
        let drawn = Shake::draw(&mut rng, 2.0, 0.1, 5.0);
        assert!(drawn.shift[0].abs() <= 2.0 && (drawn.scale - 1.0).abs() <= 0.1);
    }
}
