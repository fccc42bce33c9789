//! Activations of known features: what a dictionary should find.

mod directions;
mod firing;
mod hierarchy;
#[cfg(test)]
mod tests;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

pub use firing::{Correlation, Rates};
pub use hierarchy::Hierarchy;

use super::error::DataError;
use firing::Copula;
use hierarchy::Forest;

/// Features that are planted in activations, after SynthSAEBench (Chanin & Garriga-Alonso 2026, section 3): an activation is
/// the sum of the directions of the features that are on, each times its magnitude, and a bias.
///
/// The default is their SynthSAEBench-16k with all counts divided by 32, 512 features in 64 dimensions, and the same rates,
/// correlation, magnitudes and bias. It differs in three things: features are numbered level by level over all trees, where they
/// go tree by tree; a magnitude is the size of the normal number that they cut off at 0, so that a feature that is on is never 0;
/// and 512 directions in 64 dimensions are nearer to each other than 16,384 in 768.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlantedConfig {
    /// Features, at least 1.
    pub features: usize,
    /// Channels of an activation, at least 1. Where features are no more, their directions are orthogonal.
    pub width: usize,
    /// How often features are on.
    pub rates: Rates,
    /// Which features are on only with others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hierarchy: Option<Hierarchy>,
    /// How features go together otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Correlation>,
    /// Mean magnitude of the first and of the last feature, with even steps between; at least 0.
    pub magnitudes: [f32; 2],
    /// Mean and standard deviation of the normal numbers whose sizes are the features' standard deviations of magnitude.
    pub spread: [f32; 2],
    /// Norm of the bias, at least 0.
    pub bias: f32,
    /// Steps that directions are moved apart by, where there are more than dimensions.
    pub decorrelation: usize,
}

impl Default for PlantedConfig {
    fn default() -> Self {
        Self {
            features: 512,
            width: 64,
            rates: Rates::default(),
            hierarchy: Some(Hierarchy::default()),
            correlation: Some(Correlation::default()),
            magnitudes: [5.0, 4.0],
            spread: [0.5, 0.5],
            bias: 10.0,
            decorrelation: 200,
        }
    }
}

impl PlantedConfig {
    /// Features that are independent, equally frequent, of magnitude about 1, and orthogonal where they are no more than
    /// channels: the easy regime.
    pub fn easy(features: usize, width: usize, rate: f64) -> Self {
        Self {
            features,
            width,
            rates: Rates {
                exponent: 1.0,
                most: rate,
                least: rate,
            },
            hierarchy: None,
            correlation: None,
            magnitudes: [1.0, 1.0],
            spread: [0.0, 0.1],
            bias: 0.0,
            ..Self::default()
        }
    }

    fn check(&self) -> Result<(), DataError> {
        for (what, value) in [("features", self.features), ("width", self.width)] {
            if value == 0 || value > 1 << 24 {
                return Err(DataError::setting(what, value, "from 1 to 16777216"));
            }
        }
        let sizes = [
            ("magnitudes", self.magnitudes[0]),
            ("magnitudes", self.magnitudes[1]),
            ("spread", self.spread[0]),
            ("spread", self.spread[1]),
            ("bias", self.bias),
        ];
        for (what, value) in sizes {
            if !(value.is_finite() && value >= 0.0) {
                return Err(DataError::setting(what, value, "at least 0"));
            }
        }
        self.rates.check()?;
        self.correlation.map_or(Ok(()), Correlation::check)
    }
}

/// A stream without end of activations of planted features.
///
/// Example i reads its own part of the ChaCha8 key stream of the seed, so it is the same however the stream is cut into batches,
/// and any part of it is reached at once.
#[derive(Debug, Clone)]
pub struct Planted {
    config: PlantedConfig,
    seed: u64,
    stream: u64,
    /// `[feature, width]`.
    directions: Vec<f32>,
    bias: Vec<f32>,
    copula: Copula,
    forest: Forest,
    /// Mean and standard deviation of each feature's magnitude.
    magnitudes: Vec<[f32; 2]>,
    rates: Vec<f64>,
    rng: ChaCha8Rng,
}

/// Activations and the features in them.
#[derive(Debug, Clone, PartialEq)]
pub struct PlantedBatch {
    /// `[example, width]`.
    pub activations: Vec<f32>,
    /// The magnitude of each feature, 0 where it is off: `[example, feature]`.
    pub coefficients: Vec<f32>,
}

/// The stream of a seed that the features themselves are drawn from.
const WORLD: u64 = u64::MAX;

