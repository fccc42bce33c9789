//! Symmetric matrices in double precision, and their eigenvalues.
//!
//! Devices compute in single precision, which would drown the small singular values of activations
//! (the root of 1e-7); and a linear algebra crate would build burn twice, by other features of what
//! they share.

/// A symmetric matrix, stored whole and row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Symmetric {
    size: usize,
    values: Vec<f64>,
}

impl Symmetric {
    pub(crate) fn zeros(size: usize) -> Self {
        Self {
            size,
            values: vec![0.0; size * size],
        }
    }

    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.size..(i + 1) * self.size]
    }

    pub(crate) fn diagonal(&self) -> impl Iterator<Item = f64> {
        (0..self.size).map(|i| self.values[i * self.size + i])
    }

    /// Adds `scale x x^T`.
    pub(crate) fn add_outer(&mut self, x: &[f64], scale: f64) {
        for (row, &xi) in self.values.chunks_mut(self.size.max(1)).zip(x) {
            // Activations are often sparse.
            if xi != 0.0 {
                let factor = scale * xi;
                for (value, &xj) in row.iter_mut().zip(x) {
                    *value += factor * xj;
                }
            }
        }
    }

    pub(crate) fn scale(&mut self, factor: f64) {
        for value in &mut self.values {
            *value *= factor;
        }
    }

    /// Eigenvalues, largest first, each to about 1e-16 of the largest magnitude.
    pub(crate) fn eigenvalues(&self) -> Vec<f64> {
        let (diagonal, off) = self.tridiagonal();
        bisected(&diagonal, &off)
    }

    /// Diagonal and subdiagonal of a tridiagonal matrix with the same eigenvalues, by Householder
    /// reflections (Golub & Van Loan, Matrix Computations, algorithm 8.3.1).
    fn tridiagonal(&self) -> (Vec<f64>, Vec<f64>) {
        let n = self.size;
        let mut a = self.values.clone();
        let mut off = vec![0.0; n.saturating_sub(1)];
        for k in 0..n.saturating_sub(1) {
            let first = k + 1;
            let mut v: Vec<f64> = (first..n).map(|i| a[i * n + k]).collect();
            let norm = dot(&v, &v).sqrt();
            let reflected = if v[0] > 0.0 { -norm } else { norm };
            off[k] = reflected;
            v[0] -= reflected;
            let square = dot(&v, &v);
            if square == 0.0 {
                continue;
            }
            // A <- A - v w^T - w v^T on what is left below and right of k.
            let beta = 2.0 / square;
            let mut w: Vec<f64> = (first..n)
                .map(|i| beta * dot(&a[i * n + first..(i + 1) * n], &v))
                .collect();
            let along = beta / 2.0 * dot(&w, &v);
            for (w, v) in w.iter_mut().zip(&v) {
                *w -= along * v;
            }
            for (i, (&vi, &wi)) in v.iter().zip(&w).enumerate() {
                let row = &mut a[(first + i) * n + first..(first + i + 1) * n];
                for ((value, &vj), &wj) in row.iter_mut().zip(&v).zip(&w) {
                    *value -= vi * wj + wi * vj;
                }
            }
        }
        ((0..n).map(|i| a[i * n + i]).collect(), off)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Eigenvalues of a tridiagonal matrix, largest first, by bisection on the number of eigenvalues
/// below a point (Golub & Van Loan, section 8.4.1): never fails to converge.
fn bisected(diagonal: &[f64], off: &[f64]) -> Vec<f64> {
    let n = diagonal.len();
    let off_of = |i: usize| off.get(i).copied().unwrap_or(0.0).abs();
    // Gershgorin: every eigenvalue is within a row's radius of its diagonal.
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for (i, d) in diagonal.iter().enumerate() {
        let radius = off_of(i) + if i > 0 { off_of(i - 1) } else { 0.0 };
        least = least.min(d - radius);
        most = most.max(d + radius);
    }
    let tiny = f64::EPSILON * least.abs().max(most.abs());
    (0..n)
        .rev()
        .map(|index| {
            let (mut low, mut high) = (least, most);
            while high - low > tiny {
                let middle = low + (high - low) / 2.0;
                if middle <= low || middle >= high {
                    break;
                }
                if below(diagonal, off, middle, tiny) > index {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            low + (high - low) / 2.0
        })
        .collect()
}

/// How many eigenvalues are below x: the negative pivots of the factorisation of T - x.
fn below(diagonal: &[f64], off: &[f64], x: f64, tiny: f64) -> usize {
    let mut count = 0;
    let mut pivot = 1.0_f64;
    for (i, d) in diagonal.iter().enumerate() {
        let coupling = if i > 0 {
            off[i - 1] * off[i - 1] / pivot
        } else {
            0.0
        };
        pivot = d - x - coupling;
        if pivot.abs() < tiny * f64::EPSILON {
            pivot = -(tiny * f64::EPSILON).max(f64::MIN_POSITIVE);
        }
        count += usize::from(pivot < 0.0);
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::Symmetric;

    fn of(size: usize, values: Vec<f64>) -> Symmetric {
        Symmetric { size, values }
    }

    fn close(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        for (got_one, want_one) in got.iter().zip(want) {
            assert!((got_one - want_one).abs() < 1e-12, "{got:?} {want:?}");
        }
    }

    #[test]
    fn known_eigenvalues() {
        close(&of(0, vec![]).eigenvalues(), &[]);
        close(&of(1, vec![3.0]).eigenvalues(), &[3.0]);
        close(&of(2, vec![2.0, 1.0, 1.0, 2.0]).eigenvalues(), &[3.0, 1.0]);
        close(&of(2, vec![0.0; 4]).eigenvalues(), &[0.0, 0.0]);
        // The path graph of three: 2 - 2 cos(k pi / 4) for its second differences.
        let path = vec![2.0, -1.0, 0.0, -1.0, 2.0, -1.0, 0.0, -1.0, 2.0];
        let root = 2.0_f64.sqrt();
        close(&of(3, path).eigenvalues(), &[2.0 + root, 2.0, 2.0 - root]);
        // All ones: 4 once, 0 three times.
        close(&of(4, vec![1.0; 16]).eigenvalues(), &[4.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn outer_products_add_up() {
        let mut matrix = Symmetric::zeros(2);
        matrix.add_outer(&[1.0, 2.0], 1.0);
        matrix.add_outer(&[0.0, 1.0], -2.0);
        assert_eq!(matrix.row(1), [2.0, 2.0]);
        matrix.scale(0.5);
        assert_eq!(matrix.diagonal().collect::<Vec<_>>(), [0.5, 1.0]);
    }

    proptest! {
        // Sums of powers of eigenvalues are traces of powers of the matrix.
        #[test]
        fn eigenvalues_keep_the_traces(rows in prop::collection::vec(prop::collection::vec(-2.0..2.0_f64, 7), 1..12)) {
            let mut matrix = Symmetric::zeros(7);
            for (index, row) in rows.iter().enumerate() {
                matrix.add_outer(row, if index % 3 == 2 { -1.0 } else { 1.0 });
            }
            let values = matrix.eigenvalues();
            let trace: f64 = matrix.diagonal().sum();
            let squares: f64 = matrix.values.iter().map(|value| value * value).sum();
            prop_assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
            prop_assert!((values.iter().sum::<f64>() - trace).abs() < 1e-9);
            prop_assert!((values.iter().map(|v| v * v).sum::<f64>() - squares).abs() < 1e-8);
        }
    }
}
