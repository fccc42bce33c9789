//! How often latents fire.

use crate::error::MetricError;
use crate::host::samples;

/// On how many samples each latent is active, gathered batch by batch. A latent is active where its
/// code is not 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    counts: Vec<u64>,
    samples: u64,
}

impl Firing {
    /// Nothing yet, of so many latents.
    pub fn new(latents: usize) -> Self {
        Self {
            counts: vec![0; latents],
            samples: 0,
        }
    }

    /// Adds codes, row-major `[sample, latent]`.
    ///
    /// # Errors
    /// If they are not whole samples, or one is NaN or infinite.
    pub fn add(&mut self, codes: &[f32]) -> Result<(), MetricError> {
        for code in samples("codes", codes, self.counts.len())? {
            for (count, value) in self.counts.iter_mut().zip(code) {
                *count += u64::from(*value != 0.0);
            }
            self.samples += 1;
        }
        Ok(())
    }

    /// On how many samples each latent is active.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Samples so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Active latents of a sample, on average.
    ///
    /// # Errors
    /// If nothing was added.
    pub fn l0(&self) -> Result<f64, MetricError> {
        Ok(self.counts.iter().sum::<u64>() as f64 / self.count()?)
    }

    /// The share of samples that each latent is active on.
    ///
    /// # Errors
    /// If nothing was added.
    pub fn rates(&self) -> Result<Vec<f64>, MetricError> {
        let samples = self.count()?;
        Ok(self.counts.iter().map(|&n| n as f64 / samples).collect())
    }

    /// Latents that no sample turned on.
    pub fn dead(&self) -> usize {
        self.counts.iter().filter(|count| **count == 0).count()
    }

    /// Their share of all latents.
    ///
    /// # Errors
    /// If nothing was added.
    pub fn dead_share(&self) -> Result<f64, MetricError> {
        self.count()?;
        Ok(self.dead() as f64 / self.counts.len() as f64)
    }

    /// The histogram of log10 rates, with so many bins to a decade, from the decade of one in all samples
    /// up to 1.
    ///
    /// # Errors
    /// If nothing was added, or there are no bins.
    pub fn densities(&self, per_decade: usize) -> Result<Densities, MetricError> {
        let samples = self.count()?;
        if per_decade == 0 {
            return Err(MetricError::Setting {
                what: "bins per decade".into(),
                value: "0".into(),
                valid: "at least 1".into(),
            });
        }
        let decades = samples.log10().ceil().max(1.0) as usize;
        let bins = decades * per_decade;
        let mut counts = vec![0; bins];
        for &count in self.counts.iter().filter(|count| **count > 0) {
            let above = (count as f64 / samples).log10() + decades as f64;
            // A rate that is a power of ten belongs to the bin above; rounding must not decide.
            let bin = (above * per_decade as f64 + 1e-9) as usize;
            counts[bin.min(bins - 1)] += 1;
        }
        let edges = (0..=bins).map(|bin| bin as f64 / per_decade as f64 - decades as f64);
        Ok(Densities {
            edges: edges.collect(),
            counts,
            dead: self.dead(),
        })
    }

    fn count(&self) -> Result<f64, MetricError> {
        if self.samples == 0 || self.counts.is_empty() {
            return Err(MetricError::Empty {
                what: "the codes".into(),
            });
        }
        Ok(self.samples as f64)
    }
}

/// A histogram of latents over the log10 of how often they fire (Bricken et al. 2023).
#[derive(Debug, Clone, PartialEq)]
pub struct Densities {
    /// Edges of the bins, rising to 0 (always active): one more than there are bins.
    pub edges: Vec<f64>,
    /// Latents of each bin; the last holds those that are always active.
    pub counts: Vec<usize>,
    /// Latents that never fire, which have no logarithm.
    pub dead: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_do_not_depend_on_batches() {
        // Latents on in 2, 1, 0 and 4 of 4 samples.
        let codes = [
            1., 0., 0., 2., //
            0., 0., 0., 1., //
            3., 0.5, 0., 1., //
            0., 0., 0., 9.,
        ];
        let mut whole = Firing::new(4);
        whole.add(&codes).unwrap();
        let mut parts = Firing::new(4);
        for row in codes.chunks(4) {
            parts.add(row).unwrap();
        }
        assert_eq!(whole, parts);
        assert_eq!(whole.l0().unwrap(), 7.0 / 4.0);
        assert_eq!(whole.rates().unwrap(), [0.5, 0.25, 0.0, 1.0]);
        assert_eq!((whole.dead(), whole.dead_share().unwrap()), (1, 0.25));
    }

    #[test]
    fn densities_are_binned_by_their_logarithm() {
        let mut firing = Firing::new(5);
        // Of 100 samples: always, 10, 1, never, 9.
        for sample in 0..100 {
            let on = |below: usize| f32::from(u8::from(sample < below));
            firing.add(&[1.0, on(10), on(1), on(0), on(9)]).unwrap();
        }
        let densities = firing.densities(1).unwrap();
        assert_eq!(densities.edges, [-2.0, -1.0, 0.0]);
        assert_eq!((densities.counts, densities.dead), (vec![2, 2], 1));
        let finer = firing.densities(2).unwrap();
        assert_eq!(finer.counts, [1, 1, 1, 1]);
        assert!(firing.densities(0).is_err());
    }

    #[test]
    fn nothing_has_no_numbers_and_bad_codes_are_told() {
        let mut firing = Firing::new(3);
        assert!(firing.l0().is_err());
        assert!(firing.add(&[1.0; 4]).is_err());
        let error = firing.add(&[0.0, f32::NAN, 0.0]).unwrap_err();
        assert!(error.to_string().starts_with("codes holds NaN"), "{error}");
        assert_eq!(firing.samples(), 0, "a bad batch leaves no trace");
        assert!(Firing::new(0).add(&[]).is_err());
    }
}
