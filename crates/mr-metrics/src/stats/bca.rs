//! Bias-corrected and accelerated bootstrap intervals (Efron 1987, "Better Bootstrap Confidence
//! Intervals").

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::centre::sorted_quantile;
use super::normal_quantile;
use crate::error::{MetricError, confidence, finite};
use crate::interval::Interval;

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bootstrap {
    /// Number of resamples.
    pub resamples: usize,
    /// Seed of the resampling: the same seed gives the same interval.
    pub seed: u64,
    /// Confidence level.
    pub level: f64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            resamples: 10_000,
            seed: 0,
            level: 0.95,
        }
    }
}

impl Bootstrap {
    /// Itself, if its settings can be used.
    ///
    /// # Errors
    /// [`MetricError::Setting`] for no resamples, or a level that is not between 0 and 1.
    pub fn checked(self) -> Result<Self, MetricError> {
        confidence(self.level)?;
        if self.resamples == 0 {
            return Err(MetricError::Setting {
                what: "resamples".into(),
                value: "0".into(),
                valid: "at least 1".into(),
            });
        }
        Ok(self)
    }
}

/// The BCa interval of a statistic of one sample, such as the mean over seeds.
///
/// One value has no interval; a sample of equal values has an interval of width 0.
///
/// # Errors
/// If there is no value, one is NaN or infinite, or the statistic of the sample is.
pub fn bca(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    bootstrap: Bootstrap,
) -> Result<Interval, MetricError> {
    finite("a bootstrapped sample", values)?;
    bca_over(
        &[values.len()],
        |drawn| {
            let sample: Vec<f64> = drawn[0].iter().map(|&index| values[index]).collect();
            statistic(&sample)
        },
        bootstrap,
    )
}

/// The BCa interval of the mean.
///
/// # Errors
/// As [`bca`].
pub fn bca_mean(values: &[f64], bootstrap: Bootstrap) -> Result<Interval, MetricError> {
    bca(
        values,
        |values| values.iter().sum::<f64>() / values.len() as f64,
        bootstrap,
    )
}

/// The BCa interval of a statistic of several independent groups of units, which are resampled
/// within each group: `statistic` gets for each group the indices that were drawn.
///
/// Two groups give the interval of a difference; units that own several points give a cluster
/// bootstrap. `n` of the interval is the number of units of the smallest group. The acceleration of
/// several groups is that of their pooled influence values (Davison & Hinkley 1997, eq. 5.33).
///
/// Resamples on which the statistic is undefined (not finite) are left out; there is no interval
/// when they are more than half, or when no group has two units.
///
/// # Errors
/// If a group is empty, or the statistic of the whole sample is not finite.
pub fn bca_over(
    groups: &[usize],
    statistic: impl Fn(&[Vec<usize>]) -> f64,
    bootstrap: Bootstrap,
) -> Result<Interval, MetricError> {
    let bootstrap = bootstrap.checked()?;
    let n = groups.iter().copied().min().unwrap_or(0);
    if n == 0 {
        return Err(MetricError::Empty {
            what: "a bootstrapped sample".into(),
        });
    }
    let whole: Vec<Vec<usize>> = groups.iter().map(|&size| (0..size).collect()).collect();
    let value = statistic(&whole);
    if !value.is_finite() {
        return Err(MetricError::Undefined {
            what: "a bootstrapped statistic".into(),
            reason: format!("it is {value} on the whole sample"),
        });
    }
    let mut interval = Interval::point(value, bootstrap.level, n);
    if groups.iter().all(|&size| size < 2) {
        return Ok(interval);
    }
    let resampled = resample(groups, &statistic, bootstrap);
    if resampled.len() * 2 < bootstrap.resamples {
        return Ok(interval);
    }

    let below = resampled.iter().filter(|&&other| other < value).count() as f64;
    let equal = resampled.iter().filter(|&&other| other == value).count() as f64;
    // A value beyond every resample would have an infinite bias; half a resample keeps it finite.
    let half = 0.5 / resampled.len() as f64;
    let rank = ((below + 0.5 * equal) / resampled.len() as f64).clamp(half, 1.0 - half);
    let bias = normal_quantile(rank);
    let acceleration = acceleration(&whole, &statistic);
    let end = |p: f64| {
        let reach = bias + normal_quantile(p);
        let shrink = 1.0 - acceleration * reach;
        // Past the pole of the correction the limit is the sample's own extreme.
        let adjusted = if shrink <= 0.0 {
            f64::from(u8::from(reach > 0.0))
        } else {
            normal_cdf(bias + reach / shrink)
        };
        sorted_quantile(&resampled, adjusted)
    };
    interval.low = Some(end(0.5 - bootstrap.level / 2.0));
    interval.high = Some(end(0.5 + bootstrap.level / 2.0));
    Ok(interval)
}

/// The statistic of every resample on which it is finite, sorted.
fn resample(
    groups: &[usize],
    statistic: &impl Fn(&[Vec<usize>]) -> f64,
    bootstrap: Bootstrap,
) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(bootstrap.seed);
    let mut drawn: Vec<Vec<usize>> = groups.iter().map(|&size| vec![0; size]).collect();
    let mut resampled = Vec::with_capacity(bootstrap.resamples);
    for _ in 0..bootstrap.resamples {
        for (indices, &size) in drawn.iter_mut().zip(groups) {
            for index in indices {
                *index = rng.random_range(0..size);
            }
        }
        resampled.push(statistic(&drawn));
    }
    resampled.retain(|value| value.is_finite());
    resampled.sort_by(f64::total_cmp);
    resampled
}

