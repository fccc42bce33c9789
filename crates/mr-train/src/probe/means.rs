//! Probes from class means.

use super::design::{Design, dot, solve};
use crate::error::TrainError;

/// The scores of the nearest class mean.
pub(super) struct Nearest {
    /// The mean of each class `[output, feature]`, centred as the design is.
    pub(super) means: Vec<f64>,
    /// Weights `[output, feature]`.
    pub(super) weights: Vec<f64>,
    /// Biases: equal scores lie halfway between two means.
    pub(super) bias: Vec<f64>,
}

/// The nearest class mean: `score_k = m_k . x - |m_k|^2 / 2`. Of two classes the boundary is the plane
/// halfway between their means, and its normal the difference of means. With `lambda` distances are
/// Mahalanobis' in the covariance within classes S (Marks & Tegmark 2023, section 5, for two classes:
/// Fisher's discriminant): `score_k = m_k . S^-1 x - m_k . S^-1 m_k / 2`; `lambda` times the mean variance
/// is added to the diagonal of S.
///
/// Where there are fewer samples than features S has no inverse without a lambda.
pub(super) fn class_means(
    design: &Design,
    labels: &[usize],
    names: &[String],
    lambda: Option<f64>,
) -> Result<Nearest, TrainError> {
    let (width, outputs) = (design.width, names.len());
    let mut counts = vec![0_usize; outputs];
    for &label in labels {
        counts[label] += 1;
    }
    if let Some(empty) = counts.iter().position(|&count| count == 0) {
        return Err(TrainError::Data(format!(
            "no sample of `{}` to take a mean of; take more examples, or leave it out",
            names[empty]
        )));
    }
    let mut means = design.summed(outputs * width, |rows, sums| {
        for row in rows {
            let sums = &mut sums[labels[row] * width..(labels[row] + 1) * width];
            for (sum, x) in sums.iter_mut().zip(design.row(row)) {
                *sum += x;
            }
        }
    });
    for (mean, &count) in means.chunks_exact_mut(width).zip(&counts) {
        for sum in mean {
            *sum /= count as f64;
        }
    }
    let weights = match lambda {
        None => means.clone(),
        Some(lambda) => {
            let mut within = design.summed(width * width, |rows, sums| {
                let mut x = vec![0.0; width];
                for row in rows {
                    let mean = &means[labels[row] * width..(labels[row] + 1) * width];
                    for ((x, value), mean) in x.iter_mut().zip(design.row(row)).zip(mean) {
                        *x = value - mean;
                    }
                    for (sums, &xi) in sums.chunks_exact_mut(width).zip(&x) {
                        for (sum, &xj) in sums.iter_mut().zip(&x) {
                            *sum += xi * xj;
                        }
                    }
                }
            });
            for value in &mut within {
                *value /= design.rows() as f64;
            }
            let trace: f64 = (0..width).map(|i| within[i * width + i]).sum();
            for i in 0..width {
                within[i * width + i] += lambda * trace / width as f64;
            }
            let transposed: Vec<f64> = (0..width * outputs)
                .map(|at| means[at % outputs * width + at / outputs])
                .collect();
            let solved = solve(within, &transposed, outputs)?;
            (0..outputs * width)
                .map(|at| solved[at % width * outputs + at / width])
                .collect()
        }
    };
    let pairs = means.chunks_exact(width).zip(weights.chunks_exact(width));
    let bias = pairs
        .map(|(mean, weight)| -dot(mean, weight) / 2.0)
        .collect();
    Ok(Nearest {
        means,
        weights,
        bias,
    })
}
