//! Whether a dictionary's directions are the known features.

use burn::tensor::Tensor;

use super::assignment::best_assignment;
use super::cosine::cosines;
use crate::error::MetricError;

/// A latent and a feature that belong together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// The latent.
    pub latent: usize,
    /// The feature.
    pub feature: usize,
    /// The size of the cosine of their directions.
    pub cosine: f64,
}

/// Latents matched with known features by the size of their cosine.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovery {
    one_to_one: Vec<Match>,
    nearest: Vec<Match>,
    features: usize,
}

impl Recovery {
    /// Matches latents' directions `[latent, width]` with those of features `[feature, width]`.
    ///
    /// # Errors
    /// If there are none, widths differ, or one holds NaN or infinities.
    pub fn new(directions: &Tensor<2>, features: &Tensor<2>) -> Result<Self, MetricError> {
        let mut sizes = cosines(directions, features)?;
        for cosine in &mut sizes {
            *cosine = cosine.abs();
        }
        let ([latents, _], [count, _]) = (directions.dims(), features.dims());
        let matched = |(latent, feature): (usize, usize)| Match {
            latent,
            feature,
            cosine: sizes[latent * count + feature],
        };
        let pairs = best_assignment(&sizes, latents, count)?;
        let nearest = sizes.chunks_exact(count).enumerate().map(|(latent, row)| {
            let best = (1..count).fold(0, |best, at| if row[at] > row[best] { at } else { best });
            matched((latent, best))
        });
        Ok(Self {
            nearest: nearest.collect(),
            one_to_one: pairs.into_iter().map(matched).collect(),
            features: count,
        })
    }

    /// The matching of the largest total cosine in which no latent and no feature stands twice, by latent.
    pub fn one_to_one(&self) -> &[Match] {
        &self.one_to_one
    }

    /// Each latent with the feature nearest to it, which may be another's, too.
    pub fn nearest(&self) -> &[Match] {
        &self.nearest
    }

    /// The mean correlation coefficient, MCC: the mean size of the cosines of the one-to-one matching, over as many pairs as
    /// there are latents or features, whichever are fewer (as in SynthSAEBench, Chanin & Garriga-Alonso 2026, and Song et al.
    /// 2025). 1 where every one of them is recovered.
    ///
    /// It has a floor that falls with the width: random directions in few dimensions are somewhat like every feature.
    pub fn mcc(&self) -> f64 {
        let total: f64 = self.one_to_one.iter().map(|pair| pair.cosine).sum();
        total / self.one_to_one.len() as f64
    }

    /// The share of features that the one-to-one matching gives a latent with a cosine of at least this.
    pub fn recovered(&self, least: f64) -> f64 {
        let found = self.one_to_one.iter().filter(|pair| pair.cosine >= least);
        found.count() as f64 / self.features as f64
    }

    /// How many different features are some latent's nearest, as a share of the latents: 1 where each has its own.
    pub fn uniqueness(&self) -> f64 {
        let mut seen = vec![false; self.features];
        for pair in &self.nearest {
            seen[pair.feature] = true;
        }
        seen.iter().filter(|seen| **seen).count() as f64 / self.nearest.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn features_in_another_order_and_with_other_signs_are_recovered() {
        let device = Device::flex();
        let features = Tensor::<2>::from_data([[1., 0., 0.], [0., 1., 0.], [0., 0., 1.]], &device);
        let latents = Tensor::<2>::from_data([[0., 0., -2.], [3., 0., 0.], [0., 1., 0.]], &device);
        let recovery = Recovery::new(&latents, &features).unwrap();
        assert!((recovery.mcc() - 1.0).abs() < 1e-6);
        let places: Vec<usize> = recovery.one_to_one().iter().map(|m| m.feature).collect();
        assert_eq!(places, [2, 0, 1]);
        assert_eq!(
            (recovery.recovered(0.99), recovery.uniqueness()),
            (1.0, 1.0)
        );
    }

    /// Both latents are nearest to feature 0; one-to-one the second takes feature 1: (1 + 0.6) / 2.
    #[test]
    fn two_latents_of_one_feature_are_matched_once() {
        let device = Device::flex();
        let features = Tensor::<2>::from_data([[1., 0., 0.], [0., 1., 0.], [0., 0., 1.]], &device);
        let latents = Tensor::<2>::from_data([[1., 0., 0.], [0.8, 0.6, 0.]], &device);
        let recovery = Recovery::new(&latents, &features).unwrap();
        assert!((recovery.mcc() - 0.8).abs() < 1e-6);
        assert_eq!(recovery.uniqueness(), 0.5);
        assert_eq!(recovery.recovered(0.9), 1.0 / 3.0);
        let nearest: Vec<usize> = recovery.nearest().iter().map(|m| m.feature).collect();
        assert_eq!(nearest, [0, 0]);
    }
}
