//! The decoder's rows: their norms, and what keeps them.

use burn::tensor::Tensor;

use crate::kind::Kind;
use crate::sae::Sae;

/// Smallest norm that is divided by.
const TINY: f32 = 1e-12;

/// The norm of each row `[row]`; of rows in several parts, the sum of the parts' norms. At a zero row
/// its slope is 0.
pub(crate) fn part_norms(rows: Tensor<2>, parts: usize) -> Tensor<1> {
    let [count, width] = rows.dims();
    let parts = rows.reshape([count, parts, width / parts]);
    let norms = (parts.square().sum_dim(2) + TINY * TINY).sqrt();
    norms.sum_dim(1).reshape([count])
}

/// A gradient `[row, column]` without its component along each row: what is left turns a row and does
/// not lengthen it.
pub fn off_rows(gradient: Tensor<2>, rows: Tensor<2>) -> Tensor<2> {
    let along = (gradient.clone() * rows.clone()).sum_dim(1);
    let lengths = rows.clone().square().sum_dim(1).clamp_min(TINY);
    gradient - rows * (along / lengths)
}

/// Rows `[row, column]` scaled to norm 1; a zero row stays.
pub fn unit_rows(rows: Tensor<2>) -> Tensor<2> {
    let norms = rows.clone().square().sum_dim(1).sqrt().clamp_min(TINY);
    rows / norms
}

impl Sae {
    /// The dictionary after a step, back within its bounds: thresholds of JumpReLU at least 0, and
    /// with `unit_norm` each decoder row scaled to norm 1.
    pub fn constrained(&self, unit_norm: bool) -> Self {
        let mut weights = self.weights().clone();
        if matches!(self.config().kind, Kind::JumpRelu(_)) {
            let threshold = weights.get::<1>("threshold").clamp_min(0.0);
            weights.set("threshold", threshold);
        }
        if unit_norm {
            let rows = unit_rows(weights.get::<2>("W_dec"));
            weights.set("W_dec", rows.flatten(0, 1));
        }
        self.with_weights(weights)
    }
}
