//! Directions of features.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// How far a step moves directions apart, as a share of what would be the largest sensible one.
const STEP: f64 = 0.5;

/// A direction of norm 1, all equally likely.
pub(super) fn unit(width: usize, rng: &mut impl Rng) -> Vec<f32> {
    loop {
        let drawn: Vec<f64> = (0..width).map(|_| StandardNormal.sample(rng)).collect();
        let norm = norm(&drawn);
        if norm > 1e-6 {
            return drawn.iter().map(|value| (value / norm) as f32).collect();
        }
    }
}

/// Directions of norm 1, row-major `[feature, width]`: orthogonal where they are no more than dimensions, otherwise random and
/// then moved apart by so many steps.
pub(super) fn draw(features: usize, width: usize, steps: usize, rng: &mut impl Rng) -> Vec<f32> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(features);
    while rows.len() < features {
        let mut row: Vec<f64> = unit(width, rng).into_iter().map(f64::from).collect();
        if features <= width {
            // Twice, for what rounding leaves of the first time.
            for _ in 0..2 {
                for other in &rows {
                    let along = dot(&row, other);
                    add(&mut row, -along, other);
                }
            }
            // What lies nearly in the span of the others is drawn again.
            if norm(&row) < 1e-3 {
                continue;
            }
            normalize(&mut row);
        }
        rows.push(row);
    }
    if features > width {
        for _ in 0..steps {
            part(&mut rows, width);
        }
    }
    rows.into_iter()
        .flatten()
        .map(|value| value as f32)
        .collect()
}

/// One step of projected gradient descent on the sum of squared cosines of all pairs, which is `||S||^2` of the frame operator
/// `S = sum d d^T`: its gradient by d is `4 S d` (Benedetto & Fickus 2003).
fn part(rows: &mut [Vec<f64>], width: usize) {
    let mut frame = vec![vec![0.0; width]; width];
    for row in rows.iter() {
        for (line, &value) in frame.iter_mut().zip(row) {
            add(line, value, row);
        }
    }
    // In a tight frame, where the sum is least, S is features / width times the identity.
    let step = STEP * width as f64 / rows.len() as f64;
    for row in rows {
        let pull: Vec<f64> = frame.iter().map(|line| dot(line, row)).collect();
        add(row, -step, &pull);
        normalize(row);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(row: &[f64]) -> f64 {
    dot(row, row).sqrt()
}

fn add(row: &mut [f64], factor: f64, other: &[f64]) {
    for (value, other) in row.iter_mut().zip(other) {
        *value += factor * other;
    }
}

fn normalize(row: &mut [f64]) {
    let norm = norm(row);
    if norm > 0.0 {
        for value in row {
            *value /= norm;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn cosines(features: usize, width: usize, steps: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let rows = draw(features, width, steps, &mut rng);
        let rows: Vec<Vec<f64>> = rows
            .chunks(width)
            .map(|row| row.iter().map(|&v| v.into()).collect())
            .collect();
        assert!(rows.iter().all(|row| (norm(row) - 1.0).abs() < 1e-6));
        let pairs = (0..features).flat_map(|i| (0..i).map(move |j| (i, j)));
        pairs.map(|(i, j)| dot(&rows[i], &rows[j])).collect()
    }

    #[test]
    fn directions_that_fit_are_orthogonal() {
        for features in [1, 5, 16] {
            assert!(cosines(features, 16, 0).iter().all(|c| c.abs() < 1e-6));
        }
    }

    /// The least sum of squared cosines over ordered pairs is `n^2 / d - n`, that of a tight frame (Welch 1974).
    #[test]
    fn directions_that_do_not_fit_move_apart_as_far_as_they_can() {
        let sum = |steps| 2.0 * cosines(40, 8, steps).iter().map(|c| c * c).sum::<f64>();
        let least = 40.0 * 40.0 / 8.0 - 40.0;
        assert!(sum(0) > 1.05 * least, "{}", sum(0));
        assert!((sum(200) / least - 1.0).abs() < 1e-3, "{}", sum(200));
    }
}
