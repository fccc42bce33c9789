//! Clopper and Pearson's exact interval for a proportion.

use statrs::function::beta::inv_beta_reg;

use super::wilson::trials;
use crate::error::{MetricError, confidence};
use crate::interval::Interval;

/// Clopper and Pearson's (1934) interval of `successes` out of `n`, from quantiles of the beta
/// distribution: never below its level, so wider than Wilson's.
///
/// # Errors
/// If `n` is 0, there are more successes than trials, or the level is not between 0 and 1.
pub fn clopper_pearson(successes: usize, n: usize, level: f64) -> Result<Interval, MetricError> {
    confidence(level)?;
    trials(successes, n)?;
    let (k, failures) = (successes as f64, (n - successes) as f64);
    let tail = (1.0 - level) / 2.0;
    let low = if successes == 0 {
        0.0
    } else {
        inv_beta_reg(k, failures + 1.0, tail)
    };
    let high = if successes == n {
        1.0
    } else {
        inv_beta_reg(k + 1.0, failures, 1.0 - tail)
    };
    Ok(Interval {
        value: k / n as f64,
        low: Some(low),
        high: Some(high),
        level,
        n,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::clopper_pearson;

    #[test]
    fn known_interval() {
        // scipy 1.17.1, tests/golden/statistics.py.
        let [low, high] = clopper_pearson(119, 200, 0.95).unwrap().ends().unwrap();
        assert!((low - 0.523_475_024_716_722_2).abs() < 1e-8, "{low}");
        assert!((high - 0.663_665_169_945_382_8).abs() < 1e-8, "{high}");
    }

    #[test]
    fn no_success_has_a_closed_form() {
        // High end 1 - (alpha / 2)^(1 / n).
        let none = clopper_pearson(0, 10, 0.95).unwrap();
        assert_eq!(none.low, Some(0.0));
        assert!((none.high.unwrap() - (1.0 - 0.025_f64.powf(0.1))).abs() < 1e-9);
        assert_eq!(clopper_pearson(10, 10, 0.95).unwrap().high, Some(1.0));
        assert!(clopper_pearson(0, 0, 0.95).is_err());
    }

    proptest! {
        #[test]
        fn the_interval_holds_its_value(n in 1..2000_usize, part in 0.0..=1.0_f64) {
            let interval = clopper_pearson((part * n as f64) as usize, n, 0.95).unwrap();
            let [low, high] = interval.ends().unwrap();
            prop_assert!(0.0 <= low && low <= interval.value + 1e-9);
            prop_assert!(interval.value <= high + 1e-9 && high <= 1.0);
        }
    }
}
