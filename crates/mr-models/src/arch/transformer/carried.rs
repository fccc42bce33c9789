//! What a change at a site makes of the residual stream, where that is linear.

use std::ops::Range;

use burn::tensor::Tensor;

use super::config::{Placement, Transformer};
use super::part::affine;
use crate::weights::Weights;

/// What a change of these channels of a site adds to the stream after the site's stage: nothing stands
/// between but the linear map of the heads or of the MLP's neurons, or nothing at all.
pub(super) fn carried(
    net: &Transformer,
    weights: &Weights,
    site: &str,
    channels: Range<usize>,
    change: Tensor<3>,
) -> Option<Tensor<3>> {
    let width = net.d_model;
    let through = |w: Tensor<2>| {
        let w = w.slice_dim(0, channels.clone());
        Some(affine(change.clone(), w.unsqueeze(), None))
    };
    if ["hook_embed", "hook_pos_embed"].contains(&site) && !net.embedding_norm {
        return Some(padded(change, channels, width));
    }
    let (layer, name) = site.strip_prefix("blocks.")?.split_once('.')?;
    // Where the stream itself is normalised after the MLP, the MLP's stage is not linear.
    if net.placement == Placement::Post && !name.starts_with("attn.") && name != "hook_attn_out" {
        return None;
    }
    match name {
        "hook_attn_out" | "hook_mlp_out" | "hook_resid_mid" | "hook_resid_post" => {
            Some(padded(change, channels, width))
        }
        "attn.hook_z" => {
            let w = weights.get::<3>(&format!("blocks.{layer}.attn.W_O"));
            through(w.reshape([net.heads * net.d_head(), width]))
        }
        "attn.hook_result" => {
            let [batch, positions, _] = change.dims();
            let all = padded(change, channels, net.heads * width);
            let sum = all.reshape([batch, positions, net.heads, width]).sum_dim(2);
            Some(sum.reshape([batch, positions, width]))
        }
        "mlp.hook_post" => through(weights.get(&format!("blocks.{layer}.mlp.W_out"))),
        _ => None,
    }
}

/// A change of some channels as one of all, 0 elsewhere.
fn padded(change: Tensor<3>, channels: Range<usize>, width: usize) -> Tensor<3> {
    if channels == (0..width) {
        return change;
    }
    let [batch, positions, _] = change.dims();
    let none = Tensor::zeros([batch, positions, width], &change.device().inner());
    none.slice_assign([0..batch, 0..positions, channels], change)
}
