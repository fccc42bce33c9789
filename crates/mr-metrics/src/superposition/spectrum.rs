//! Dimensions in use, from the spectrum of activations: measures that cannot see superposition.

use burn::tensor::Tensor;

use super::effective::effective_number;
use crate::error::{MetricError, same_length};
use crate::host::{rows, values};
use crate::symmetric::Symmetric;

/// Second moments of activations, gathered batch by batch in double precision. Memory is
/// units x units, whatever the number of samples.
#[derive(Debug, Clone)]
pub struct Spectrum {
    samples: usize,
    sum: Vec<f64>,
    products: Symmetric,
}

impl Spectrum {
    /// Of no activations yet, of a layer with this many units.
    pub fn new(units: usize) -> Self {
        Self {
            samples: 0,
            sum: vec![0.0; units],
            products: Symmetric::zeros(units),
        }
    }

    /// The spectrum of one batch of activations `[batch, ..., unit]`.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn of<const D: usize>(activations: Tensor<D>) -> Result<Self, MetricError> {
        let mut spectrum = Self::new(activations.dims().last().copied().unwrap_or(1));
        spectrum.add(activations)?;
        Ok(spectrum)
    }

    /// Adds activations `[batch, ..., unit]`; every axis but the last is a sample.
    ///
    /// # Errors
    /// If there are no activations, one is NaN or infinite, or the number of units is another.
    pub fn add<const D: usize>(&mut self, activations: Tensor<D>) -> Result<(), MetricError> {
        let activations = rows(activations);
        let [samples, units] = activations.dims();
        same_length("the units of a layer and of a batch", self.sum.len(), units)?;
        for row in values("activations", activations)?.chunks(units) {
            self.products.add_outer(row, 1.0);
            for (sum, value) in self.sum.iter_mut().zip(row) {
                *sum += value;
            }
        }
        self.samples += samples;
        Ok(())
    }

    /// Singular values of the activations `[samples, unit]`, not centred, largest first: the roots
    /// of the eigenvalues of their second moments. Those below about 1e-8 of the largest are noise.
    pub fn singular_values(&self) -> Vec<f64> {
        let mut values = not_negative(self.products.eigenvalues());
        for value in &mut values {
            *value = value.sqrt();
        }
        values
    }

    /// Eigenvalues of the covariance of the units, largest first.
    pub fn variances(&self) -> Vec<f64> {
        let samples = self.samples.max(1) as f64;
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum / samples).collect();
        let mut covariance = self.products.clone();
        covariance.scale(1.0 / samples);
        covariance.add_outer(&mean, -1.0);
        not_negative(covariance.eigenvalues())
    }

    /// Effective rank `exp H(sigma / sum sigma)` of the singular values (Roy & Vetterli 2007), at
    /// most the number of units.
    ///
    /// # Errors
    /// If nothing was added.
    pub fn effective_rank(&self) -> Result<f64, MetricError> {
        self.gathered()?;
        effective_number(&self.singular_values())
    }

    /// Participation ratio `(sum l)^2 / sum l^2` of the eigenvalues of the covariance, at most the
    /// number of units. 0 for activations that never vary.
    ///
    /// # Errors
    /// If nothing was added.
    pub fn participation_ratio(&self) -> Result<f64, MetricError> {
        self.gathered()?;
        let variances = self.variances();
        let largest = variances.first().copied().unwrap_or(0.0);
        // Rounding leaves variances of constant activations near 1e-16 of their square.
        let scale = self.products.diagonal().sum::<f64>() / self.samples as f64;
        if largest <= 1e-13 * scale {
            return Ok(0.0);
        }
        let sum: f64 = variances.iter().map(|l| l / largest).sum();
        let squares: f64 = variances.iter().map(|l| (l / largest).powi(2)).sum();
        Ok(sum * sum / squares)
    }

    fn gathered(&self) -> Result<(), MetricError> {
        if self.samples == 0 {
            return Err(MetricError::Empty {
                what: "the sample of a spectrum".into(),
            });
        }
        Ok(())
    }
}

/// Second moments have no negative eigenvalue; rounding below 0 is cut off.
fn not_negative(mut eigenvalues: Vec<f64>) -> Vec<f64> {
    for value in &mut eigenvalues {
        *value = value.max(0.0);
    }
    eigenvalues
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::Spectrum;

    fn tensor(values: Vec<f32>, shape: [usize; 2]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn orthogonal_units_of_equal_size_are_all_in_use() {
        let values = vec![3.0, 0.0, 0.0, 3.0, -3.0, 0.0, 0.0, -3.0];
        let spectrum = Spectrum::of(tensor(values, [4, 2])).unwrap();
        for sigma in spectrum.singular_values() {
            assert!((sigma - 18.0_f64.sqrt()).abs() < 1e-9);
        }
        assert!((spectrum.effective_rank().unwrap() - 2.0).abs() < 1e-9);
        assert!((spectrum.participation_ratio().unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn uneven_variances_are_weighted() {
        // Variances 4.5 and .5: (5)^2 / (20.25 + .25).
        let values = vec![3.0, 0.0, -3.0, 0.0, 0.0, 1.0, 0.0, -1.0];
        let spectrum = Spectrum::of(tensor(values, [4, 2])).unwrap();
        let variances = spectrum.variances();
        assert!((variances[0] - 4.5).abs() < 1e-9 && (variances[1] - 0.5).abs() < 1e-9);
        let ratio = spectrum.participation_ratio().unwrap();
        assert!((ratio - 25.0 / 20.5).abs() < 1e-9);
        // Singular values sqrt(18) and sqrt(2): shares 3/4 and 1/4.
        let rank = spectrum.effective_rank().unwrap();
        assert!((rank - 4.0 / 3.0_f64.powf(0.75)).abs() < 1e-9);
    }

    #[test]
    fn constant_activations_vary_in_no_dimension() {
        let spectrum = Spectrum::of(tensor(vec![0.3, 0.7, 0.3, 0.7, 0.3, 0.7], [3, 2])).unwrap();
        assert_eq!(spectrum.participation_ratio().unwrap(), 0.0);
        assert!((spectrum.effective_rank().unwrap() - 1.0).abs() < 1e-6);
        let zero = Spectrum::of(tensor(vec![0.0; 6], [3, 2])).unwrap();
        assert_eq!(zero.effective_rank().unwrap(), 0.0);
        assert_eq!(zero.participation_ratio().unwrap(), 0.0);
        assert!(Spectrum::new(2).effective_rank().is_err());
        assert!(Spectrum::new(3).add(tensor(vec![0.0; 6], [3, 2])).is_err());
    }

    proptest! {
        #[test]
        fn neither_measure_exceeds_the_units_and_batches_do_not_matter(
            values in prop::collection::vec(-2.0..2.0_f32, 24)
        ) {
            let whole = Spectrum::of(tensor(values.clone(), [8, 3])).unwrap();
            let rank = whole.effective_rank().unwrap();
            let ratio = whole.participation_ratio().unwrap();
            prop_assert!(rank <= 3.0 + 1e-9 && ratio <= 3.0 + 1e-9);
            let mut parts = Spectrum::new(3);
            parts.add(tensor(values[..9].to_vec(), [3, 3])).unwrap();
            parts.add(tensor(values[9..].to_vec(), [5, 3])).unwrap();
            prop_assert!((parts.effective_rank().unwrap() - rank).abs() < 1e-6);
            prop_assert!((parts.participation_ratio().unwrap() - ratio).abs() < 1e-6);
        }
    }
}
