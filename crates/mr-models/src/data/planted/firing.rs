//! How often features are on, and how they go together.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::data::DataError;

/// Zipf's law between two ends: feature i (from 1) is on with a probability that falls as `i^-exponent` does, shifted and scaled
/// so that the first has `most` and the last `least`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Above 0.
    pub exponent: f64,
    /// Probability of the first feature, above 0 and below 1.
    pub most: f64,
    /// Probability of the last feature, above 0 and at most `most`.
    pub least: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            exponent: 0.5,
            most: 0.4,
            least: 5e-4,
        }
    }
}

impl Rates {
    pub(super) fn check(&self) -> Result<(), DataError> {
        if !(self.exponent.is_finite() && self.exponent > 0.0) {
            return Err(DataError::setting("exponent", self.exponent, "above 0"));
        }
        if !(self.most > 0.0 && self.most < 1.0) {
            return Err(DataError::setting("most", self.most, "between 0 and 1"));
        }
        if !(self.least > 0.0 && self.least <= self.most) {
            let valid = format!("above 0 and at most {}, the most", self.most);
            return Err(DataError::setting("least", self.least, valid));
        }
        Ok(())
    }

    pub(super) fn of(&self, features: usize) -> Vec<f64> {
        let law = |rank: usize| (rank as f64).powf(-self.exponent);
        let last = law(features);
        let range = if features > 1 { 1.0 - last } else { 1.0 };
        let height = |rank| (law(rank) - last) / range;
        (1..=features)
            .map(|rank| match rank {
                1 => self.most,
                rank => self.least + (self.most - self.least) * height(rank),
            })
            .collect()
    }
}

/// Features that go together by a Gaussian copula: a feature is on where its normal number is above its threshold, and the
/// numbers share factors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Correlation {
    /// Factors, at least 1.
    pub rank: usize,
    /// Standard deviation of what a factor weighs in a number, at least 0.
    pub scale: f64,
}

impl Default for Correlation {
    fn default() -> Self {
        Self {
            rank: 25,
            scale: 0.1,
        }
    }
}

/// What is left at least of a number's variance that is its own.
const OWN: f64 = 0.01;

impl Correlation {
    pub(super) fn check(self) -> Result<(), DataError> {
        if self.rank == 0 || self.rank > 1 << 16 {
            return Err(DataError::setting("rank", self.rank, "from 1 to 65536"));
        }
        if !(self.scale.is_finite() && self.scale >= 0.0) {
            return Err(DataError::setting("scale", self.scale, "at least 0"));
        }
        Ok(())
    }
}

/// Draws which features are on, before their hierarchy.
#[derive(Debug, Clone)]
pub(super) struct Copula {
    rank: usize,
    /// What each factor weighs in each feature's number, `[rank, feature]`: features side by side, for they are many.
    factors: Vec<f32>,
    /// Standard deviation of what is a number's own.
    own: Vec<f32>,
    thresholds: Vec<f32>,
}

impl Copula {
    pub(super) fn new(
        rates: &[f64],
        correlation: Option<Correlation>,
        rng: &mut impl Rng,
    ) -> Result<Self, DataError> {
        let (rank, scale) = correlation.map_or((0, 0.0), |c| (c.rank, c.scale));
        let normal = Normal::new(0.0, 1.0)
            .map_err(|error| DataError::setting("the normal law", error, "standard"))?;
        let mut factors = vec![0.0; rates.len() * rank];
        let mut own = Vec::with_capacity(rates.len());
        for feature in 0..rates.len() {
            let mut row: Vec<f64> = (0..rank)
                .map(|_| StandardNormal.sample(rng))
                .map(|weight: f64| weight * scale)
                .collect();
            let mut shared: f64 = row.iter().map(|weight| weight * weight).sum();
            if shared > 1.0 - OWN {
                let shrink = ((1.0 - OWN) / shared).sqrt();
                for weight in &mut row {
                    *weight *= shrink;
                }
                shared = 1.0 - OWN;
            }
            for (factor, weight) in row.into_iter().enumerate() {
                factors[factor * rates.len() + feature] = weight as f32;
            }
            own.push((1.0 - shared).sqrt() as f32);
        }
        let threshold = |rate: &f64| match rate {
            rate if *rate >= 1.0 => f32::NEG_INFINITY,
            rate => -normal.inverse_cdf(*rate) as f32,
        };
        Ok(Self {
            rank,
            factors,
            own,
            thresholds: rates.iter().map(threshold).collect(),
        })
    }

    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    /// `numbers` is room for as many as there are features.
    pub(super) fn draw(&self, fires: &mut [bool], numbers: &mut [f32], rng: &mut impl Rng) {
        numbers.fill(0.0);
        for weights in self.factors.chunks_exact(self.own.len()) {
            let factor: f32 = StandardNormal.sample(rng);
            for (number, weight) in numbers.iter_mut().zip(weights) {
                *number += factor * weight;
            }
        }
        let laws = self.own.iter().zip(&self.thresholds);
        for ((fires, common), (own, threshold)) in fires.iter_mut().zip(numbers).zip(laws) {
            let alone: f32 = StandardNormal.sample(rng);
            *fires = *common + own * alone > *threshold;
        }
    }
}
