//! Feature visualisation.

use burn::tensor::{Tensor, TensorData};
use mr_models::{Cache, Input, InputKind, Labels, Model, ModelError, Objective, floats};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::fourier::Fourier;
use super::shake::Shake;
use crate::error::CircuitError;

/// How images are sought.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VisualConfig {
    /// Images that are sought together.
    pub images: usize,
    /// Steps of Adam.
    pub steps: usize,
    /// Its step length, in amplitudes of waves.
    pub rate: f32,
    /// Shifts are up to so many pixels each way.
    pub jitter: f32,
    /// Scales are up to so much above and below 1.
    pub scale: f32,
    /// Turns are up to so many degrees each way.
    pub rotate: f32,
    /// Weight of the images' likeness at the objective's site, which is taken off.
    pub diversity: f32,
    /// Seed of the first amplitudes and of what is shaken.
    pub seed: u64,
}

impl Default for VisualConfig {
    fn default() -> Self {
        Self {
            images: 1,
            steps: 256,
            rate: 0.05,
            jitter: 2.0,
            scale: 0.1,
            rotate: 10.0,
            diversity: 0.0,
            seed: 0,
        }
    }
}

/// Images that excite a part of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Visual {
    /// Pixels in [0, 1] of each image `[channel, height, width]`.
    pub images: Vec<Vec<f32>>,
    /// The objective of each image, not shaken.
    pub values: Vec<f32>,
    /// The objective of each at the start.
    pub before: Vec<f32>,
}

/// Seeks images that raise an objective (Erhan et al. 2009), as Olah et al. 2017 do: ascent on amplitudes of
/// waves, images shaken at each step, and, for several, their likeness taken off. Where they scale, shift and
/// turn one after the other and pad first, this does all in one and goes on with the edge; likeness is the
/// mean cosine between the Gram matrices of channels.
///
/// `progress` is told how many steps of how many are done.
///
/// # Errors
/// [`CircuitError::Model`] if the model takes no images or the objective does not fit, and
/// [`CircuitError::Images`] if there is nothing to seek or to climb.
///
/// # Panics
/// If the objective needs more of the labels than a class: a divergence has nothing to be measured from.
pub fn visualize(
    model: &dyn Model,
    objective: &dyn Objective,
    config: &VisualConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Visual, CircuitError> {
    let spec = model.spec();
    let InputKind::Real { shape } = spec.input else {
        let reason = format!("the {} takes tokens, which cannot be seen", spec.name);
        return Err(ModelError::Unfit(reason).into());
    };
    objective.fits(spec)?;
    let images = config.images;
    if images == 0 || config.rate.is_nan() || config.rate <= 0.0 {
        return Err(CircuitError::Images {
            images,
            rate: config.rate,
        });
    }
    let device = model.device();
    let fourier = Fourier::new(shape, &device);
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let [channels, height, width] = shape;
    let made = |amplitudes: &[f32]| {
        let data = TensorData::new(amplitudes.to_vec(), [2 * images, channels, height, width]);
        Tensor::<4>::from_data(data, &device)
    };
    let labels = Labels::of_classes(&vec![0; images], &device);
    let value = |amplitudes: &[f32]| -> Result<(Tensor<4>, Vec<f32>), CircuitError> {
        let seen = fourier.images(made(amplitudes));
        let mut cache = Cache::of(spec, &objective.sites())?;
        let logits = model.run(&Input::Real(seen.clone()), &mut cache);
        Ok((seen, floats(objective.value(&logits, &cache, &labels))))
    };
    let mut amplitudes = fourier.start(images, &mut rng);
    let (_, before) = value(&amplitudes)?;
    let mut adam = Adam::new(amplitudes.len());
    for step in 0..config.steps {
        let leaf = made(&amplitudes).autodiff().require_grad();
        let shake = Shake::draw(&mut rng, config.jitter, config.scale, config.rotate);
        let seen = shake.apply(fourier.images(leaf.clone()), &device);
        let mut cache = Cache::of(spec, &objective.sites())?;
        let logits = model.run(&Input::Real(seen), &mut cache);
        let mut climbed = objective.value(&logits, &cache, &labels).sum();
        if let (Some(site), true) = (
            objective.sites().first(),
            config.diversity > 0.0 && images > 1,
        ) {
            climbed = climbed - likeness(cache.get(site)?.clone()) * config.diversity;
        }
        let mut gradients = climbed.backward();
        if let Some(gradient) = leaf.grad_remove(&mut gradients) {
            adam.climb(&mut amplitudes, &floats(gradient), config.rate);
        }
        progress(step + 1, config.steps);
    }
    let (seen, values) = value(&amplitudes)?;
    let pixels = channels * height * width;
    Ok(Visual {
        images: floats(seen).chunks(pixels).map(<[f32]>::to_vec).collect(),
        values,
        before,
    })
}

/// The sum over pairs of images of the cosine between their Gram matrices, of activations
/// `[image, position, channel]`, divided by the images.
fn likeness(activation: Tensor<3>) -> Tensor<1> {
    let [images, _, channels] = activation.dims();
    let gram = activation.clone().transpose().matmul(activation);
    let gram: Tensor<2> = gram.reshape([images, channels * channels]);
    let length = (gram.clone() * gram.clone()).sum_dim(1).sqrt() + 1e-8;
    let unit = gram / length;
    let all = unit.clone().matmul(unit.clone().transpose()).sum();
    // Each image is like itself.
    (all - (unit.clone() * unit).sum()) / images as f32
}

/// Adam (Kingma & Ba 2015, algorithm 1), upwards.
struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    step: i32,
}

