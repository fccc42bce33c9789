//! From the residual stream to logits.

use burn::tensor::Tensor;
use burn::tensor::activation::gelu;

use super::config::{HeadKind, NormKind, Placement, Transformer, TransformerInput, Unembedding};
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
    x = unembedded_positions(net, x);
    if net.head == HeadKind::MaskedTokens {
        x = gelu(part.affine("mlm_head.W", "mlm_head.b", x));
        x = norm(net, &part, "mlm_head.ln", x, trace);
    }
    if net.unembedding == Unembedding::None {
        return trace.sequence("unembed.hook_out", x);
    }
    let x = trace.sequence("unembed.hook_in", x);
    let logits = affine(x, unembedding(net, &part), part.term("unembed.b_U"));
    trace.sequence("unembed.hook_out", logits)
}

/// What a part of the stream after the last block adds to the logits by itself, where the final norm
/// divides by this scale; `None` where more than that norm stands between.
pub(super) fn direct(
    net: &Transformer,
    weights: &Weights,
    mut x: Tensor<3>,
    scale: Option<&Tensor<3>>,
) -> Option<Tensor<3>> {
    let is_linear = net.placement == Placement::Pre && net.head == HeadKind::Plain;
    if !is_linear || net.unembedding == Unembedding::None {
        return None;
    }
    let part = Part::new(weights, "");
    if net.final_norm && net.norm != NormKind::None {
        if net.norm == NormKind::Layer {
            x = x.clone() - x.mean_dim(2);
        }
        x = x / scale?.clone() * part.get::<1>("ln_final.w").unsqueeze();
    }
    let x = unembedded_positions(net, x);
    Some(affine(x, unembedding(net, &part), None))
}

/// Of an image the class token, or the mean of all positions.
fn unembedded_positions(net: &Transformer, x: Tensor<3>) -> Tensor<3> {
    match net.input {
        TransformerInput::Image {
            class_token: true, ..
        } => x.narrow(1, 0, 1),
        TransformerInput::Image { .. } => x.mean_dim(1),
        TransformerInput::Tokens { .. } => x,
    }
}

/// `[1, channel, class]`.
fn unembedding(net: &Transformer, part: &Part<'_>) -> Tensor<3> {
    match net.unembedding {
        // A transposed view that is given its third axis later is copied.
        Unembedding::Tied => {
            let name = format!("{}embed.W_E", net.embedding());
            part.get::<2>(&name).unsqueeze::<3>().swap_dims(1, 2)
        }
        _ => part.get::<2>("unembed.W_U").unsqueeze(),
    }
}
