//! Pearson's and Spearman's correlation.

use crate::error::{MetricError, finite, same_length};

/// Pearson's product-moment correlation, in `[-1, 1]`.
///
/// # Errors
/// If the samples differ in length or hold fewer than two values, a value is NaN or infinite, or a
/// sample is constant.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<f64, MetricError> {
    same_length("the two samples of a correlation", x.len(), y.len())?;
    finite("the first sample of a correlation", x)?;
    finite("the second sample of a correlation", y)?;
    if x.len() < 2 {
        return Err(undefined("it needs at least two points"));
    }
    let centred = |values: &[f64]| -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| value - mean).collect()
    };
    let (x, y) = (scaled(centred(x)), scaled(centred(y)));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let product = (dot(&x, &x) * dot(&y, &y)).sqrt();
    if product == 0.0 {
        return Err(undefined("a sample is constant"));
    }
    Ok((dot(&x, &y) / product).clamp(-1.0, 1.0))
}

/// Divides by the largest magnitude, so that squares neither vanish nor overflow.
fn scaled(mut values: Vec<f64>) -> Vec<f64> {
    let largest = values.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    if largest > 0.0 {
        for value in &mut values {
            *value /= largest;
        }
    }
    values
}

/// Spearman's rank correlation: Pearson's correlation of the [`ranks`], which is right under ties.
///
/// # Errors
/// As [`pearson`].
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64, MetricError> {
    finite("the first sample of a rank correlation", x)?;
    finite("the second sample of a rank correlation", y)?;
    pearson(&ranks(x), &ranks(y))
}

/// Ranks from 1; tied values share the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let tied = order[start..]
            .iter()
            .take_while(|&&index| values[index] == values[order[start]])
            .count()
            .max(1);
        // Ranks start + 1 ..= start + tied.
        let shared = start as f64 + (tied + 1) as f64 / 2.0;
        for &index in &order[start..start + tied] {
            ranks[index] = shared;
        }
        start += tied;
    }
    ranks
}

fn undefined(reason: &str) -> MetricError {
    MetricError::Undefined {
        what: "a correlation".into(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::{pearson, ranks, spearman};

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(ranks(&[10.0, 20.0, 10.0, 30.0]), [1.5, 3.0, 1.5, 4.0]);
        assert!(ranks(&[]).is_empty());
    }

    #[test]
    fn known_correlations() {
        let x = [1.0, 2.0, 3.0, 4.0];
        assert!((pearson(&x, &[3.0, 5.0, 7.0, 9.0]).unwrap() - 1.0).abs() < 1e-12);
        // Deviations (-1.5, -.5, .5, 1.5) and (-1, 1, -1, 1): 2 / sqrt(5 * 4).
        let r = pearson(&x, &[1.0, 3.0, 1.0, 3.0]).unwrap();
        assert!((r - 2.0 / 20.0_f64.sqrt()).abs() < 1e-12);
        // Monotone, not linear.
        assert!((spearman(&x, &[0.1, 0.2, 5.0, 900.0]).unwrap() - 1.0).abs() < 1e-12);
        // scipy 1.17.1, tests/golden/statistics.py.
        let rho = spearman(&[1.0, 2.0, 2.0, 4.0], &[4.0, 3.0, 2.0, 1.0]).unwrap();
        assert!((rho + 0.948_683_298_050_513_7).abs() < 1e-12);
    }

    #[test]
    fn constant_short_and_nan_samples_are_errors() {
        assert!(pearson(&[1.0, 1.0], &[1.0, 2.0]).is_err());
        assert!(pearson(&[1.0], &[1.0]).is_err());
        assert!(pearson(&[1.0, 2.0], &[1.0]).is_err());
        assert!(spearman(&[1.0, f64::NAN], &[1.0, 2.0]).is_err());
        assert!((pearson(&[1e-200, 2e-200], &[1e200, 2e200]).unwrap() - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn correlations_stay_in_range_and_ignore_scale(
            points in prop::collection::vec((-1e3..1e3_f64, -1e3..1e3_f64), 3..20)
        ) {
            let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
            if let Ok(r) = pearson(&x, &y) {
                prop_assert!((-1.0..=1.0).contains(&r));
                let moved: Vec<f64> = x.iter().map(|x| 3.0 * x + 7.0).collect();
                prop_assert!((pearson(&moved, &y).unwrap() - r).abs() < 1e-6);
                let cubed: Vec<f64> = x.iter().map(|x| x.powi(3)).collect();
                let rho = spearman(&x, &y).unwrap();
                prop_assert!((spearman(&cubed, &y).unwrap() - rho).abs() < 1e-9);
            }
        }
    }
}
