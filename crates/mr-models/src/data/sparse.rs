//! Sparse features: the input of the toy model of superposition (Elhage et al. 2022).

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::dataset::{Dataset, numbered};
use super::error::DataError;
use crate::input::Input;

/// A stream of feature vectors without end. Each feature is 0 with probability S = 1 - `density`,
/// otherwise uniform in `[0, 1]`, independently of the others.
///
/// Example i reads fixed words of the ChaCha8 key stream of the seed, so it is the same however the
/// stream is cut into batches, and any part of the stream is reached at once.
#[derive(Debug, Clone)]
pub struct SparseFeatures {
    features: usize,
    density: f32,
    rng: ChaCha8Rng,
}

impl SparseFeatures {
    /// The stream of this seed.
    ///
    /// # Errors
    /// [`DataError::Setting`] unless `features` is at least 1 and `density` in `(0, 1]`.
    pub fn new(features: usize, density: f32, seed: u64) -> Result<Self, DataError> {
        if features == 0 {
            return Err(DataError::setting("features", features, "at least 1"));
        }
        if !(density > 0.0 && density <= 1.0) {
            return Err(DataError::setting(
                "density",
                density,
                "above 0 and at most 1",
            ));
        }
        Ok(Self {
            features,
            density,
            rng: ChaCha8Rng::seed_from_u64(seed),
        })
    }

    /// Another stream of the same seed, independent of the others; a new value is on stream 0.
    pub fn stream(mut self, stream: u64) -> Self {
        self.rng.set_stream(stream);
        self
    }

    /// Length of one example.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Probability that a feature is on.
    pub fn density(&self) -> f32 {
        self.density
    }

    /// Examples `start` to `start + count`, row-major `[example, feature]`, in `[0, 1]`.
    ///
    /// One 32-bit word u decides a feature: it is on if u < density 2^32, and u / (density 2^32) is
    /// then uniform. Values thus come in steps of 1 / (density 2^32): 2e-8 at density 0.01.
    pub fn batch(&self, start: u64, count: usize) -> Vec<f32> {
        let threshold = (f64::from(self.density) * 4_294_967_296.0).round().max(1.0);
        let last = (threshold - 1.0) as u32;
        let scale = (1.0 / threshold) as f32;
        let mut rng = self.rng.clone();
        rng.set_word_pos(u128::from(start) * self.features as u128);
        let mut bytes = vec![0; count * self.features * 4];
        rng.fill_bytes(&mut bytes);
        bytes
            .chunks_exact(4)
            .map(|word| {
                let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                let value = (word as f32 * scale).min(1.0);
                if word <= last { value } else { 0.0 }
            })
            .collect()
    }

    /// Examples `start` to `start + count` as `[batch, feature, 1, 1]`, in `[0, 1]`.
    pub fn input(&self, start: u64, count: usize, device: &Device) -> Input {
        let shape = [count, self.features, 1, 1];
        Input::Real(Tensor::from_data(
            TensorData::new(self.batch(start, count), shape),
            device,
        ))
    }

    /// The first `count` examples, labelled by a teacher.
    ///
    /// # Errors
    /// [`DataError::Empty`] if `count` is 0.
    ///
    /// # Panics
    /// If the teacher reads another number of features.
    pub fn dataset(&self, count: usize, teacher: &Teacher) -> Result<Dataset, DataError> {
        let values = self.batch(0, count);
        let labels = teacher.labels(&values);
        Dataset::of_floats(
            "sparse-features",
            [self.features, 1, 1],
            numbered(teacher.classes()),
            values,
            labels,
        )
    }
}

/// A fixed random linear map from features to classes: what the classification control of the toy
/// model has to learn. Its weights are standard normal; the class is that of the largest score, the
/// lowest one on a tie, so an example without any feature is of class 0.
#[derive(Debug, Clone)]
pub struct Teacher {
    features: usize,
    /// `[class, feature]`.
    weights: Vec<f32>,
}

/// The stream of a seed that teachers are drawn from, apart from every stream of examples in use.
const TEACHER_STREAM: u64 = u64::MAX;

