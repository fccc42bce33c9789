//! Superposition in a weight matrix whose columns are features.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::effective::NormPower;
use crate::error::MetricError;
use crate::host::values;
use crate::record::{ExperimentRecord, Number};
use crate::stats::median;
use crate::symmetric::Symmetric;

/// A weight matrix `W` `[hidden, features]`: column `W_i` is where feature i lives among the hidden
/// units. Everything is computed in double precision on the host.
#[derive(Debug, Clone)]
pub struct FeatureWeights {
    hidden: usize,
    /// `||W_i||`.
    norms: Vec<f64>,
    /// `W^T W`, features by features.
    pub(super) gram: Symmetric,
}

impl FeatureWeights {
    /// From `W` `[hidden, features]`.
    ///
    /// # Errors
    /// If a weight is NaN or infinite, or there is none.
    pub fn new(weights: &Tensor<2>) -> Result<Self, MetricError> {
        let [hidden, features] = weights.dims();
        let values = values("the weights of features", weights.clone())?;
        let mut gram = Symmetric::zeros(features);
        for row in values.chunks(features) {
            gram.add_outer(row, 1.0);
        }
        let norms = gram.diagonal().map(f64::sqrt).collect();
        Ok(Self {
            hidden,
            norms,
            gram,
        })
    }

    /// m, the number of hidden units.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// n, the number of features.
    pub fn features(&self) -> usize {
        self.norms.len()
    }

    /// `||W_i||` of each feature.
    pub fn norms(&self) -> &[f64] {
        &self.norms
    }

    /// Features per dimension, `||W||_F^2 / m` (Elhage et al. 2022). Exceeds n / m when features
    /// have norms above 1, and falls when norms shrink though no feature is given up: read it beside
    /// [`effective_features`](Self::effective_features).
    pub fn features_per_dimension(&self) -> f64 {
        self.gram.diagonal().sum::<f64>() / self.hidden as f64
    }

    /// Dimensions per feature, `m / ||W||_F^2`. None for weights that are all zero.
    pub fn dimensions_per_feature(&self) -> Option<f64> {
        let per_dimension = self.features_per_dimension();
        (per_dimension > 0.0).then(|| 1.0 / per_dimension)
    }

    /// Every measure, with the distribution of dimensionality over features whose norm exceeds
    /// `strong` (0.5 in Elhage et al. 2022).
    ///
    /// # Errors
    /// Never on weights that were accepted; the error is that of the statistics used.
    pub fn summary(&self, strong: f64) -> Result<Superposition, MetricError> {
        let of_strong = |all: Vec<f64>| -> Vec<f64> {
            all.into_iter()
                .zip(&self.norms)
                .filter(|(_, norm)| **norm > strong)
                .map(|(value, _)| value)
                .collect()
        };
        let median = |values: Vec<f64>| {
            if values.is_empty() {
                Ok(None)
            } else {
                median(&values).map(Some)
            }
        };
        let coherence = self.coherence();
        Ok(Superposition {
            features_per_dimension: self.features_per_dimension(),
            strong_features: self.norms.iter().filter(|norm| **norm > strong).count(),
            dimensionality_median: median(of_strong(self.dimensionality()))?,
            interference_median: median(of_strong(self.interference()))?,
            coherence_max: coherence.map(|coherence| coherence.max),
            coherence_mean: coherence.map(|coherence| coherence.mean),
            effective_features: self.effective_features(NormPower::Square)?,
            effective_features_by_norm: self.effective_features(NormPower::Norm)?,
            hidden: self.hidden,
        })
    }
}

/// Measures of superposition in one weight matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Superposition {
    /// `||W||_F^2 / m`.
    pub features_per_dimension: f64,
    /// Features whose norm exceeds the threshold.
    pub strong_features: usize,
    /// Median dimensionality of those; none if there is none.
    pub dimensionality_median: Option<f64>,
    /// Median interference of those.
    pub interference_median: Option<f64>,
    /// Largest `|cos|` of two features; none if fewer than two are not zero.
    pub coherence_max: Option<f64>,
    /// Mean `|cos|` of two features.
    pub coherence_mean: Option<f64>,
    /// Effective features `F_w`, by squared norm.
    pub effective_features: f64,
    /// Effective features by norm.
    pub effective_features_by_norm: f64,
    /// m, the number of hidden units.
    pub hidden: usize,
}

impl Superposition {
    /// Adds every measure to a record, under names that a finding can ask for: `fpd`,
    /// `dimensions_per_feature`, `strong_features`, `dimensionality_median`, `interference_median`,
    /// `coherence_max`, `coherence_mean`, `effective_features_w`,
    /// `effective_features_w_per_dimension` and `effective_features_w_by_norm`. A measure that does
    /// not exist is `null`.
    pub fn add_to(&self, record: &mut ExperimentRecord) {
        let (m, effective) = (self.hidden as f64, self.effective_features);
        let per_feature = 1.0 / self.features_per_dimension;
        for (name, value) in [
            ("fpd", Some(self.features_per_dimension)),
            (
                "dimensions_per_feature",
                Some(per_feature).filter(|value| value.is_finite()),
            ),
            ("strong_features", Some(self.strong_features as f64)),
            ("dimensionality_median", self.dimensionality_median),
            ("interference_median", self.interference_median),
            ("coherence_max", self.coherence_max),
            ("coherence_mean", self.coherence_mean),
            ("effective_features_w", Some(effective)),
            ("effective_features_w_per_dimension", Some(effective / m)),
            (
                "effective_features_w_by_norm",
                Some(self.effective_features_by_norm),
            ),
        ] {
            record.number(
                name,
                Number {
                    value,
                    ..Number::default()
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use serde_json::Value;

    use super::FeatureWeights;
    use crate::record::{ExperimentRecord, RecordKind};

    fn weights(values: Vec<f32>, shape: [usize; 2]) -> FeatureWeights {
        let data = TensorData::new(values, shape);
        FeatureWeights::new(&Tensor::from_data(data, &Device::flex())).unwrap()
    }

    #[test]
    fn an_antipodal_pair_shares_its_dimension() {
        let summary = weights(vec![1.0, -1.0], [1, 2]).summary(0.5).unwrap();
        assert_eq!(summary.features_per_dimension, 2.0);
        assert_eq!(summary.dimensionality_median, Some(0.5));
        assert_eq!(summary.interference_median, Some(1.0));
        assert_eq!(summary.coherence_max, Some(1.0));
        assert!((summary.effective_features - 2.0).abs() < 1e-12);
    }

    #[test]
    fn weights_of_zero_have_no_features_and_no_nan() {
        let zero = weights(vec![0.0; 6], [2, 3]);
        assert_eq!(zero.dimensions_per_feature(), None);
        let summary = zero.summary(0.5).unwrap();
        assert_eq!(summary.strong_features, 0);
        assert_eq!(
            (summary.dimensionality_median, summary.coherence_max),
            (None, None)
        );
        assert_eq!(summary.effective_features, 0.0);
        let mut record = ExperimentRecord::new(RecordKind::Measure, "toy", Value::Null, 0, "flex");
        summary.add_to(&mut record);
        assert_eq!(record.numbers["fpd"].value, Some(0.0));
        assert_eq!(record.numbers["dimensions_per_feature"].value, None);
        assert_eq!(record.numbers.len(), 10);
    }

    #[test]
    fn nan_weights_are_refused() {
        let w = Tensor::<2>::from_data([[1.0, f32::NAN]], &Device::flex());
        let error = FeatureWeights::new(&w).unwrap_err().to_string();
        assert!(error.contains("NaN at position 1"), "{error}");
    }
}
