//! From the residual stream to logits.

use burn::tensor::Tensor;
use burn::tensor::activation::gelu;

use super::config::{HeadKind, Transformer, TransformerInput, Unembedding};
use super::norm::norm;
use super::part::{Part, affine};
use crate::arch::Trace;
use crate::weights::Weights;

/// Logits `[batch, position, class]` of the stream after the last block; of an image one position.
pub(super) fn head(
    net: &Transformer,
    weights: &Weights,
    mut x: Tensor<3>,
    trace: &mut Trace<'_>,
) -> Tensor<3> {
    let part = Part::new(weights, "");
    if net.final_norm {
        x = norm(net, &part, "ln_final", x, trace);
    }
    if let TransformerInput::Image { class_token, .. } = net.input {
        x = if class_token {
            x.narrow(1, 0, 1)
        } else {
            x.mean_dim(1)
        };
    }
    if net.head == HeadKind::MaskedTokens {
        x = gelu(part.affine("mlm_head.W", "mlm_head.b", x));
        x = norm(net, &part, "mlm_head.ln", x, trace);
    }
    if net.unembedding == Unembedding::None {
        return trace.sequence("unembed.hook_out", x);
    }
    let x = trace.sequence("unembed.hook_in", x);
    let w: Tensor<3> = match net.unembedding {
        // A transposed view that is given its third axis later is copied.
        Unembedding::Tied => {
            let name = format!("{}embed.W_E", net.embedding());
            part.get::<2>(&name).unsqueeze::<3>().swap_dims(1, 2)
        }
        _ => part.get::<2>("unembed.W_U").unsqueeze(),
    };
    let logits = affine(x, w, part.term("unembed.b_U"));
    trace.sequence("unembed.hook_out", logits)
}