/// Efron's acceleration from the jackknife: the skewness of the influence of single units. 0 where
/// the jackknife is undefined.
fn acceleration(whole: &[Vec<usize>], statistic: &impl Fn(&[Vec<usize>]) -> f64) -> f64 {
    let (mut squares, mut cubes) = (0.0, 0.0);
    let mut left = whole.to_vec();
    for group in 0..whole.len() {
        let size = whole[group].len();
        if size < 2 {
            continue;
        }
        let without: Vec<f64> = (0..size)
            .map(|unit| {
                left[group] = (0..size).filter(|&other| other != unit).collect();
                statistic(&left)
            })
            .collect();
        left[group].clone_from(&whole[group]);
        let mean = without.iter().sum::<f64>() / size as f64;
        let weight = (size - 1) as f64 / size as f64;
        for value in without {
            let influence = weight * (mean - value);
            squares += influence.powi(2);
            cubes += influence.powi(3);
        }
    }
    let acceleration = cubes / (6.0 * squares.powf(1.5));
    if acceleration.is_finite() {
        acceleration
    } else {
        0.0
    }
}

fn normal_cdf(x: f64) -> f64 {
    0.5 * statrs::function::erf::erfc(-x / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::{Bootstrap, bca, bca_over};
    use crate::stats::spearman;

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn agrees_with_scipy() {
        let sample = [0.2, 0.5, 0.9, 1.4, 2.0, 3.1, 5.5, 9.0];
        let many = Bootstrap {
            resamples: 200_000,
            ..Bootstrap::default()
        };
        let [low, high] = bca(&sample, mean, many).unwrap().ends().unwrap();
        // scipy 1.17.1, tests/golden/statistics.py, with a million resamples; the tolerance is some
        // Monte Carlo standard errors of an end at 200,000 resamples.
        assert!((low - 1.3375).abs() < 0.02, "{low}");
        assert!((high - 5.55).abs() < 0.06, "{high}");
    }

    #[test]
    fn the_difference_of_two_groups_agrees_with_scipy() {
        let a = [2.1, 2.5, 3.9, 4.4, 7.0];
        let b = [0.5, 1.5, 1.0, 1.1, 0.2, 2.0];
        let many = Bootstrap {
            resamples: 200_000,
            ..Bootstrap::default()
        };
        let pick = |values: &[f64], drawn: &[usize]| -> Vec<f64> {
            drawn.iter().map(|&index| values[index]).collect()
        };
        let difference =
            |drawn: &[Vec<usize>]| mean(&pick(&a, &drawn[0])) - mean(&pick(&b, &drawn[1]));
        let interval = bca_over(&[a.len(), b.len()], difference, many).unwrap();
        let [low, high] = interval.ends().unwrap();
        assert_eq!(interval.n, 5);
        // scipy 1.17.1, tests/golden/statistics.py.
        assert!((low - 1.6133).abs() < 0.03, "{low}");
        assert!((high - 4.86).abs() < 0.05, "{high}");
    }

    #[test]
    fn one_value_has_no_interval_and_equal_values_have_no_width() {
        let one = bca(&[3.0], mean, Bootstrap::default()).unwrap();
        assert_eq!((one.value, one.ends(), one.n), (3.0, None, 1));
        let equal = bca(&[2.0; 5], mean, Bootstrap::default()).unwrap();
        assert_eq!(equal.ends(), Some([2.0, 2.0]));
    }

    #[test]
    fn undefined_resamples_are_left_out() {
        let (x, y) = ([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0]);
        let rho = |drawn: &[Vec<usize>]| {
            let of = |values: &[f64]| drawn[0].iter().map(|&i| values[i]).collect::<Vec<_>>();
            spearman(&of(&x), &of(&y)).unwrap_or(f64::NAN)
        };
        let interval = bca_over(&[5], rho, Bootstrap::default()).unwrap();
        assert!((interval.value - 0.8).abs() < 1e-12);
        let [low, high] = interval.ends().unwrap();
        assert!(low < 0.8 && (0.8..=1.0).contains(&high));
    }

    #[test]
    fn nan_nothing_and_bad_settings_are_errors() {
        assert!(bca(&[1.0, f64::NAN], mean, Bootstrap::default()).is_err());
        assert!(bca(&[], mean, Bootstrap::default()).is_err());
        assert!(bca(&[1.0, 2.0], |_| f64::NAN, Bootstrap::default()).is_err());
        let none = Bootstrap {
            resamples: 0,
            ..Bootstrap::default()
        };
        assert!(bca(&[1.0, 2.0], mean, none).is_err());
    }

    proptest! {
        #[test]
        fn the_interval_lies_within_the_sample_and_repeats(
            values in prop::collection::vec(-100.0..100.0_f64, 2..12), seed in 0..100_u64
        ) {
            let few = Bootstrap { resamples: 200, seed, level: 0.9 };
            let interval = bca(&values, mean, few).unwrap();
            let [low, high] = interval.ends().unwrap();
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(least - 1e-9 <= low && low <= high && high <= most + 1e-9);
            prop_assert!(bca(&values, mean, few).unwrap() == interval);
        }
    }
}
