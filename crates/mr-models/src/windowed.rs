//! Logits of inputs of which only a window changes from pass to pass.

use burn::tensor::Tensor;

/// New values for a window of one example's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// What the window holds from now on, `[channel, row, column]`.
    pub values: Vec<f32>,
}

/// A batch whose logits are asked for again and again while little of it changes: what a random search
/// does. It recomputes what a window can reach and keeps the rest.
///
/// Logits are those of a full pass up to rounding, and an example's own, whatever else is in the batch.
pub trait Windowed {
    /// The logits `[batch, 1, class]` with one window of each example changed.
    ///
    /// # Panics
    /// If there is not one change for each example, or one reaches outside the input.
    fn propose(&mut self, changes: &[Change]) -> Tensor<3>;

    /// Keeps the proposed changes of the examples where `keep` says so, and takes the others back.
    fn settle(&mut self, keep: &[bool]);

    /// Goes on with these examples only.
    fn select(&mut self, rows: &[usize]);
}
