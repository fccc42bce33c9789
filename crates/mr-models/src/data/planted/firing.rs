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
    /// `[feature, rank]`.
    factors: Vec<f64>,
    /// Standard deviation of what is a number's own.
    own: Vec<f64>,
    thresholds: Vec<f64>,
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
        let mut factors = Vec::with_capacity(rates.len() * rank);
        let mut own = Vec::with_capacity(rates.len());
        for _ in rates {
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
            factors.extend(row);
            own.push((1.0 - shared).sqrt());
        }
        let threshold = |rate: &f64| match rate {
            rate if *rate >= 1.0 => f64::NEG_INFINITY,
            rate => -normal.inverse_cdf(*rate),
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

    pub(super) fn draw(&self, fires: &mut [bool], rng: &mut impl Rng) {
        let shared: Vec<f64> = (0..self.rank).map(|_| StandardNormal.sample(rng)).collect();
        for (feature, fires) in fires.iter_mut().enumerate() {
            let weights = &self.factors[feature * self.rank..][..self.rank];
            let common: f64 = weights.iter().zip(&shared).map(|(w, z)| w * z).sum();
            let alone: f64 = StandardNormal.sample(rng);
            *fires = common + self.own[feature] * alone > self.thresholds[feature];
        }
    }
}
