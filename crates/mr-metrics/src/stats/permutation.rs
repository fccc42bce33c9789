//! Permutation tests: how often chance alone gives a statistic this extreme.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::{MetricError, finite, same_length};

/// Up to this many points every permutation is tried: 8! = 40,320.
const EXACT_POINTS: usize = 8;
/// Up to this many splits of two pooled groups every split is tried: C(18, 9) = 48,620.
const EXACT_SPLITS: u128 = 50_000;
/// Rounding must not make a permutation that ties with the data look less extreme.
const TIE: f64 = 1e-12;

/// Two-sided p value of an association between paired samples, such as a correlation: the share
/// of permutations of `y` with a statistic at least as large in magnitude.
///
/// Exact (all permutations) up to 8 points; beyond, `resamples` random ones, and then
/// `(k + 1) / (resamples + 1)` (Phipson & Smyth 2010), which is never 0. Permutations on which the
/// statistic is NaN do not count as extreme.
///
/// # Errors
/// If the samples differ in length, are empty or hold NaN, or the statistic of the data is NaN.
pub fn association_p(
    x: &[f64],
    y: &[f64],
    statistic: impl Fn(&[f64], &[f64]) -> f64,
    resamples: usize,
    seed: u64,
) -> Result<f64, MetricError> {
    same_length("the two samples of an association", x.len(), y.len())?;
    finite("the first sample of an association", x)?;
    finite("the second sample of an association", y)?;
    let observed = statistic(x, y).abs();
    defined(observed)?;
    let extreme = |shuffled: &[f64]| statistic(x, shuffled).abs() >= observed - TIE;
    let mut shuffled = y.to_vec();
    if y.len() <= EXACT_POINTS {
        let (mut hits, mut all) = (0_u64, 0_u64);
        permutations(&mut shuffled, y.len(), &mut |permuted| {
            hits += u64::from(extreme(permuted));
            all += 1;
        });
        return Ok(hits as f64 / all as f64);
    }
    Ok(monte_carlo(&mut shuffled, extreme, resamples, seed))
}

/// Two-sided p value of a difference between the means of two independent groups: the share of
/// ways to split the pooled values into groups of these sizes with a difference at least as large.
///
/// Exact up to 50,000 splits; beyond, `resamples` random ones as in [`association_p`].
///
/// # Errors
/// If a group is empty or holds NaN.
pub fn difference_p(a: &[f64], b: &[f64], resamples: usize, seed: u64) -> Result<f64, MetricError> {
    finite("the first group of a difference", a)?;
    finite("the second group of a difference", b)?;
    let mut pooled = [a, b].concat();
    let total: f64 = pooled.iter().sum();
    let (size, rest) = (a.len() as f64, b.len() as f64);
    let difference = |sum: f64| (sum / size - (total - sum) / rest).abs();
    let observed = difference(a.iter().sum());
    let tie = TIE * (1.0 + observed);
    if splits(pooled.len(), a.len()) <= EXACT_SPLITS {
        let (mut hits, mut all) = (0_u64, 0_u64);
        subset_sums(&pooled, a.len(), 0.0, &mut |sum| {
            hits += u64::from(difference(sum) >= observed - tie);
            all += 1;
        });
        return Ok(hits as f64 / all as f64);
    }
    let extreme = |shuffled: &[f64]| difference(shuffled[..a.len()].iter().sum()) >= observed - tie;
    Ok(monte_carlo(&mut pooled, extreme, resamples, seed))
}

fn monte_carlo(
    values: &mut [f64],
    extreme: impl Fn(&[f64]) -> bool,
    resamples: usize,
    seed: u64,
) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut hits = 0_usize;
    for _ in 0..resamples {
        values.shuffle(&mut rng);
        hits += usize::from(extreme(values));
    }
    (hits + 1) as f64 / (resamples + 1) as f64
}

/// Calls `visit` with every permutation of the first `k` values (Heap 1963).
fn permutations(values: &mut [f64], k: usize, visit: &mut impl FnMut(&[f64])) {
    if k <= 1 {
        return visit(values);
    }
    for i in 0..k {
        permutations(values, k - 1, visit);
        if i + 1 < k {
            values.swap(if k.is_multiple_of(2) { i } else { 0 }, k - 1);
        }
    }
}

