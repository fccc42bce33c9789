//! One part's weights, and the linear maps that parts are made of.

use burn::tensor::Tensor;

use crate::arch::layers::{ROWS, product};
use crate::weights::Weights;

/// The weights whose names begin alike.
pub(super) struct Part<'a> {
    weights: &'a Weights,
    prefix: String,
}

impl<'a> Part<'a> {
    pub(super) fn new(weights: &'a Weights, prefix: impl Into<String>) -> Self {
        Self {
            weights,
            prefix: prefix.into(),
        }
    }

    pub(super) fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.weights.get(&format!("{}{name}", self.prefix))
    }

    /// A term, where the architecture has one.
    pub(super) fn term(&self, name: &str) -> Option<Tensor<1>> {
        let name = format!("{}{name}", self.prefix);
        self.weights
            .contains(&name)
            .then(|| self.weights.get(&name))
    }

    /// `x W` of x `[batch, position, in]`, W `[in, out]`.
    pub(super) fn linear(&self, w: &str, x: Tensor<3>) -> Tensor<3> {
        affine(x, self.get::<2>(w).unsqueeze(), None)
    }

    /// `x W + b` of x `[batch, position, in]`, W `[in, out]`.
    pub(super) fn affine(&self, w: &str, b: &str, x: Tensor<3>) -> Tensor<3> {
        affine(x, self.get::<2>(w).unsqueeze(), self.term(b))
    }
}

/// `x w + b` of x `[batch, position, in]` and w `[1, in, out]`. With constant weights an example's
/// result depends on the example alone, to the last bit: it is a product of its own where it has rows
/// enough, and otherwise goes in blocks of a fixed size.
pub(super) fn affine(x: Tensor<3>, w: Tensor<3>, b: Option<Tensor<1>>) -> Tensor<3> {
    let [batch, positions, width] = x.dims();
    let out = w.dims()[2];
    let y = if positions >= ROWS && !w.is_autodiff() {
        x.matmul(w)
    } else {
        product(x.reshape([batch * positions, width]), w).reshape([batch, positions, out])
    };
    match b {
        Some(b) => y + b.reshape([1, 1, out]),
        None => y,
    }
}