impl Teacher {
    /// The teacher of this seed.
    ///
    /// # Errors
    /// [`DataError::Setting`] unless `features` is at least 1 and `classes` at least 2.
    pub fn new(features: usize, classes: usize, seed: u64) -> Result<Self, DataError> {
        if features == 0 {
            return Err(DataError::setting("features", features, "at least 1"));
        }
        if classes < 2 {
            return Err(DataError::setting("teacher_classes", classes, "at least 2"));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(TEACHER_STREAM);
        let weights = (0..features * classes)
            .map(|_| StandardNormal.sample(&mut rng))
            .collect();
        Ok(Self { features, weights })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.weights.len() / self.features
    }

    /// The class of each row of `[example, feature]`.
    ///
    /// # Panics
    /// If the values are not whole rows.
    pub fn labels(&self, values: &[f32]) -> Vec<usize> {
        assert!(
            values.len().is_multiple_of(self.features),
            "{} values are not rows of {} features",
            values.len(),
            self.features
        );
        values
            .chunks_exact(self.features)
            .map(|row| self.label(row))
            .collect()
    }

    fn label(&self, row: &[f32]) -> usize {
        let score = |weights: &[f32]| -> f32 { weights.iter().zip(row).map(|(w, x)| w * x).sum() };
        let mut best = (0, f32::NEG_INFINITY);
        for (class, weights) in self.weights.chunks_exact(self.features).enumerate() {
            let score = score(weights);
            if score > best.1 {
                best = (class, score);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_the_same_in_any_batch() {
        let stream = SparseFeatures::new(7, 0.3, 5).unwrap();
        let whole = stream.batch(0, 50);
        assert_eq!(whole[7 * 13..7 * 20], stream.batch(13, 7));
        assert_eq!(whole, stream.batch(0, 50));
        assert_ne!(whole, SparseFeatures::new(7, 0.3, 6).unwrap().batch(0, 50));
        assert_ne!(whole, stream.clone().stream(1).batch(0, 50));
        assert!(stream.batch(3, 0).is_empty());
        // Far into the stream, where 32 bits of position would have wrapped.
        let far = 1 << 40;
        assert_eq!(stream.batch(far + 1, 1), stream.batch(far, 2)[7..]);
    }

    #[test]
    fn features_are_on_at_their_density_and_uniform_then() {
        for density in [1.0, 0.5, 0.1, 0.02] {
            let values = SparseFeatures::new(50, density, 1).unwrap().batch(0, 4000);
            assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
            let on: Vec<f64> = values
                .iter()
                .filter(|value| **value > 0.0)
                .map(|&value| value.into())
                .collect();
            let count = on.len() as f64;
            // Five standard errors.
            let share = count / 200_000.0;
            let error = (f64::from(density) * (1.0 - f64::from(density)) / 200_000.0).sqrt();
            assert!(
                (share - f64::from(density)).abs() <= 5.0 * error + 1e-6,
                "{density}: {share}"
            );
            let mean = on.iter().sum::<f64>() / count;
            let square = on.iter().map(|value| value * value).sum::<f64>() / count;
            assert!(
                (mean - 0.5).abs() < 5.0 * (1.0 / 12.0 / count).sqrt(),
                "{mean}"
            );
            assert!(
                (square - 1.0 / 3.0).abs() < 5.0 * (4.0 / 45.0 / count).sqrt(),
                "{square}"
            );
        }
    }

    #[test]
    fn a_batch_is_feature_vectors() {
        let stream = SparseFeatures::new(3, 0.5, 0).unwrap();
        let batch = stream.input(4, 2, &Device::flex()).real();
        assert_eq!(batch.dims(), [2, 3, 1, 1]);
        assert_eq!(crate::host::floats(batch), stream.batch(4, 2));
    }

    #[test]
    fn teachers_label_by_the_largest_score() {
        let teacher = Teacher {
            features: 2,
            weights: vec![1.0, 0.0, 0.0, 2.0, -1.0, -1.0],
        };
        assert_eq!(teacher.classes(), 3);
        assert_eq!(
            teacher.labels(&[0.9, 0.4, 0.9, 0.5, 0.0, 0.0]),
            [0, 1, 0],
            "0.9 > 0.8; 1.0 > 0.9; all scores 0"
        );
    }

    #[test]
    fn teachers_use_their_classes_and_are_fixed() {
        let data = |seed| {
            let teacher = Teacher::new(50, 10, seed).unwrap();
            let stream = SparseFeatures::new(50, 0.1, 3).unwrap();
            stream.dataset(2000, &teacher).unwrap()
        };
        let (labels, other) = (data(0), data(1));
        assert_eq!(labels.labels(), data(0).labels());
        assert_ne!(labels.labels(), other.labels());
        assert_eq!((labels.classes(), labels.shape()), (10, [50, 1, 1]));
        for class in 0..10 {
            assert!(
                labels.labels().contains(&class),
                "class {class} never occurs"
            );
        }
    }

    #[test]
    fn settings_are_checked() {
        for density in [0.0, -0.1, 1.5, f32::NAN] {
            assert!(SparseFeatures::new(5, density, 0).is_err(), "{density}");
        }
        assert_eq!(
            SparseFeatures::new(0, 0.5, 0).unwrap_err().to_string(),
            "features is 0, must be at least 1"
        );
        assert!(Teacher::new(5, 1, 0).is_err());
        let teacher = Teacher::new(5, 2, 0).unwrap();
        let stream = SparseFeatures::new(5, 0.5, 0).unwrap();
        assert!(stream.dataset(0, &teacher).is_err());
    }
}
