//! Statistics over seeds and over examples. Every function refuses NaN and empty samples.

mod bca;
mod censored;
mod centre;
mod clopper_pearson;
mod correlation;
mod holm;
mod permutation;
mod wilson;

pub use bca::{Bootstrap, bca, bca_mean, bca_over};
pub use censored::censored_median;
pub use centre::{mean, median, quantile};
pub use clopper_pearson::clopper_pearson;
pub use correlation::{pearson, ranks, spearman};
pub use holm::holm;
pub use permutation::{association_p, difference_p};
pub use wilson::wilson;

/// Quantile function of the standard normal distribution.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    std::f64::consts::SQRT_2 * statrs::function::erf::erf_inv(2.0 * p - 1.0)
}
