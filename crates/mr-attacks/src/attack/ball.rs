//! Changes brought into balls, one row at a time and without the box: what FMN does at every step.

use crate::threat::Norm;

/// The nearest change in a ball around 0; for L0 the largest coordinates stay, of equal ones the first.
pub(super) fn into_ball(norm: Norm, change: &mut [f32], radius: f32) {
    match norm {
        Norm::Linf => change
            .iter_mut()
            .for_each(|c| *c = c.clamp(-radius, radius)),
        Norm::L2 => {
            let square: f64 = change.iter().map(|&c| f64::from(c) * f64::from(c)).sum();
            let size = square.sqrt() as f32;
            if size > radius {
                for c in change {
                    *c *= radius / size;
                }
            }
        }
        Norm::L1 => {
            let amount = common_shrink(change, f64::from(radius));
            if amount > 0.0 {
                for c in change {
                    *c = c.signum() * (f64::from(c.abs()) - amount).max(0.0) as f32;
                }
            }
        }
        Norm::L0 => largest(change, radius as usize),
    }
}

/// By how much every coordinate must shrink, to no less than 0, for their sum to be `total` at most:
/// Newton's method on a convex function, from below (Michelot 1986), which ends at the exact amount.
fn common_shrink(change: &[f32], total: f64) -> f64 {
    let mut amount = 0.0;
    let mut before = usize::MAX;
    loop {
        let (mut sum, mut count) = (0.0, 0usize);
        for size in change.iter().map(|c| f64::from(c.abs())) {
            if size > amount {
                sum += size;
                count += 1;
            }
        }
        if count == 0 || count == before {
            return amount;
        }
        let next = (sum - total) / count as f64;
        if next <= amount {
            return amount;
        }
        (amount, before) = (next, count);
    }
}

fn largest(change: &mut [f32], count: usize) {
    if count >= change.len() {
        return;
    }
    let mut sizes: Vec<f32> = change.iter().map(|c| c.abs()).collect();
    let (_, &mut least, _) = sizes.select_nth_unstable_by(count, |a, b| b.total_cmp(a));
    // Larger than the first that has to go; of those equal to it as many as there is room for.
    let above = change.iter().filter(|c| c.abs() > least).count();
    let mut room = count - above;
    for c in change {
        if c.abs() > least {
            continue;
        }
        if c.abs() == least && room > 0 {
            room -= 1;
        } else {
            *c = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attack::nearest::length;

    fn brought(norm: Norm, change: &[f32], radius: f32) -> Vec<f32> {
        let mut change = change.to_vec();
        into_ball(norm, &mut change, radius);
        change
    }

    #[test]
    fn by_hand() {
        let change = [3.0, -4.0, 0.0, 1.0];
        assert_eq!(brought(Norm::Linf, &change, 2.0), [2.0, -2.0, 0.0, 1.0]);
        assert_eq!(brought(Norm::L1, &change, 3.0), [1.0, -2.0, 0.0, 0.0]);
        assert_eq!(brought(Norm::L0, &change, 2.0), [3.0, -4.0, 0.0, 0.0]);
        assert_eq!(brought(Norm::L0, &[1.0, -1.0, 1.0], 2.0), [1.0, -1.0, 0.0]);
        assert_eq!(brought(Norm::L2, &[3.0, -4.0], 2.5), [1.5, -2.0]);
        for norm in [Norm::Linf, Norm::L2, Norm::L1, Norm::L0] {
            assert_eq!(brought(norm, &change, 0.0), [0.0; 4], "{norm}");
            assert_eq!(brought(norm, &change, f32::INFINITY), change, "{norm}");
        }
    }

    proptest! {
        /// In the ball, unchanged by a second time, and no further away than any other change in the ball.
        #[test]
        fn nearest(change in prop::collection::vec(-2.0f32..2.0, 6), other in prop::collection::vec(-2.0f32..2.0, 6), radius in 0.01f32..4.0) {
            let apart = |a: &[f32], b: &[f32]| length(Norm::L2, a.iter().zip(b).map(|(a, b)| a - b));
            for norm in [Norm::Linf, Norm::L2, Norm::L1] {
                let near = brought(norm, &change, radius);
                let size = length(norm, near.iter().copied());
                prop_assert!(size <= radius * (1.0 + 1e-6), "{norm}: {size}");
                let again = brought(norm, &near, radius);
                prop_assert!(apart(&again, &near) < 1e-6);
                let scale = (radius / length(norm, other.iter().copied()).max(1e-6)).min(1.0);
                let inside: Vec<f32> = other.iter().map(|o| o * scale).collect();
                prop_assert!(apart(&near, &change) <= apart(&inside, &change) + 1e-5, "{norm}");
            }
        }
    }
}
