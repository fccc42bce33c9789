//! Wilson's score interval for a proportion.

use super::normal_quantile;
use crate::error::{MetricError, confidence};
use crate::interval::Interval;

/// Wilson's (1927) score interval of `successes` out of `n`, without continuity correction.
///
/// Keeps its coverage near 0 and 1, where robust accuracies live and the normal interval fails.
///
/// # Errors
/// If `n` is 0, there are more successes than trials, or the level is not between 0 and 1.
pub fn wilson(successes: usize, n: usize, level: f64) -> Result<Interval, MetricError> {
    confidence(level)?;
    trials(successes, n)?;
    let n_real = n as f64;
    let p = successes as f64 / n_real;
    let z = normal_quantile(0.5 + level / 2.0);
    let z2 = z * z;
    let scale = 1.0 + z2 / n_real;
    let middle = (p + z2 / (2.0 * n_real)) / scale;
    let half = z * (p * (1.0 - p) / n_real + z2 / (4.0 * n_real * n_real)).sqrt() / scale;
    // At p = 0 and p = 1 an end is exact; rounding must not move it past the estimate.
    Ok(Interval {
        value: p,
        low: Some((middle - half).clamp(0.0, p)),
        high: Some((middle + half).clamp(p, 1.0)),
        level,
        n,
    })
}

/// Nothing, if a proportion can be made of these counts.
pub(super) fn trials(successes: usize, n: usize) -> Result<(), MetricError> {
    if n == 0 {
        return Err(MetricError::Empty {
            what: "the sample of a proportion".into(),
        });
    }
    if successes > n {
        return Err(MetricError::Setting {
            what: "successes".into(),
            value: successes.to_string(),
            valid: format!("at most the number of trials, {n}"),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::wilson;

    #[test]
    fn known_interval() {
        // scipy 1.17.1, tests/golden/statistics.py.
        let [low, high] = wilson(119, 200, 0.95).unwrap().ends().unwrap();
        assert!((low - 0.525_797_100_813_387).abs() < 1e-9, "{low}");
        assert!((high - 0.660_622_287_174_932_3).abs() < 1e-9, "{high}");
    }

    #[test]
    fn the_ends_are_exact_at_zero_and_one() {
        let none = wilson(0, 10, 0.95).unwrap();
        assert_eq!((none.value, none.low), (0.0, Some(0.0)));
        // z^2 / (n + z^2) with z = 1.959964.
        assert!((none.high.unwrap() - 0.277_532_799).abs() < 1e-6);
        assert_eq!(wilson(10, 10, 0.95).unwrap().high, Some(1.0));
    }

    #[test]
    fn impossible_counts_are_errors() {
        assert!(wilson(0, 0, 0.95).is_err());
        assert!(wilson(3, 2, 0.95).is_err());
        assert!(wilson(1, 2, 1.0).is_err());
        assert!(wilson(1, 2, f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn the_interval_holds_its_value(n in 1..5000_usize, part in 0.0..=1.0_f64, level in 0.5..0.999_f64) {
            let interval = wilson((part * n as f64) as usize, n, level).unwrap();
            let [low, high] = interval.ends().unwrap();
            prop_assert!(0.0 <= low && low <= interval.value);
            prop_assert!(interval.value <= high && high <= 1.0);
        }
    }
}
