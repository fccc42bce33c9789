//! Effective features from the activations of a dictionary's code.

use burn::tensor::Tensor;

use super::effective::effective_number;
use crate::error::{MetricError, same_length};
use crate::host::{rows, values};

/// `sum_s |z_is|` of each feature i, gathered batch by batch: the strengths of Bereska et al. 2025.
#[derive(Debug, Clone, Default)]
pub struct ActivationMass {
    mass: Vec<f64>,
    samples: usize,
}

impl ActivationMass {
    /// Adds activations `[batch, ..., feature]`. Every axis but the last is a sample, so the
    /// positions of a convolution's map `[batch, position, channel]` are samples too.
    ///
    /// # Errors
    /// If there are no activations, one is NaN or infinite, or earlier batches had another number
    /// of features.
    pub fn add<const D: usize>(&mut self, activations: Tensor<D>) -> Result<(), MetricError> {
        let activations = rows(activations);
        let [samples, features] = activations.dims();
        if self.mass.is_empty() {
            self.mass = vec![0.0; features];
        }
        same_length(
            "the features so far and those of a batch",
            self.mass.len(),
            features,
        )?;
        let batch = values("activations", activations.abs().sum_dim(0))?;
        for (mass, batch) in self.mass.iter_mut().zip(batch) {
            *mass += batch;
        }
        self.samples += samples;
        Ok(())
    }

    /// Mean `|z_i|` of each feature.
    pub fn means(&self) -> Vec<f64> {
        let samples = self.samples.max(1) as f64;
        self.mass.iter().map(|mass| mass / samples).collect()
    }

    /// Features that were ever active.
    pub fn active(&self) -> usize {
        self.mass.iter().filter(|mass| **mass > 0.0).count()
    }

    /// Effective features `F = exp(-sum p_i ln p_i)`, `p_i = sum_s |z_is| / sum_js |z_js|`. Divided
    /// by the number of units of the layer it is psi, which exceeds 1 in superposition.
    ///
    /// # Errors
    /// If nothing was added.
    pub fn effective_features(&self) -> Result<f64, MetricError> {
        effective_number(&self.mass)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::ActivationMass;

    #[test]
    fn features_of_equal_mass_count_fully_whatever_the_batches() {
        let device = Device::flex();
        let mut mass = ActivationMass::default();
        // Two positions per example; the third feature is dead.
        let maps = Tensor::<3>::from_data([[[1.0, 0.0, 0.0], [1.0, -4.0, 0.0]]], &device);
        mass.add(maps).unwrap();
        mass.add(Tensor::<2>::from_data([[2.0, 0.0, 0.0]], &device))
            .unwrap();
        assert_eq!(mass.means(), [4.0 / 3.0, 4.0 / 3.0, 0.0]);
        assert_eq!(mass.active(), 2);
        assert!((mass.effective_features().unwrap() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn dead_codes_count_nothing_and_bad_batches_are_refused() {
        let device = Device::flex();
        let mut mass = ActivationMass::default();
        assert!(mass.effective_features().is_err());
        mass.add(Tensor::<2>::zeros([4, 3], &device)).unwrap();
        assert_eq!(mass.effective_features().unwrap(), 0.0);
        assert!(mass.add(Tensor::<2>::zeros([4, 2], &device)).is_err());
        let nan = Tensor::<2>::from_data([[f32::NAN, 0.0, 0.0]], &device);
        assert!(mass.add(nan).is_err());
    }
}
