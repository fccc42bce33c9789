//! What is done to activations before a dictionary reads them, and undone after it wrote.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::config::{Arrangement, SaeConfig};
use crate::error::SaeError;

/// What layer normalisation adds to the deviation, as in SAELens.
const EPSILON: f32 = 1e-5;

/// What is done to activations before they are read. What a dictionary writes is brought back to the
/// activation's own units, except by a transcoder, which writes another activation.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Normalization {
    /// Nothing.
    #[default]
    None,
    /// Times one number, such that the mean norm over the training data is `sqrt(d_in)` (Anthropic,
    /// April 2024). Losses are in these units. SAELens's `expected_average_only_in`, which keeps the
    /// number outside of the dictionary and folds it into the weights at last.
    ExpectedAverage {
        /// That number, above 0: `sqrt(d_in) / mean norm`.
        scale: f32,
    },
    /// Each sample is scaled to norm `sqrt(d_in)`; SAELens's `constant_norm_rescale`.
    ConstantNorm,
    /// Each sample gets mean 0 and deviation 1 (of the sample: divided by `d_in - 1`); SAELens's
    /// `layer_norm`.
    LayerNorm,
}

/// The way back from a normalised sample: `y * factor + shift`.
#[derive(Clone)]
pub(crate) struct WayBack {
    /// `[sample, 1]`, or one for all.
    factor: Option<Tensor<2>>,
    shift: Option<Tensor<2>>,
    constant: f32,
}

impl WayBack {
    /// From what is normalised to the activation's own units.
    pub(crate) fn restore(&self, y: Tensor<2>) -> Tensor<2> {
        let y = self.restore_difference(y);
        match &self.shift {
            Some(shift) => y + shift.clone(),
            None => y,
        }
    }

    /// The same for differences of activations, which the shift leaves alone.
    pub(crate) fn restore_difference(&self, y: Tensor<2>) -> Tensor<2> {
        match &self.factor {
            Some(factor) => y * factor.clone(),
            None if self.constant == 1.0 => y,
            None => y * self.constant,
        }
    }
}

impl Normalization {
    pub(crate) fn check(self, config: &SaeConfig) -> Result<(), SaeError> {
        match self {
            Self::ExpectedAverage { scale } if !(scale.is_finite() && scale > 0.0) => {
                Err(SaeError::setting("scale", scale, "finite and above 0"))
            }
            Self::ConstantNorm | Self::LayerNorm
                if matches!(config.arrangement, Arrangement::Crosscoder { .. }) =>
            {
                // The norm would be that of all parts together.
                let valid = "none or expected-average in a crosscoder";
                Err(SaeError::setting(
                    "normalization",
                    format!("{self:?}"),
                    valid,
                ))
            }
            Self::LayerNorm if config.d_in < 2 => Err(SaeError::setting(
                "d_in",
                config.d_in,
                "at least 2 with layer-norm",
            )),
            _ => Ok(()),
        }
    }

    /// What one activation's unit is in the loss.
    pub(crate) fn unit(self, config: &SaeConfig) -> f32 {
        match self {
            Self::ExpectedAverage { scale } if config.writes_what_it_reads() => scale,
            _ => 1.0,
        }
    }

    /// Samples `[sample, d_in]` as a dictionary reads them, and the way back.
    pub(crate) fn apply(self, x: Tensor<2>) -> (Tensor<2>, WayBack) {
        let plain = |constant| WayBack {
            factor: None,
            shift: None,
            constant,
        };
        let width = x.dims()[1] as f32;
        match self {
            Self::None => (x, plain(1.0)),
            Self::ExpectedAverage { scale } => (x * scale, plain(1.0 / scale)),
            Self::ConstantNorm => {
                // A zero activation stays zero.
                let norm = x.clone().square().sum_dim(1).clamp_min(1e-24).sqrt();
                let factor = norm / width.sqrt();
                let back = WayBack {
                    factor: Some(factor.clone()),
                    ..plain(1.0)
                };
                (x / factor, back)
            }
            Self::LayerNorm => {
                let mean = x.clone().mean_dim(1);
                let centred = x - mean.clone();
                let variance = centred.clone().square().sum_dim(1) / (width - 1.0);
                let deviation = variance.clamp_min(1e-24).sqrt();
                let y = centred / (deviation.clone() + EPSILON);
                let back = WayBack {
                    factor: Some(deviation),
                    shift: Some(mean),
                    constant: 1.0,
                };
                (y, back)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::floats;

    use super::*;

    fn near(found: Tensor<2>, expected: &[f32]) {
        for (a, b) in floats(found).iter().zip(expected) {
            assert!((a - b).abs() < 1e-4, "{a} is not {b}");
        }
    }

    #[test]
    fn samples_are_normalised_and_come_back() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[3.0, 4.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]], &device);
        let (y, back) = Normalization::ConstantNorm.apply(x.clone());
        near(y.clone().narrow(0, 0, 1), &[1.2, 1.6, 0.0, 0.0]);
        near(back.restore(y) - x.clone(), &[0.0; 8]);
        let (y, back) = Normalization::LayerNorm.apply(x.clone());
        // Mean 2.5, variance 5 / 3.
        let deviation = (5.0f32 / 3.0).sqrt();
        near(
            y.clone().narrow(0, 1, 1),
            &[-1.5 / deviation, -0.5 / deviation, 0.5 / deviation],
        );
        near(back.restore(y) - x.clone(), &[0.0; 8]);
        let (y, back) = Normalization::ExpectedAverage { scale: 2.0 }.apply(x.clone());
        near(y.clone().narrow(0, 0, 1), &[6.0, 8.0]);
        near(back.restore(y) - x, &[0.0; 8]);
        let (y, _) = Normalization::ConstantNorm.apply(Tensor::zeros([1, 3], &device));
        near(y, &[0.0; 3]);
    }
}
