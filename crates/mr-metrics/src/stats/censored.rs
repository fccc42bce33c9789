//! Medians of values of which some are only known to be large.

use statrs::function::beta::beta_reg;

use crate::error::{MetricError, confidence};
use crate::interval::Interval;

/// The lower median of values of which some may be infinite (never reached, further than was looked), with the interval
/// that inverts the sign test (Thompson 1936): from the k-th smallest to the k-th largest, with the largest k that is
/// outside in at most `1 - level` of samples, whatever their distribution. It needs no resamples, and infinite values have
/// ranks like any others; an infinite median or end means "further than any that was seen". Below 6 values there is no
/// interval of level 0.95.
///
/// # Errors
/// If there is no value, one is NaN, or the level is not between 0 and 1.
pub fn censored_median(values: &[f64], level: f64) -> Result<Interval, MetricError> {
    confidence(level)?;
    if values.is_empty() {
        return Err(MetricError::Empty {
            what: "the sample of a median".into(),
        });
    }
    if values.iter().any(|value| value.is_nan()) {
        return Err(MetricError::Undefined {
            what: "a median".into(),
            reason: "a value is not a number".into(),
        });
    }
    let n = values.len();
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut interval = Interval::point(sorted[(n - 1) / 2], level, n);
    let tail = (1.0 - level) / 2.0;
    // P(Binomial(n, 1/2) < k), which grows with k.
    let below = |k: usize| beta_reg((n - k + 1) as f64, k as f64, 0.5);
    let outside = (1..=n / 2).take_while(|&k| below(k) <= tail).last();
    if let Some(k) = outside {
        interval.low = Some(sorted[k - 1]);
        interval.high = Some(sorted[n - k]);
    }
    Ok(interval)
}

#[cfg(test)]
mod tests {
    use super::censored_median;

    #[test]
    fn ranks_are_those_of_binomial_tables() {
        // The k of 95 % in tables of the sign test: 1 of 6, 2 of 10, 6 of 20, 18 of 50.
        for (n, k) in [(6, 1), (8, 1), (9, 2), (10, 2), (20, 6), (50, 18)] {
            let values: Vec<f64> = (1..=n).rev().map(f64::from).collect();
            let found = censored_median(&values, 0.95).unwrap();
            assert_eq!(
                found.ends(),
                Some([f64::from(k), f64::from(n + 1 - k)]),
                "{n}"
            );
            assert_eq!(found.value, f64::from((n + 1) / 2));
        }
        assert_eq!(censored_median(&[1.0; 5], 0.95).unwrap().ends(), None);
    }

    #[test]
    fn what_was_never_reached_is_the_largest() {
        let never = f64::INFINITY;
        let values = [never, 0.3, 0.1, never, 0.2, 0.1, 0.4];
        let found = censored_median(&values, 0.95).unwrap();
        assert_eq!((found.value, found.ends()), (0.3, Some([0.1, never])));
        assert_eq!(
            censored_median(&[never, never, 1.0], 0.95).unwrap().value,
            never
        );
        assert!(censored_median(&[], 0.95).is_err());
        assert!(censored_median(&[f64::NAN], 0.95).is_err());
    }
}
