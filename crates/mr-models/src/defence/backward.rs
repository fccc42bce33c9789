//! What a step's backward pass is.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// What gradients make of a step on their way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backward {
    /// The step's true derivative: 0 for a step function.
    #[default]
    Exact,
    /// The gradient passes as if the step were not there: BPDA with the identity (Athalye et al. 2018,
    /// section 4.1), also called the straight-through estimator (Bengio et al. 2013).
    Identity,
}

impl Backward {
    /// `step(values)` with this backward pass.
    pub(super) fn of(
        self,
        values: Tensor<3>,
        step: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        match self {
            Self::Exact => step(values),
            Self::Identity => replaced(step(off_graph(values.clone())), values),
        }
    }

    /// The same for a step function, whose true derivative is 0 wherever it has one.
    pub(super) fn of_steps(
        self,
        values: Tensor<3>,
        step: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        self.of(values, |values| step(off_graph(values)))
    }
}

/// The values of `value`, bit for bit, with the gradient of `surrogate`.
pub(super) fn replaced(value: Tensor<3>, surrogate: Tensor<3>) -> Tensor<3> {
    if surrogate.is_autodiff() {
        // x - x is 0 and 0 + value is value, where x + (value - x) would be rounded.
        let constant = surrogate.clone().inner();
        (surrogate - constant) + value
    } else {
        value
    }
}

/// The values alone.
pub(super) fn off_graph<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    if values.is_autodiff() {
        values.inner()
    } else {
        values
    }
}
