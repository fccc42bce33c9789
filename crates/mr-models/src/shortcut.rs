//! A forward pass whose way back to the input the model knows itself.

use burn::tensor::Tensor;

/// From the gradient at a shortcut's leaf `[batch, feature]` to that at the input
/// `[batch, channel, height, width]`.
pub type WayBack<'a> = Box<dyn FnOnce(Tensor<2>) -> Tensor<4> + 'a>;

/// A forward pass of which only the end, from a leaf to the logits, is on the graph. The model goes the
/// rest of the way back on its own, in less than the graph would take.
pub struct Shortcut<'a> {
    /// The logits `[batch, position, class]`, tracked from the leaf.
    pub logits: Tensor<3>,
    /// Where the graph begins `[batch, feature]`.
    pub leaf: Tensor<2>,
    /// The rest of the way.
    pub back: WayBack<'a>,
}
