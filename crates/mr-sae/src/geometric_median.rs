//! The point of least total distance.

/// The point whose distances to samples `[sample, channel]` sum to the least, by Weiszfeld's iteration
/// (1937): the weighted mean with inverse distances as weights, from the mean on, until the sum falls
/// by less than `1e-6` of itself or for 100 rounds. Unlike the mean it stays where most samples are. Sums
/// are in double precision.
///
/// # Panics
/// If there is no sample, or values do not fill whole samples.
pub fn geometric_median(samples: &[f32], channels: usize) -> Vec<f32> {
    assert!(
        channels > 0 && !samples.is_empty() && samples.len().is_multiple_of(channels),
        "{} values are not one or more samples of {channels} channels",
        samples.len()
    );
    let count = (samples.len() / channels) as f64;
    let mut point = vec![0.0f64; channels];
    for sample in samples.chunks(channels) {
        for (sum, &value) in point.iter_mut().zip(sample) {
            *sum += f64::from(value) / count;
        }
    }
    let mut before = f64::INFINITY;
    for _ in 0..100 {
        let (mut total, mut weights) = (0.0, 0.0);
        let mut next = vec![0.0f64; channels];
        for sample in samples.chunks(channels) {
            let squares = sample.iter().zip(&point);
            let squares = squares.map(|(&value, at)| (f64::from(value) - at).powi(2));
            let distance = squares.sum::<f64>().sqrt();
            // At a sample the weight would be infinite: it stays finite and the sample wins.
            let weight = 1.0 / distance.max(1e-9);
            total += distance;
            weights += weight;
            for (sum, &value) in next.iter_mut().zip(sample) {
                *sum += weight * f64::from(value);
            }
        }
        if before - total <= 1e-6 * total {
            break;
        }
        before = total;
        point = next.into_iter().map(|sum| sum / weights).collect();
    }
    point.into_iter().map(|value| value as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_does_not_move_it() {
        // Four corners of a square and a far point: the mean is (20.4, 20.4).
        let mut samples = vec![0.0, 0.0, 2.0, 0.0, 0.0, 2.0, 2.0, 2.0, 98.0, 98.0];
        let median = geometric_median(&samples, 2);
        assert!(median.iter().all(|v| (1.0..1.6).contains(v)), "{median:?}");
        samples.truncate(8);
        let median = geometric_median(&samples, 2);
        assert!(median.iter().all(|v| (v - 1.0).abs() < 1e-3), "{median:?}");
    }

    #[test]
    fn on_a_line_it_is_the_median() {
        let median = geometric_median(&[0.0, 1.0, 10.0], 1);
        assert!((median[0] - 1.0).abs() < 0.05, "{median:?}");
        assert_eq!(geometric_median(&[3.0, 4.0], 2), [3.0, 4.0]);
    }
}
