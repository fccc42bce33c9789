//! How true reconstructions are.

use crate::error::{MetricError, same_length};
use crate::host::samples;

/// Norms below which a sample has no ratio of norms; SAELens's.
const LEAST_NORM: f64 = 1e-6;

/// Activations and what was made of them, gathered batch by batch.
///
/// Every measure but the ratio of norms is a ratio of sums over all samples, never a mean of ratios of
/// batches or of samples: those weigh a sample by how small it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fidelity {
    /// The first sample. Variance is about it until the mean is known: squares of large means would
    /// drown the variance.
    first: Vec<f64>,
    /// `sum (x - first)`, by channel.
    sum: Vec<f64>,
    /// `sum ||x - first||^2`.
    spread: f64,
    /// `sum ||x' - x||^2`.
    error: f64,
    /// `sum ||x'||^2`.
    written: f64,
    /// `sum x . x'`.
    dot: f64,
    /// `sum ||x'|| / ||x||` and of how many.
    ratios: f64,
    with_ratio: u64,
    samples: u64,
}

impl Fidelity {
    /// Adds activations `[sample, channel]` and their reconstructions, of `width` channels each.
    ///
    /// # Errors
    /// If the two differ in length, are not whole samples, or hold NaN or infinities.
    pub fn add(&mut self, x: &[f32], made: &[f32], width: usize) -> Result<(), MetricError> {
        same_length("activations and reconstructions", x.len(), made.len())?;
        let (rows, made) = (
            samples("activations", x, width)?,
            samples("reconstructions", made, width)?,
        );
        if self.samples == 0 && !x.is_empty() {
            self.first = x[..width].iter().map(|&x| f64::from(x)).collect();
            self.sum = vec![0.0; width];
        }
        if !x.is_empty() {
            same_length(
                "the channels so far and those of a batch",
                self.first.len(),
                width,
            )?;
        }
        for (x, made) in rows.zip(made) {
            let [mut norm, mut written, mut dot, mut error, mut spread] = [0.0; 5];
            let places = self.first.iter().zip(&mut self.sum);
            for ((&x, &made), (first, sum)) in x.iter().zip(made).zip(places) {
                let (x, made) = (f64::from(x), f64::from(made));
                norm += x * x;
                written += made * made;
                dot += x * made;
                error += (made - x).powi(2);
                spread += (x - first).powi(2);
                *sum += x - first;
            }
            self.spread += spread;
            self.error += error;
            self.written += written;
            self.dot += dot;
            if norm.sqrt() > LEAST_NORM {
                self.ratios += (written / norm).sqrt();
                self.with_ratio += 1;
            }
            self.samples += 1;
        }
        Ok(())
    }

    /// Samples so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// `||x' - x||^2`, on average.
    ///
    /// # Errors
    /// If nothing was added.
    pub fn squared_error(&self) -> Result<f64, MetricError> {
        Ok(self.error / self.count()?)
    }

    /// `||x - mean||^2`, on average: the variance of all channels together.
    ///
    /// # Errors
    /// If nothing was added.
    pub fn variance(&self) -> Result<f64, MetricError> {
        let count = self.count()?;
        let square: f64 = self.sum.iter().map(|sum| sum * sum).sum();
        Ok((self.spread / count - square / count / count).max(0.0))
    }

    /// The fraction of variance that is not explained, `sum ||x' - x||^2 / sum ||x - mean||^2`: 0 where all
    /// is reconstructed, above 1 where the mean would do better.
    ///
    /// # Errors
    /// If nothing was added, or activations do not vary.
    pub fn fvu(&self) -> Result<f64, MetricError> {
        let variance = self.variance()?;
        if variance <= 0.0 {
            return Err(MetricError::Undefined {
                what: "the explained variance".into(),
                reason: "the activations do not vary".into(),
            });
        }
        Ok(self.squared_error()? / variance)
    }

    /// `1 - FVU`: 1 where all is reconstructed.
    ///
    /// # Errors
    /// As [`fvu`](Self::fvu).
    pub fn explained_variance(&self) -> Result<f64, MetricError> {
        Ok(1.0 - self.fvu()?)
    }

    /// `||x'|| / ||x||`, on average over samples: below 1 where reconstructions shrink.
    ///
    /// # Errors
    /// If no activation differs from 0.
    pub fn norm_ratio(&self) -> Result<f64, MetricError> {
        if self.with_ratio == 0 {
            return Err(MetricError::Undefined {
                what: "the ratio of norms".into(),
                reason: "no activation differs from 0".into(),
            });
        }
        Ok(self.ratios / self.with_ratio as f64)
    }

