//! Latents in the form of Neuronpedia's feature files.

use serde_json::{Value, json};

use super::example::Names;
use super::latents::Latent;

/// One latent: activations on text are `tokens` and `values` by position; of images `tokens` are the positions' numbers.
pub(super) fn feature(latent: &Latent, model: &str, layer: &str, names: &Names<'_>) -> Value {
    let class = |list: &[(usize, f32)]| -> (Vec<String>, Vec<f32>) {
        list.iter()
            .map(|&(class, effect)| (names.class(class), effect))
            .unzip()
    };
    let (pos_str, pos_values) = class(&latent.raises);
    let (neg_str, neg_values) = class(&latent.lowers);
    let (frequencies, counts): (Vec<f64>, Vec<u64>) = latent.histogram.bins().into_iter().unzip();
    let (effects, effect_counts): (Vec<f32>, Vec<usize>) = latent.effects.iter().copied().unzip();
    let (near, cosines): (Vec<usize>, Vec<f32>) = latent.nearest.iter().copied().unzip();
    let activation = |one: &super::latents::Example| {
        let tokens = names.tokens(one.peak.example);
        let tokens: Vec<String> = if tokens.is_empty() {
            (0..one.values.len()).map(|at| at.to_string()).collect()
        } else {
            tokens.into_iter().map(|token| names.token(token)).collect()
        };
        json!({
            "tokens": tokens,
            "values": one.values,
            "maxValue": one.peak.value,
            "maxValueTokenIndex": one.peak.position,
            "minValue": one.values.iter().copied().fold(f32::INFINITY, f32::min),
            "dataIndex": one.peak.example.to_string(),
        })
    };
    json!({
        "modelId": model,
        "layer": layer,
        "index": latent.number.to_string(),
        "activations": latent.examples.iter().map(activation).collect::<Vec<_>>(),
        "maxActApprox": latent.largest,
        "frac_nonzero": latent.density,
        "pos_str": pos_str,
        "pos_values": pos_values,
        "neg_str": neg_str,
        "neg_values": neg_values,
        "freq_hist_data_bar_values": frequencies,
        "freq_hist_data_bar_heights": counts,
        "logits_hist_data_bar_values": effects,
        "logits_hist_data_bar_heights": effect_counts,
        "topk_cosine_sim_indices": near,
        "topk_cosine_sim_values": cosines,
    })
}
