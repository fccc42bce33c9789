//! Samples as a regression sees them, and the linear algebra that it needs, in double precision.

use rayon::prelude::*;

use crate::dictionary::Activations;
use crate::error::TrainError;

/// Rows that are summed as one: sums are over these, in order, whatever the number of threads.
const SHARD: usize = 128;

/// Samples `[sample, feature]`, centred, and divided by one number for all features: what is near stays
/// near, and a penalty means the same at any scale of activations.
#[derive(Debug)]
pub(super) struct Design {
    x: Vec<f64>,
    pub(super) width: usize,
    pub(super) mean: Vec<f64>,
    pub(super) scale: f64,
}

impl Design {
    /// These rows of the samples. `scaled` divides by the root mean square over samples and features.
    pub(super) fn new(samples: &Activations, rows: &[usize], scaled: bool) -> Self {
        let width = samples.width();
        let row = |row: usize| &samples.values()[row * width..(row + 1) * width];
        let n = rows.len().max(1) as f64;
        let mut mean = vec![0.0; width];
        for &at in rows {
            for (sum, &value) in mean.iter_mut().zip(row(at)) {
                *sum += f64::from(value);
            }
        }
        for sum in &mut mean {
            *sum /= n;
        }
        let centred = |at: &usize| row(*at).iter().zip(&mean).map(|(&v, m)| f64::from(v) - m);
        let mut x: Vec<f64> = rows.iter().flat_map(centred).collect();
        let square = x.iter().map(|v| v * v).sum::<f64>() / x.len().max(1) as f64;
        let scale = if scaled && square > 0.0 {
            square.sqrt()
        } else {
            1.0
        };
        for value in &mut x {
            *value /= scale;
        }
        Self {
            x,
            width,
            mean,
            scale,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.x.len() / self.width
    }

    pub(super) fn row(&self, at: usize) -> &[f64] {
        &self.x[at * self.width..(at + 1) * self.width]
    }

    /// Sums over shards of rows; `of` adds what rows `first..` give to zeros of this length.
    pub(super) fn summed(
        &self,
        length: usize,
        of: impl Fn(std::ops::Range<usize>, &mut [f64]) + Sync,
    ) -> Vec<f64> {
        let shards = self.rows().div_ceil(SHARD);
        let parts: Vec<Vec<f64>> = (0..shards)
            .into_par_iter()
            .map(|shard| {
                let mut sums = vec![0.0; length];
                of(
                    shard * SHARD..self.rows().min((shard + 1) * SHARD),
                    &mut sums,
                );
                sums
            })
            .collect();
        let mut parts = parts.into_iter();
        let mut total = parts.next().unwrap_or_else(|| vec![0.0; length]);
        for part in parts {
            for (sum, more) in total.iter_mut().zip(part) {
                *sum += more;
            }
        }
        total
    }

    /// Weights `[output, feature]` and biases of what was found on these rows, as they are on the
    /// samples.
    pub(super) fn undone(&self, weights: &[f64], bias: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let weights: Vec<f64> = weights.iter().map(|w| w / self.scale).collect();
        let shifted = weights.chunks_exact(self.width).zip(bias);
        let bias = shifted.map(|(w, b)| b - dot(w, &self.mean)).collect();
        (weights, bias)
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Solves `A X = B` for a symmetric positive definite A `[n, n]` and B `[n, columns]`, by Cholesky's
/// factorisation A = L L^T (Golub & Van Loan, Matrix Computations, algorithm 4.2.2).
pub(super) fn solve(mut a: Vec<f64>, b: &[f64], columns: usize) -> Result<Vec<f64>, TrainError> {
    let n = b.len() / columns.max(1);
    let largest = (0..n).map(|i| a[i * n + i]).fold(0.0, f64::max);
    for i in 0..n {
        for j in 0..=i {
            let (above, below) = a.split_at_mut(i * n);
            let own = &mut below[..n];
            let other = if i == j {
                None
            } else {
                Some(&above[j * n..j * n + n])
            };
            let sum = match other {
                Some(other) => own[j] - dot(&own[..j], &other[..j]),
                None => own[i] - dot(&own[..i], &own[..i]),
            };
            own[j] = match other {
                Some(other) => sum / other[j],
                // Below this a pivot is rounding: the matrix is singular.
                None if sum > largest * 1e-12 => sum.sqrt(),
                None => {
                    return Err(TrainError::Data(
                        "the samples do not determine the weights (fewer samples than features, or \
                         features that depend on each other): set lambda above 0"
                            .into(),
                    ));
                }
            };
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        for c in 0..columns {
            let known: f64 = (0..i).map(|k| a[i * n + k] * x[k * columns + c]).sum();
            x[i * columns + c] = (x[i * columns + c] - known) / a[i * n + i];
        }
    }
    for i in (0..n).rev() {
        for c in 0..columns {
            let known: f64 = (i + 1..n).map(|k| a[k * n + i] * x[k * columns + c]).sum();
            x[i * columns + c] = (x[i * columns + c] - known) / a[i * n + i];
        }
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_system_is_solved_and_a_singular_one_refused() {
        // [[4, 2], [2, 3]] x = [10, 9] has x = [1.5, 2].
        let x = solve(vec![4.0, 2.0, 2.0, 3.0], &[10.0, 9.0], 1).unwrap();
        assert!(
            (x[0] - 1.5).abs() < 1e-12 && (x[1] - 2.0).abs() < 1e-12,
            "{x:?}"
        );
        let error = solve(vec![1.0, 1.0, 1.0, 1.0], &[1.0, 1.0], 1).unwrap_err();
        assert!(error.to_string().contains("lambda above 0"), "{error}");
    }

    #[test]
    fn samples_are_centred_scaled_and_put_back() {
        let samples = Activations::new(vec![1.0, 5.0, 3.0, 9.0, 100.0, 100.0], 2).unwrap();
        let design = Design::new(&samples, &[0, 1], true);
        // Deviations -1, -2 and 1, 2: their mean square is 2.5.
        let root = 2.5_f64.sqrt();
        assert_eq!(design.mean, [2.0, 7.0]);
        assert_eq!(design.row(1), [1.0 / root, 2.0 / root]);
        let (weights, bias) = design.undone(&[root, 0.0], &[1.0]);
        assert_eq!(weights, [1.0, 0.0]);
        assert_eq!(bias, [-1.0]);
    }
}
