//! Mean, median and quantiles.

use crate::error::{MetricError, finite};

/// The arithmetic mean.
///
/// # Errors
/// If there is no value, or one is NaN or infinite.
pub fn mean(values: &[f64]) -> Result<f64, MetricError> {
    finite("the sample of a mean", values)?;
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}

/// The middle value, or the mean of the two middle values.
///
/// # Errors
/// If there is no value, or one is NaN or infinite.
pub fn median(values: &[f64]) -> Result<f64, MetricError> {
    quantile(values, 0.5)
}

/// The value below which a fraction `q` of the sample lies, by linear interpolation between order
/// statistics (Hyndman & Fan 1996, type 7).
///
/// # Errors
/// If there is no value, one is NaN or infinite, or `q` is outside `[0, 1]`.
pub fn quantile(values: &[f64], q: f64) -> Result<f64, MetricError> {
    finite("the sample of a quantile", values)?;
    if !(0.0..=1.0).contains(&q) {
        return Err(MetricError::Setting {
            what: "quantile".into(),
            value: q.to_string(),
            valid: "between 0 and 1".into(),
        });
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Ok(sorted_quantile(&sorted, q))
}

/// [`quantile`] of values that are finite, sorted and at least one.
pub(crate) fn sorted_quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = place.ceil() as usize;
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::{mean, median, quantile};

    #[test]
    fn known_centres() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]).unwrap(), 3.0);
        assert_eq!(median(&[6.0, 1.0, 2.0]).unwrap(), 2.0);
        assert_eq!(median(&[6.0, 1.0, 2.0, 3.0]).unwrap(), 2.5);
        assert_eq!(quantile(&[0.0, 10.0], 0.25).unwrap(), 2.5);
    }

    #[test]
    fn nan_and_nothing_are_errors() {
        assert!(median(&[]).is_err());
        let error = mean(&[1.0, f64::NAN]).unwrap_err();
        assert!(error.to_string().contains("NaN at position 1"), "{error}");
        assert!(quantile(&[1.0], 1.5).is_err());
    }
}
