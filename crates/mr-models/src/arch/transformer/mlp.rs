//! The MLP of a block.

use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, relu, sigmoid, silu};

use super::config::{Activation, Transformer};
use super::part::Part;
use crate::arch::Trace;

impl Activation {
    pub(super) fn apply(self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Relu => relu(x),
            Self::Gelu => gelu(x),
            Self::GeluNew => gelu_new(x),
            Self::Silu => silu(x),
        }
    }
}

/// `x (1 + tanh u) / 2` with `u = sqrt(2/pi) (x + 0.044715 x^3)`; as `(1 + tanh u) / 2` is the sigmoid
/// of `2 u`, that takes one exponential.
fn gelu_new(x: Tensor<3>) -> Tensor<3> {
    const CUBIC: f64 = 0.044715;
    let twice = 2.0 * std::f64::consts::FRAC_2_SQRT_PI / std::f64::consts::SQRT_2;
    let slope = x.clone() * x.clone() * (twice * CUBIC) + twice;
    sigmoid(slope * x.clone()) * x
}

/// What the MLP adds to the stream, of its normalised input `[batch, position, channel]`.
pub(super) fn mlp(
    net: &Transformer,
    part: &Part<'_>,
    x: Tensor<3>,
    trace: &mut Trace<'_>,
) -> Tensor<3> {
    let post = if net.gated {
        let gate = part.linear("mlp.W_gate", x.clone());
        let gate = net.activation.apply(trace.sequence("mlp.hook_pre", gate));
        let linear = part.linear("mlp.W_in", x);
        let product = gate * trace.sequence("mlp.hook_pre_linear", linear);
        match part.term("mlp.b_in") {
            Some(term) => product + term.unsqueeze(),
            None => product,
        }
    } else {
        let pre = part.affine("mlp.W_in", "mlp.b_in", x);
        net.activation.apply(trace.sequence("mlp.hook_pre", pre))
    };
    let post = trace.sequence("mlp.hook_post", post);
    let out = part.affine("mlp.W_out", "mlp.b_out", post);
    trace.sequence("hook_mlp_out", out)
}
