//! Correction for several tests at once.

use crate::error::{MetricError, finite};

/// Holm's (1979) step-down adjustment: p values, in the given order, that may be compared with the
/// level of the whole family. Holds under any dependence between the tests.
///
/// # Errors
/// If there is no p value or one is outside `[0, 1]`.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, MetricError> {
    finite("a family of p values", p_values)?;
    if let Some(bad) = p_values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(MetricError::Setting {
            what: "a p value".into(),
            value: bad.to_string(),
            valid: "between 0 and 1".into(),
        });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut running = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        let scaled = p_values[index] * (p_values.len() - rank) as f64;
        running = running.max(scaled.min(1.0));
        adjusted[index] = running;
    }
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::holm;

    #[test]
    fn known_adjustment() {
        // Sorted: .005 * 4, .01 * 3, .03 * 2, then .04 is held up to .06.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]).unwrap();
        for (got, want) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((got - want).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.2]).unwrap(), [0.2]);
    }

    #[test]
    fn p_values_outside_the_unit_interval_are_errors() {
        assert!(holm(&[]).is_err());
        assert!(holm(&[1.2]).is_err());
        assert!(holm(&[f64::NAN]).is_err());
    }

    proptest! {
        #[test]
        fn adjusting_never_lowers_a_p_value(p in prop::collection::vec(0.0..=1.0_f64, 1..20)) {
            for (before, after) in p.iter().zip(holm(&p).unwrap()) {
                prop_assert!(after >= *before && after <= 1.0);
            }
        }
    }
}