    /// The number that reconstructions are too large by, `argmin_g sum ||x' / g - x||^2`, which is
    /// `sum ||x'||^2 / sum x . x'` (relative reconstruction bias: Rajamanoharan et al. 2024a, equation 10).
    /// 1 without bias, below 1 where an l1 penalty shrinks codes (Wright & Sharkey 2024).
    ///
    /// # Errors
    /// If reconstructions are all 0 or, taken together, at right angles to the activations.
    pub fn bias(&self) -> Result<f64, MetricError> {
        if self.dot == 0.0 {
            return Err(MetricError::Undefined {
                what: "the bias of reconstructions".into(),
                reason: "they have nothing in common with the activations".into(),
            });
        }
        Ok(self.written / self.dot)
    }

    fn count(&self) -> Result<f64, MetricError> {
        if self.samples == 0 {
            return Err(MetricError::Empty {
                what: "the activations".into(),
            });
        }
        Ok(self.samples as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean (2, 0); variance (1 + 1 + 4 + 4) / 4.
    const X: [f32; 8] = [3., 0., 1., 0., 2., 2., 2., -2.];

    fn fidelity(made: &[f32]) -> Fidelity {
        let mut fidelity = Fidelity::default();
        fidelity.add(&X, made, 2).unwrap();
        fidelity
    }

    #[test]
    fn variance_is_a_ratio_of_sums() {
        let mut made = X;
        made[0] = 2.0;
        made[5] = 1.0;
        let fidelity = fidelity(&made);
        assert_eq!(fidelity.variance().unwrap(), 2.5);
        assert_eq!(fidelity.squared_error().unwrap(), 0.5);
        assert!((fidelity.fvu().unwrap() - 0.2).abs() < 1e-12);
        assert!((fidelity.explained_variance().unwrap() - 0.8).abs() < 1e-12);
    }

    #[test]
    fn the_mean_explains_nothing_and_the_activation_all() {
        let mean = [2., 0., 2., 0., 2., 0., 2., 0.];
        assert!(fidelity(&mean).explained_variance().unwrap().abs() < 1e-12);
        assert_eq!(fidelity(&X).explained_variance().unwrap(), 1.0);
    }

    #[test]
    fn half_the_activation_is_half_the_norm() {
        let half = X.map(|x| x / 2.0);
        let fidelity = fidelity(&half);
        assert_eq!(fidelity.norm_ratio().unwrap(), 0.5);
        assert_eq!(fidelity.bias().unwrap(), 0.5);
        // Of x' = (3, 1) for x = (3, 0): 10 / 9, not the ratio of norms.
        let mut one = Fidelity::default();
        one.add(&[3.0, 0.0, 0.0, 0.0], &[3.0, 1.0, 0.0, 0.0], 2)
            .unwrap();
        assert!((one.bias().unwrap() - 10.0 / 9.0).abs() < 1e-12);
        let ratio = one.norm_ratio().unwrap();
        assert!((ratio - 10.0_f64.sqrt() / 3.0).abs() < 1e-12, "0 has none");
    }

    #[test]
    fn batches_do_not_matter_and_large_means_do_not_drown_the_variance() {
        let far = X.map(|x| x + 1e6);
        let mut whole = Fidelity::default();
        whole.add(&far, &far, 2).unwrap();
        let mut parts = Fidelity::default();
        for row in far.chunks(2) {
            parts.add(row, row, 2).unwrap();
        }
        assert_eq!(whole, parts);
        assert_eq!(whole.variance().unwrap(), 2.5);
    }

    #[test]
    fn what_has_no_measure_says_why() {
        let nothing = Fidelity::default();
        assert!(nothing.squared_error().is_err());
        let mut same = Fidelity::default();
        same.add(&[1.0, 1.0], &[1.0, 1.0], 1).unwrap();
        let error = same.fvu().unwrap_err().to_string();
        assert!(error.contains("do not vary"), "{error}");
        let mut zero = Fidelity::default();
        zero.add(&[0.0, 1.0], &[0.0, 0.0], 1).unwrap();
        assert!(zero.bias().is_err());
        assert!(zero.add(&[1.0], &[1.0, 2.0], 1).is_err());
        assert!(zero.add(&[1.0, 2.0], &[1.0, 2.0], 2).is_err());
        assert!(zero.add(&[f32::NAN], &[1.0], 1).is_err());
    }
}