impl Planted {
    /// The features of this seed, and the first stream of examples of them.
    ///
    /// # Errors
    /// [`DataError::Setting`] naming the setting that is out of range.
    pub fn new(config: PlantedConfig, seed: u64) -> Result<Self, DataError> {
        config.check()?;
        let forest = Forest::new(config.hierarchy, config.features)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(WORLD);
        let directions = directions::draw(
            config.features,
            config.width,
            config.decorrelation,
            &mut rng,
        );
        let mut bias = directions::unit(config.width, &mut rng);
        for value in &mut bias {
            *value *= config.bias;
        }
        let last = config.features.saturating_sub(1).max(1) as f32;
        let magnitudes = (0..config.features).map(|feature| {
            let [first, end] = config.magnitudes;
            let normal: f32 = StandardNormal.sample(&mut rng);
            let spread = (config.spread[0] + config.spread[1] * normal).abs();
            [first + (end - first) * feature as f32 / last, spread]
        });
        let magnitudes = magnitudes.collect();
        let rates = config.rates.of(config.features);
        let drawn = forest.compensated(&rates);
        let copula = Copula::new(&drawn, config.correlation, &mut rng)?;
        Ok(Self {
            directions,
            bias,
            copula,
            forest,
            magnitudes,
            rates,
            rng: ChaCha8Rng::seed_from_u64(seed),
            config,
            seed,
            stream: 0,
        })
    }

    /// Other examples of the same features, independent of those of other streams; a new value is on stream 0.
    #[must_use]
    pub fn stream(mut self, stream: u64) -> Self {
        self.rng.set_stream(stream);
        self.stream = stream;
        self
    }

    /// What was asked for.
    pub fn config(&self) -> &PlantedConfig {
        &self.config
    }

    /// The seed, and which stream of it.
    pub fn place(&self) -> (u64, u64) {
        (self.seed, self.stream)
    }

    /// Directions of the features, of norm 1, row-major `[feature, width]`.
    pub fn directions(&self) -> &[f32] {
        &self.directions
    }

    /// What every activation holds, `[width]`.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// The feature that each feature is only on with.
    pub fn parents(&self) -> &[Option<usize>] {
        self.forest.parents()
    }

    /// How often each feature was asked to be on. Exclusive siblings are on somewhat less often.
    pub fn rates(&self) -> &[f64] {
        &self.rates
    }

    /// Examples `start` to `start + count`.
    pub fn batch(&self, start: u64, count: usize) -> PlantedBatch {
        let (features, width) = (self.config.features, self.config.width);
        let mut activations = Vec::with_capacity(count * width);
        let mut coefficients = vec![0.0; count * features];
        self.each(start, count, |example, on| {
            let row = &mut coefficients[example * features..][..features];
            for &(feature, magnitude) in on {
                row[feature] = magnitude;
            }
            self.push(on, &mut activations);
        });
        PlantedBatch {
            activations,
            coefficients,
        }
    }

    /// The activations alone, `[example, width]`.
    pub fn activations(&self, start: u64, count: usize) -> Vec<f32> {
        let mut activations = Vec::with_capacity(count * self.config.width);
        self.each(start, count, |_, on| self.push(on, &mut activations));
        activations
    }

    /// How many features are on, on average over so many examples.
    pub fn l0(&self, count: usize) -> f64 {
        let mut total = 0;
        self.each(0, count, |_, on| total += on.len());
        total as f64 / count.max(1) as f64
    }

    fn push(&self, on: &[(usize, f32)], activations: &mut Vec<f32>) {
        let (width, first) = (self.config.width, activations.len());
        activations.extend_from_slice(&self.bias);
        for &(feature, magnitude) in on {
            let direction = &self.directions[feature * width..][..width];
            for (sum, part) in activations[first..].iter_mut().zip(direction) {
                *sum += magnitude * part;
            }
        }
    }

    /// Tells of each example which features are on, with their magnitudes.
    fn each(&self, start: u64, count: usize, mut tell: impl FnMut(usize, &[(usize, f32)])) {
        // Sixteen words for each normal number, which takes two, rarely four: examples never meet.
        let numbers = 2 * self.config.features + self.copula.rank();
        let words = (16 * numbers as u128).next_power_of_two();
        let mut rng = self.rng.clone();
        let mut fires = vec![false; self.config.features];
        let mut numbers = vec![0.0; self.config.features];
        let mut on = Vec::new();
        for example in 0..count {
            rng.set_word_pos((u128::from(start) + example as u128) * words);
            self.copula.draw(&mut fires, &mut numbers, &mut rng);
            self.forest
                .settle(&mut fires, &mut |count| rng.random_range(0..count));
            on.clear();
            for (feature, _) in fires.iter().enumerate().filter(|(_, fires)| **fires) {
                let [mean, spread] = self.magnitudes[feature];
                let normal: f32 = StandardNormal.sample(&mut rng);
                on.push((feature, (mean + spread * normal).abs()));
            }
            tell(example, &on);
        }
    }
}
