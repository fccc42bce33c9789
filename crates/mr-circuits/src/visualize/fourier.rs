//! Images by their frequencies.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Images as the sum of waves, of which ascent moves the amplitudes (Olah et al. 2017, "Feature
/// Visualization", the decorrelated parameterisation): a step is then as long in low frequencies as natural
/// images are, and not all in the highest. The amplitude of a wave of frequency f is scaled by 1 / f.
///
/// `x = C_h A C_w^T - S_h A S_w^T + S_h B C_w^T + C_h B S_w^T`, the real part of a Fourier series with the
/// cosines and sines C and S of the rows and of the columns.
#[derive(Debug)]
pub(super) struct Fourier {
    rows: [Tensor<2>; 2],
    columns: [Tensor<2>; 2],
    /// By frequency `[height, width]`.
    scale: Tensor<4>,
    shape: [usize; 3],
}

/// How channels of natural colour images vary together: what one step of each decorrelated channel adds
/// to red, green and blue (the root of the covariance of ImageNet's colours, as Olah et al. publish it).
const COLOURS: [[f32; 3]; 3] = [[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]];

impl Fourier {
    /// Of images `[channel, height, width]`.
    pub(super) fn new(shape: [usize; 3], device: &Device) -> Self {
        let [_, height, width] = shape;
        let waves = |side: usize| {
            let angle = |at: usize| {
                let turn = (at / side * (at % side)) % side;
                2.0 * std::f32::consts::PI * turn as f32 / side as f32
            };
            let of = |wave: fn(f32) -> f32| {
                let values = (0..side * side).map(|at| wave(angle(at)));
                let data = TensorData::new(values.collect(), [side, side]);
                Tensor::<2>::from_data(data, device)
            };
            [of(f32::cos), of(f32::sin)]
        };
        let frequency = |at: usize, side: usize| at.min(side - at) as f32 / side as f32;
        let lowest = 1.0 / height.max(width) as f32;
        let scale = (0..height * width).map(|at| {
            let [down, along] = [frequency(at / width, height), frequency(at % width, width)];
            // Waves are many; the sum keeps the size of one value.
            1.0 / down.hypot(along).max(lowest) / ((height * width) as f32).sqrt()
        });
        let scale = TensorData::new(scale.collect::<Vec<f32>>(), [1, 1, height, width]);
        Self {
            rows: waves(height),
            columns: waves(width),
            scale: Tensor::from_data(scale, device),
            shape,
        }
    }

    /// Small random amplitudes of so many images, `[2 batch, channel, height, width]`: first those of
    /// cosines, then those of sines.
    pub(super) fn start(&self, images: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let count = 2 * images * self.shape.iter().product::<usize>();
        (0..count).map(|_| rng.random_range(-0.02..0.02)).collect()
    }

    /// The images `[batch, channel, height, width]` in (0, 1).
    pub(super) fn images(&self, amplitudes: Tensor<4>) -> Tensor<4> {
        let [twice, channels, _, _] = amplitudes.dims();
        let amplitudes = amplitudes * self.scale.clone();
        let cosines = amplitudes.clone().narrow(0, 0, twice / 2);
        let sines = amplitudes.narrow(0, twice / 2, twice / 2);
        let through = |rows: usize, x: &Tensor<4>, columns: usize| {
            let rows = self.rows[rows].clone().unsqueeze::<4>();
            let columns = self.columns[columns].clone().transpose().unsqueeze::<4>();
            rows.matmul(x.clone()).matmul(columns)
        };
        let waves = through(0, &cosines, 0) - through(1, &cosines, 1)
            + through(1, &sines, 0)
            + through(0, &sines, 1);
        let coloured = if channels == 3 { mixed(waves) } else { waves };
        burn::tensor::activation::sigmoid(coloured)
    }
}

/// Channels that vary together as those of natural colour images do.
fn mixed(waves: Tensor<4>) -> Tensor<4> {
    let largest = COLOURS
        .iter()
        .map(|row| row.iter().map(|v| v * v).sum::<f32>().sqrt())
        .fold(0.0, f32::max);
    let channel = |to: usize| {
        let parts =
            (0..3).map(|from| waves.clone().narrow(1, from, 1) * (COLOURS[to][from] / largest));
        parts
            .reduce(|sum, part| sum + part)
            .expect("three channels")
    };
    Tensor::cat((0..3).map(channel).collect(), 1)
}

#[cfg(test)]
mod tests {
    use mr_models::floats;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// One amplitude is one wave: of frequency (1, 2) on 4 x 8 pixels.
    #[test]
    fn one_amplitude_is_one_wave() {
        let device = Device::flex();
        let fourier = Fourier::new([1, 4, 8], &device);
        let mut amplitudes = vec![0.0; 2 * 32];
        amplitudes[8 + 2] = 1.0;
        let data = TensorData::new(amplitudes, [2, 1, 4, 8]);
        let image = floats(fourier.images(Tensor::from_data(data, &device)));
        let size = 1.0 / (0.25_f32.hypot(0.25)) / 32.0_f32.sqrt();
        for (at, value) in image.iter().enumerate() {
            let turns = (at / 8) as f32 / 4.0 + 2.0 * (at % 8) as f32 / 8.0;
            let wave = size * (2.0 * std::f32::consts::PI * turns).cos();
            let expected = 1.0 / (1.0 + (-wave).exp());
            assert!(
                (value - expected).abs() < 1e-5,
                "{at}: {value} for {expected}"
            );
        }
    }

    #[test]
    fn images_begin_grey_and_differ() {
        let device = Device::flex();
        let fourier = Fourier::new([3, 6, 6], &device);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let start = TensorData::new(fourier.start(2, &mut rng), [4, 3, 6, 6]);
        let images = floats(fourier.images(Tensor::from_data(start, &device)));
        assert!(images.iter().all(|value| (value - 0.5).abs() < 0.1));
        assert_ne!(images[..108], images[108..]);
    }
}
