//! What a training pass draws and leaves behind.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The mode of one forward pass. In training it carries the random generator of dropout and
/// collects the running statistics of BatchNorm, so that a network itself has no mode and no state.
#[derive(Debug)]
pub struct Pass {
    training: Option<ChaCha8Rng>,
    updates: Vec<(String, Tensor<1>)>,
}

impl Pass {
    /// Evaluation: nothing is drawn, nothing updated.
    pub fn evaluation() -> Self {
        Self {
            training: None,
            updates: Vec::new(),
        }
    }

    /// Training; dropout draws from `rng`.
    pub fn training(rng: ChaCha8Rng) -> Self {
        Self {
            training: Some(rng),
            updates: Vec::new(),
        }
    }

    pub(crate) fn is_training(&self) -> bool {
        self.training.is_some()
    }

    /// Inverted dropout (Srivastava et al. 2014): keeps a value with probability `1 - rate`, scaled
    /// by `1 / (1 - rate)`. The identity in evaluation.
    pub(crate) fn dropout<const D: usize>(&mut self, values: Tensor<D>, rate: f64) -> Tensor<D> {
        let Some(rng) = self.training.as_mut().filter(|_| rate > 0.0) else {
            return values;
        };
        let shape = values.dims();
        let keep = (1.0 / (1.0 - rate)) as f32;
        let mask: Vec<f32> = (0..shape.iter().product())
            .map(|_| if rng.random_bool(rate) { 0.0 } else { keep })
            .collect();
        let device: Device = values.device().inner();
        values * Tensor::from_data(TensorData::new(mask, shape), &device)
    }

    pub(crate) fn update(&mut self, name: String, values: Tensor<1>) {
        self.updates.push((name, values));
    }

    pub(crate) fn take_updates(&mut self) -> Vec<(String, Tensor<1>)> {
        std::mem::take(&mut self.updates)
    }
}
