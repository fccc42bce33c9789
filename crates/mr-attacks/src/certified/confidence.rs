//! What a count proves of a probability.

use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::beta::{beta_reg, inv_beta_reg};

/// The one-sided lower confidence bound of a probability (Clopper & Pearson 1934): with probability
/// `1 - alpha` it is below the true one. `successes` of `n` draws; 0 for none.
pub fn lower_confidence(successes: usize, n: usize, alpha: f64) -> f64 {
    if successes == 0 {
        return 0.0;
    }
    if successes >= n {
        return alpha.powf(1.0 / n as f64);
    }
    inv_beta_reg(successes as f64, (n - successes + 1) as f64, alpha)
}

/// The probability that a fair coin lies as far from even as `most` of `n` throws, in either
/// direction.
pub(super) fn coin(most: usize, n: usize) -> f64 {
    if 2 * most <= n {
        return 1.0;
    }
    // P(X >= k) of a binomial is the regularised beta function.
    (2.0 * beta_reg(most as f64, (n - most + 1) as f64, 0.5)).min(1.0)
}

/// The standard normal distribution's quantile.
pub(super) fn quantile(probability: f64) -> f64 {
    let normal = Normal::standard();
    normal.inverse_cdf(probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, reach: f64) {
        assert!((found - expected).abs() < reach, "{found}, not {expected}");
    }

    #[test]
    fn known_bounds() {
        // scipy 1.17.1: beta.ppf(alpha, k, n - k + 1).
        near(lower_confidence(990, 1000, 0.001), 0.976_036_2, 1e-7);
        near(lower_confidence(1, 10, 0.05), 0.005_116_196_891_823_7, 1e-9);
        assert_eq!(lower_confidence(0, 10, 0.05), 0.0);
        near(lower_confidence(10, 10, 0.05), 0.05_f64.powf(0.1), 1e-15);
    }

    #[test]
    fn known_tails() {
        near(coin(8, 10), 2.0 * 56.0 / 1024.0, 1e-12);
        near(coin(10, 10), 2.0 / 1024.0, 1e-12);
        assert_eq!(coin(5, 10), 1.0);
        near(quantile(0.975), 1.959_963_984_540_054, 1e-9);
    }
}