impl Adam {
    fn new(count: usize) -> Self {
        Self {
            first: vec![0.0; count],
            second: vec![0.0; count],
            step: 0,
        }
    }

    fn climb(&mut self, values: &mut [f32], gradient: &[f32], rate: f32) {
        self.step += 1;
        let [b1, b2] = [0.9_f32, 0.999];
        let rate = rate * (1.0 - b2.powi(self.step)).sqrt() / (1.0 - b1.powi(self.step));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, &slope), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            *first = b1 * *first + (1.0 - b1) * slope;
            *second = b2 * *second + (1.0 - b2) * slope * slope;
            *value += rate * *first / (second.sqrt() + 1e-8);
        }
    }
}

#[cfg(test)]
mod tests {
    use mr_models::objective::by_name;

    use super::*;
    use crate::layered::tests::convnet;

    fn seek(config: VisualConfig) -> Visual {
        let objective = by_name("raise(conv2.hook_pre[:, 1])").unwrap();
        visualize(&convnet(), objective.as_ref(), &config, &mut |_, _| {}).unwrap()
    }

    #[test]
    fn images_excite_what_they_are_sought_for() {
        let config = VisualConfig {
            images: 2,
            steps: 30,
            ..VisualConfig::default()
        };
        let found = seek(config);
        for (after, before) in found.values.iter().zip(&found.before) {
            assert!(after > &(before + 0.05), "{before} to {after}");
        }
        assert_eq!(found.images[0].len(), 2 * 8 * 6);
        let inside = |value: &f32| (0.0..=1.0).contains(value);
        assert!(found.images.iter().flatten().all(inside));
        assert_eq!(seek(config), found);
    }

    #[test]
    fn likeness_of_equals_is_one_and_of_strangers_none() {
        let device = burn::tensor::Device::flex();
        let of = |values: [f32; 4]| {
            let data = TensorData::new(values.to_vec(), [2, 1, 2]);
            floats(likeness(Tensor::from_data(data, &device)))[0]
        };
        assert!((of([1.0, 0.0, 2.0, 0.0]) - 1.0).abs() < 1e-5);
        assert!(of([1.0, 0.0, 0.0, 1.0]).abs() < 1e-5);
    }

    #[test]
    fn nothing_to_seek_is_told() {
        let objective = by_name("raise(conv1.hook_out)").unwrap();
        let none = VisualConfig {
            images: 0,
            ..VisualConfig::default()
        };
        let error = visualize(&convnet(), objective.as_ref(), &none, &mut |_, _| {});
        assert!(error.unwrap_err().to_string().contains("0 images"));
    }
}