/// Calls `visit` with the sum of every subset of `size` values.
fn subset_sums(values: &[f64], size: usize, sum: f64, visit: &mut impl FnMut(f64)) {
    if size == 0 {
        return visit(sum);
    }
    for first in 0..=values.len() - size {
        subset_sums(&values[first + 1..], size - 1, sum + values[first], visit);
    }
}

/// n choose k, saturating.
fn splits(n: usize, k: usize) -> u128 {
    (0..k.min(n - k) as u128).fold(1_u128, |ways, i| {
        ways.saturating_mul(n as u128 - i) / (i + 1)
    })
}

fn defined(statistic: f64) -> Result<(), MetricError> {
    if statistic.is_nan() {
        return Err(MetricError::Undefined {
            what: "a permutation test".into(),
            reason: "its statistic is NaN on the data".into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::{association_p, difference_p, splits};
    use crate::stats::{pearson, spearman};

    fn rho(x: &[f64], y: &[f64]) -> f64 {
        spearman(x, y).unwrap_or(f64::NAN)
    }

    #[test]
    fn a_perfect_order_of_four_has_p_one_in_twelve() {
        // Of 4! = 24 orders only the rising and the falling one are this extreme.
        let p = association_p(&[1.0, 2.0, 3.0, 4.0], &[1.0, 4.0, 9.0, 16.0], rho, 0, 0).unwrap();
        assert!((p - 2.0 / 24.0).abs() < 1e-12);
    }

    #[test]
    fn every_permutation_is_as_extreme_as_a_null_effect() {
        let zero = association_p(&[1.0, 2.0, 3.0, 4.0], &[1.0, -1.0, -1.0, 1.0], rho, 0, 0);
        assert_eq!(zero.unwrap(), 1.0);
    }

    #[test]
    fn many_points_are_sampled_and_never_have_p_zero() {
        let x: Vec<f64> = (0..30).map(f64::from).collect();
        let p = association_p(&x, &x, rho, 999, 7).unwrap();
        assert_eq!(p, 1.0 / 1000.0);
        assert_eq!(association_p(&x, &x, rho, 999, 7).unwrap(), p);
    }

    #[test]
    fn exact_and_sampled_agree() {
        let x = [0.3, 1.2, 2.2, 2.9, 4.1, 5.0, 6.3, 7.7];
        let y = [1.0, 0.2, 2.5, 1.9, 3.0, 2.8, 5.0, 3.9];
        let r = |x: &[f64], y: &[f64]| pearson(x, y).unwrap_or(f64::NAN);
        let exact = association_p(&x, &y, r, 0, 0).unwrap();
        let mut shuffled = y.to_vec();
        let observed = r(&x, &y).abs();
        let sampled = super::monte_carlo(&mut shuffled, |y| r(&x, y).abs() >= observed, 40_000, 1);
        assert!((exact - sampled).abs() < 0.002, "{exact} {sampled}");
    }

    #[test]
    fn two_separate_groups_of_three_have_p_one_in_ten() {
        // C(6, 3) = 20 splits, two of which are as far apart.
        let p = difference_p(&[1.0, 2.0, 3.0], &[7.0, 8.0, 9.0], 0, 0).unwrap();
        assert!((p - 0.1).abs() < 1e-12);
        assert_eq!(splits(6, 3), 20);
        let null = difference_p(&[1.0, 3.0], &[2.0, 2.0], 0, 0).unwrap();
        assert_eq!(null, 1.0);
    }

    #[test]
    fn nan_and_nothing_are_errors() {
        assert!(association_p(&[1.0, f64::NAN], &[1.0, 2.0], rho, 9, 0).is_err());
        assert!(association_p(&[1.0, 1.0], &[1.0, 2.0], rho, 9, 0).is_err());
        assert!(difference_p(&[], &[1.0], 9, 0).is_err());
    }

    proptest! {
        #[test]
        fn p_values_are_probabilities_and_symmetric_in_the_groups(
            a in prop::collection::vec(-5.0..5.0_f64, 1..12),
            b in prop::collection::vec(-5.0..5.0_f64, 1..12),
        ) {
            let p = difference_p(&a, &b, 50, 3).unwrap();
            prop_assert!(p > 0.0 && p <= 1.0);
            if splits(a.len() + b.len(), a.len()) <= super::EXACT_SPLITS {
                prop_assert!((difference_p(&b, &a, 50, 3).unwrap() - p).abs() < 1e-12);
            }
        }
    }
}
