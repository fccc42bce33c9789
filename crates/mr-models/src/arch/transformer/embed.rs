//! From tokens or pixels to the residual stream.

use burn::tensor::module::embedding;
use burn::tensor::{Int, Tensor};

use super::config::{Positions, Transformer, TransformerInput};
use super::norm::norm;
use super::part::Part;
use crate::arch::Trace;
use crate::arch::layers::Normalization;
use crate::input::Input;
use crate::weights::Weights;

/// The residual stream `[batch, position, channel]` before the first block.
pub(super) fn embed(
    net: &Transformer,
    weights: &Weights,
    input: &Input,
    trace: &mut Trace<'_>,
) -> Tensor<3> {
    let part = Part::new(weights, net.embedding());
    let embedded = match input {
        Input::Tokens(tokens) => of_tokens(&part, tokens.clone()),
        Input::Real(image) => of_image(net, &part, image.clone()),
    };
    let [batch, positions, width] = embedded.dims();
    let all = [batch, positions, width];
    let mut x = trace.sequence("hook_embed", embedded);
    if net.positions == Positions::Learned {
        let w = part.get::<2>("pos_embed.W_pos").narrow(0, 0, positions);
        let w = w.unsqueeze();
        x = x + trace.seen("hook_pos_embed", w, |w| w.expand(all), |w| w);
    }
    if matches!(
        net.input,
        TransformerInput::Tokens {
            token_types: 1..,
            ..
        }
    ) {
        let w = part.get::<2>("token_type_embed.W_token_type");
        let w = w.narrow(0, 0, 1).unsqueeze();
        x = x + trace.seen("hook_token_type_embed", w, |w| w.expand(all), |w| w);
    }
    if net.embedding_norm {
        let x = norm(net, &part, "ln", x, trace);
        return trace.sequence("hook_full_embed", x);
    }
    x
}

fn of_tokens(part: &Part<'_>, tokens: Tensor<2, Int>) -> Tensor<3> {
    embedding(part.get("embed.W_E"), tokens)
}

/// Patches row by row, each a vector of its pixels channel by channel, after the class token.
fn of_image(net: &Transformer, part: &Part<'_>, image: Tensor<4>) -> Tensor<3> {
    let TransformerInput::Image {
        patch: side,
        class_token,
        normalization,
        ..
    } = &net.input
    else {
        panic!("this model takes tokens, not real values");
    };
    let image = Normalization::apply(normalization.as_ref(), image);
    let [batch, channels, height, width] = image.dims();
    let (rows, columns) = (height / side, width / side);
    let patches = image
        .reshape([batch, channels, rows, *side, columns, *side])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([batch, rows * columns, channels * side * side]);
    let patches = part.affine("embed.W_patch", "embed.b_patch", patches);
    if !class_token {
        return patches;
    }
    let token = part.get::<1>("class_token").unsqueeze::<3>();
    let token = token.expand([batch, 1, net.d_model]);
    Tensor::cat(vec![token, patches], 1)
}
