//! Ridge regression.

use super::design::{Design, dot, solve};
use crate::error::TrainError;

/// Weights `[output, feature]` of the least squares fit of targets `[sample, output]`, with penalty: the
/// minimum of `sum |y - W x - b|^2 / n + lambda |W|^2`, in closed form (Hoerl & Kennard 1970). The bias is
/// not penalised: samples are centred, so it is the mean of the targets. scikit-learn's alpha is n lambda.
///
/// With more features than samples the system is solved among samples: `W = Y^T (X X^T + n lambda)^-1 X`.
pub(super) fn ridge(
    design: &Design,
    targets: &[f64],
    outputs: usize,
    lambda: f64,
) -> Result<(Vec<f64>, Vec<f64>), TrainError> {
    let (n, width) = (design.rows(), design.width);
    let mut bias = vec![0.0; outputs];
    for target in targets.chunks_exact(outputs) {
        for (sum, value) in bias.iter_mut().zip(target) {
            *sum += value / n as f64;
        }
    }
    let y = |row: usize, output: usize| targets[row * outputs + output] - bias[output];
    let penalty = lambda * n as f64;
    let mut weights = vec![0.0; outputs * width];
    if width <= n {
        let mut gram = design.summed(width * width, |rows, sums| {
            for row in rows {
                let x = design.row(row);
                for (sums, &xi) in sums.chunks_exact_mut(width).zip(x) {
                    // The lower half is all that is read.
                    if xi != 0.0 {
                        for (sum, &xj) in sums.iter_mut().zip(x) {
                            *sum += xi * xj;
                        }
                    }
                }
            }
        });
        for i in 0..width {
            gram[i * width + i] += penalty;
        }
        let right = design.summed(width * outputs, |rows, sums| {
            for row in rows {
                for (sums, &x) in sums.chunks_exact_mut(outputs).zip(design.row(row)) {
                    for (output, sum) in sums.iter_mut().enumerate() {
                        *sum += x * y(row, output);
                    }
                }
            }
        });
        let found = solve(gram, &right, outputs)?;
        for (feature, row) in found.chunks_exact(outputs).enumerate() {
            for (output, &weight) in row.iter().enumerate() {
                weights[output * width + feature] = weight;
            }
        }
    } else {
        let mut gram = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let product = dot(design.row(i), design.row(j));
                gram[i * n + j] = product;
                gram[j * n + i] = product;
            }
            gram[i * n + i] += penalty;
        }
        let right: Vec<f64> = (0..n * outputs)
            .map(|at| y(at / outputs, at % outputs))
            .collect();
        let dual = solve(gram, &right, outputs)?;
        for (row, alphas) in dual.chunks_exact(outputs).enumerate() {
            for (weights, &alpha) in weights.chunks_exact_mut(width).zip(alphas) {
                for (weight, &x) in weights.iter_mut().zip(design.row(row)) {
                    *weight += alpha * x;
                }
            }
        }
    }
    Ok((weights, bias))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::Activations;

    fn fit(values: &[f32], width: usize, targets: &[f64], lambda: f64) -> (Vec<f64>, Vec<f64>) {
        let samples = Activations::new(values.to_vec(), width).unwrap();
        let rows: Vec<usize> = (0..samples.count()).collect();
        let design = Design::new(&samples, &rows, false);
        let (weights, bias) = ridge(&design, targets, 1, lambda).unwrap();
        design.undone(&weights, &bias)
    }

    fn near(found: &[f64], expected: &[f64]) {
        let pairs = found.iter().zip(expected);
        assert!(
            found.len() == expected.len() && pairs.clone().all(|(a, b)| (a - b).abs() < 1e-10),
            "{found:?} is not {expected:?}"
        );
    }

    #[test]
    fn least_squares_finds_the_line_and_a_penalty_shrinks_it() {
        // y = 2 x + 1 at x = 0, 1, 2: sum of squared deviations of x is 2, of the product 4.
        let (weights, bias) = fit(&[0.0, 1.0, 2.0], 1, &[1.0, 3.0, 5.0], 0.0);
        near(&weights, &[2.0]);
        near(&bias, &[1.0]);
        // w = 4 / (2 + n lambda) = 4 / 5 at lambda 1, b = 3 - .8.
        let (weights, bias) = fit(&[0.0, 1.0, 2.0], 1, &[1.0, 3.0, 5.0], 1.0);
        near(&weights, &[0.8]);
        near(&bias, &[2.2]);
    }

    #[test]
    fn more_features_than_samples_give_the_same_formula() {
        // Three copies of a feature share its weight: 4 / (3 * 2 + n lambda) each, with n lambda = 3; the
        // fourth never varies.
        let wide = [0.0, 0.0, 0.0, 7.0, 1.0, 1.0, 1.0, 7.0, 2.0, 2.0, 2.0, 7.0];
        let (weights, bias) = fit(&wide, 4, &[1.0, 3.0, 5.0], 1.0);
        let shared = 4.0 / 9.0;
        near(&weights, &[shared, shared, shared, 0.0]);
        near(&bias, &[3.0 - 3.0 * shared]);
    }
}
