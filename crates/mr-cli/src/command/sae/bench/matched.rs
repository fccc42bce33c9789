//! Which coefficient of sparsity gives which L0.

use anyhow::{Result, bail};

/// The coefficient at which L0 is what is wanted, between those that were tried: `(coefficient, L0)`. L0 falls as a power of
/// the coefficient between two neighbours. The nearest end, and `false`, where the wanted one is not between any.
pub(super) fn coefficient(tried: &[(f64, f64)], wanted: f64) -> Result<(f64, bool)> {
    let crossing = tried.windows(2).find(|pair| {
        let [(_, above), (_, below)] = [pair[0], pair[1]];
        above >= wanted && below <= wanted && below > 0.0
    });
    if let Some(pair) = crossing {
        let [(left, above), (right, below)] = [pair[0], pair[1]];
        let share = if above > below {
            (above / wanted).ln() / (above / below).ln()
        } else {
            0.0
        };
        return Ok((left * (right / left).powf(share), true));
    }
    let distance = |l0: f64| (l0.max(1e-9) / wanted).ln().abs();
    let nearest = tried
        .iter()
        .min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)));
    match nearest {
        Some(&(coefficient, _)) => Ok((coefficient, false)),
        None => bail!("no coefficient was tried"),
    }
}

/// So many coefficients from the first to the last, each the same factor from the next.
pub(super) fn grid([first, last]: [f64; 2], count: usize) -> Vec<f64> {
    let step = |at: usize| at as f64 / count.saturating_sub(1).max(1) as f64;
    (0..count)
        .map(|at| first * (last / first).powf(step(at)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_coefficients_l0_is_a_power() {
        // L0 = 4 / c.
        let tried = [(0.5, 8.0), (1.0, 4.0), (4.0, 1.0)];
        let (found, between) = coefficient(&tried, 2.0).unwrap();
        assert!(between && (found - 2.0).abs() < 1e-12);
        assert_eq!(coefficient(&tried, 4.0).unwrap(), (1.0, true));
        assert_eq!(coefficient(&tried, 20.0).unwrap(), (0.5, false));
        assert_eq!(coefficient(&tried, 0.5).unwrap(), (4.0, false));
        assert!(coefficient(&[], 1.0).is_err());
    }

    #[test]
    fn grids_have_equal_factors() {
        let found = grid([0.1, 10.0], 3);
        for (found, expected) in found.iter().zip([0.1, 1.0, 10.0]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert_eq!(grid([0.1, 10.0], 1), [0.1]);
    }
}
