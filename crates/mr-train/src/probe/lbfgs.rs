//! Minimising a smooth function with its gradient.

use super::design::dot;

/// Pairs of steps and changes of the gradient that are remembered.
const MEMORY: usize = 10;

/// Where a search ended.
#[derive(Debug)]
pub(super) struct Minimum {
    pub(super) at: Vec<f64>,
    pub(super) value: f64,
    pub(super) steps: usize,
    /// Whether the gradient is below the tolerance there.
    pub(super) converged: bool,
}

/// Limited-memory BFGS (Liu & Nocedal 1989; Nocedal & Wright, Numerical Optimization, algorithms 7.4 and
/// 7.5), until the largest entry of the gradient is at most `tolerance`. A step is halved until it lowers
/// the value enough (Armijo); pairs without positive curvature are forgotten, so that the direction is
/// always one of descent. Draws nothing.
pub(super) fn minimize(
    start: Vec<f64>,
    steps: usize,
    tolerance: f64,
    mut of: impl FnMut(&[f64]) -> (f64, Vec<f64>),
) -> Minimum {
    let mut at = start;
    let (mut value, mut gradient) = of(&at);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    let small = |gradient: &[f64]| gradient.iter().all(|g| g.abs() <= tolerance);
    let mut step = 0;
    while step < steps && !small(&gradient) {
        let direction = descent(&gradient, &pairs);
        let slope = dot(&gradient, &direction);
        let mut length = if pairs.is_empty() {
            (1.0 / dot(&gradient, &gradient).sqrt()).min(1.0)
        } else {
            1.0
        };
        let mut next = None;
        for _ in 0..60 {
            let tried: Vec<f64> = at
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + length * d)
                .collect();
            let (lower, there) = of(&tried);
            if lower <= value + 1e-4 * length * slope {
                next = Some((tried, lower, there));
                break;
            }
            length /= 2.0;
        }
        // No lower value along a descent direction: what is left is rounding.
        let Some((tried, lower, there)) = next else {
            break;
        };
        let moved: Vec<f64> = tried.iter().zip(&at).map(|(a, b)| a - b).collect();
        let turned: Vec<f64> = there.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&moved, &turned);
        if curvature > 1e-12 * dot(&turned, &turned).sqrt() * dot(&moved, &moved).sqrt() {
            if pairs.len() == MEMORY {
                pairs.remove(0);
            }
            pairs.push((moved, turned, 1.0 / curvature));
        } else {
            pairs.clear();
        }
        (at, value, gradient) = (tried, lower, there);
        step += 1;
    }
    Minimum {
        converged: small(&gradient),
        at,
        value,
        steps: step,
    }
}

/// Minus the gradient times the inverse Hessian that the pairs tell of: the two-loop recursion.
fn descent(gradient: &[f64], pairs: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let add = |to: &mut [f64], factor: f64, of: &[f64]| {
        for (to, of) in to.iter_mut().zip(of) {
            *to += factor * of;
        }
    };
    let mut alphas = Vec::with_capacity(pairs.len());
    for (moved, turned, inverse) in pairs.iter().rev() {
        let alpha = inverse * dot(moved, &direction);
        add(&mut direction, -alpha, turned);
        alphas.push(alpha);
    }
    if let Some((_, turned, inverse)) = pairs.last() {
        let scale = 1.0 / (inverse * dot(turned, turned));
        for value in &mut direction {
            *value *= scale;
        }
    }
    for ((moved, turned, inverse), alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = inverse * dot(turned, &direction);
        add(&mut direction, alpha - beta, moved);
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::minimize;

    #[test]
    fn a_quadratic_and_rosenbrocks_valley_end_at_their_minimum() {
        // (x - 1)^2 + 100 (y + 2)^2.
        let bowl = |p: &[f64]| {
            let (x, y) = (p[0] - 1.0, p[1] + 2.0);
            (x * x + 100.0 * y * y, vec![2.0 * x, 200.0 * y])
        };
        let found = minimize(vec![0.0, 0.0], 100, 1e-10, bowl);
        assert!(found.converged && found.steps < 30, "{found:?}");
        assert!((found.at[0] - 1.0).abs() < 1e-9 && (found.at[1] + 2.0).abs() < 1e-9);
        let valley = |p: &[f64]| {
            let (a, b) = (1.0 - p[0], p[1] - p[0] * p[0]);
            (
                a * a + 100.0 * b * b,
                vec![-2.0 * a - 400.0 * p[0] * b, 200.0 * b],
            )
        };
        let found = minimize(vec![-1.2, 1.0], 500, 1e-9, valley);
        assert!(found.converged, "{found:?}");
        assert!((found.at[0] - 1.0).abs() < 1e-8 && found.value < 1e-16);
    }

    #[test]
    fn it_stops_after_its_steps_and_says_so() {
        let bowl = |p: &[f64]| (p[0].powi(4), vec![4.0 * p[0].powi(3)]);
        let found = minimize(vec![1.5], 2, 1e-12, bowl);
        assert_eq!((found.steps, found.converged), (2, false));
        assert!(found.value < 0.1, "{found:?}");
    }
}
