//! Multinomial logistic regression.

use super::design::{Design, dot};
use super::lbfgs::{Minimum, minimize};

/// Weights `[output, feature]` and biases that minimise the mean cross-entropy plus `lambda / 2 |W|^2`
/// (scikit-learn's C is `1 / (n lambda)`), by L-BFGS over all samples at once. The bias is not penalised.
pub(super) fn logistic(
    design: &Design,
    labels: &[usize],
    outputs: usize,
    lambda: f64,
    steps: usize,
    tolerance: f64,
) -> (Vec<f64>, Vec<f64>, Minimum) {
    let width = design.width;
    let n = design.rows().max(1) as f64;
    let weights = outputs * width;
    let of = |at: &[f64]| {
        let (w, b) = at.split_at(weights);
        // Behind the gradient, the loss.
        let mut sums = design.summed(at.len() + 1, |rows, sums| {
            let mut shares = vec![0.0; outputs];
            for row in rows {
                let x = design.row(row);
                for (output, share) in shares.iter_mut().enumerate() {
                    *share = dot(&w[output * width..(output + 1) * width], x) + b[output];
                }
                let largest = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let own = shares[labels[row]];
                let mut total = 0.0;
                for share in &mut shares {
                    *share = (*share - largest).exp();
                    total += *share;
                }
                sums[at.len()] += largest + total.ln() - own;
                for (output, share) in shares.iter().enumerate() {
                    let slope = share / total - f64::from(u8::from(output == labels[row]));
                    let gradient = &mut sums[output * width..(output + 1) * width];
                    for (sum, &x) in gradient.iter_mut().zip(x) {
                        *sum += slope * x;
                    }
                    sums[weights + output] += slope;
                }
            }
        });
        for sum in &mut sums {
            *sum /= n;
        }
        let loss = sums.pop().expect("the loss is behind the gradient");
        for (slope, weight) in sums.iter_mut().zip(w) {
            *slope += lambda * weight;
        }
        (loss + lambda / 2.0 * dot(w, w), sums)
    };
    let mut found = minimize(vec![0.0; weights + outputs], steps, tolerance, of);
    let bias = found.at.split_off(weights);
    (std::mem::take(&mut found.at), bias, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::Activations;

    #[test]
    fn two_classes_on_a_line_end_where_the_slope_is_zero() {
        // Samples at -1 (class 0) and 1 (class 1). By symmetry w = (-v, v), b = 0, and the gradient of
        // log(1 + exp(-2 v)) + lambda v^2 is zero: 2 / (1 + exp(2 v)) = 2 lambda v.
        let samples = Activations::new(vec![-1.0, 1.0], 1).unwrap();
        let design = Design::new(&samples, &[0, 1], false);
        let lambda = 0.1;
        let (w, b, found) = logistic(&design, &[0, 1], 2, lambda, 100, 1e-12);
        assert!(found.converged, "{found:?}");
        let v = w[1];
        assert!((w[0] + v).abs() < 1e-10 && b.iter().all(|b| b.abs() < 1e-10));
        let residual = 1.0 / (1.0 + (2.0 * v).exp()) - lambda * v;
        assert!(residual.abs() < 1e-10, "{residual} at {v}");
    }

    #[test]
    fn biases_alone_give_the_shares_of_the_classes() {
        // Nothing to read: the loss is least at the entropy of 1/4, 3/4.
        let samples = Activations::new(vec![5.0; 4], 1).unwrap();
        let design = Design::new(&samples, &[0, 1, 2, 3], true);
        let (w, b, found) = logistic(&design, &[0, 1, 1, 1], 2, 1.0, 100, 1e-12);
        assert_eq!(w, [0.0, 0.0]);
        assert!((b[1] - b[0] - 3.0_f64.ln()).abs() < 1e-9, "{b:?}");
        let entropy = 0.25 * 4.0_f64.ln() + 0.75 * (4.0_f64 / 3.0).ln();
        assert!((found.value - entropy).abs() < 1e-12);
    }
}
