//! Latents in the form that Neuronpedia's converter reads.
//!
//! The form is that of SAEDashboard's `NeuronpediaDashboardBatch` (`sae_dashboard/neuronpedia/neuronpedia_dashboard.py`,
//! written by `neuronpedia_converter.py`): one object of `model_id`, `layer`, `sae_set` and `features`. Neuronpedia's
//! `convert-saedashboard-to-neuronpedia-export.py` takes a folder of files of such a form whose names begin with `batch-`,
//! and makes the rows of its tables `Neuron` and `Activation` of them, whose names (`maxActApprox`, `maxValueTokenIndex`,
//! `topkCosSimIndices`) are other ones and follow from these. What is not computed here (aligned and correlated neurons,
//! weights by head) is there and empty, as both allow.

use serde_json::{Value, json};

use super::example::Names;
use super::latents::{Example, Latent};

/// The ends of the interval that strongest examples are of, in place of which there is none.
const STRONGEST: f64 = -1.0;

/// Where the latents are of.
pub(super) struct Source<'a> {
    /// The network.
    pub(super) model: &'a str,
    /// The site that the dictionary reads.
    pub(super) site: &'a str,
    /// The dictionary.
    pub(super) dictionary: &'a str,
    /// The data.
    pub(super) dataset: &'a str,
    /// Examples that were looked at, and positions of each.
    pub(super) examples: [usize; 2],
}

/// All latents. Of images `tokens` are the numbers of positions.
pub(super) fn batch(latents: &[Latent], source: &Source<'_>, names: &Names<'_>) -> Value {
    let features = latents.iter().map(|latent| feature(latent, source, names));
    json!({
        "model_id": source.model,
        "layer": layer(source.site),
        "sae_set": source.dictionary,
        "sae_id_suffix": null,
        "features": features.collect::<Vec<_>>(),
    })
}

fn feature(latent: &Latent, source: &Source<'_>, names: &Names<'_>) -> Value {
    let classes = |list: &[(usize, f32)]| -> (Vec<String>, Vec<f32>) {
        let named = list
            .iter()
            .map(|&(class, effect)| (names.class(class), effect));
        named.unzip()
    };
    let (pos_str, pos_values) = classes(&latent.raises);
    let (neg_str, neg_values) = classes(&latent.lowers);
    let (frequencies, counts): (Vec<f64>, Vec<u64>) = latent.histogram.bins().into_iter().unzip();
    let (effects, effect_counts): (Vec<f32>, Vec<usize>) = latent.effects.iter().copied().unzip();
    let [examples, positions] = source.examples;
    let none: [f64; 0] = [];
    json!({
        "feature_index": latent.number,
        "neuron_alignment_indices": none,
        "neuron_alignment_values": none,
        "neuron_alignment_l1": none,
        "correlated_neurons_indices": none,
        "correlated_neurons_l1": none,
        "correlated_neurons_pearson": none,
        "correlated_features_indices": none,
        "correlated_features_l1": none,
        "correlated_features_pearson": none,
        "neg_str": neg_str,
        "neg_values": neg_values,
        "pos_str": pos_str,
        "pos_values": pos_values,
        "frac_nonzero": latent.density,
        "freq_hist_data_bar_values": frequencies,
        "freq_hist_data_bar_heights": counts,
        "logits_hist_data_bar_heights": effect_counts,
        "logits_hist_data_bar_values": effects,
        "n_prompts_total": examples,
        "n_tokens_in_prompt": positions,
        "dataset": source.dataset,
        "decoder_weights_dist": none,
        "activations": latent.examples.iter().map(|one| activation(latent, one, names)).collect::<Vec<_>>(),
    })
}

/// One of the examples that a latent is most active on.
fn activation(latent: &Latent, one: &Example, names: &Names<'_>) -> Value {
    let tokens = names.tokens(one.peak.example);
    let tokens: Vec<String> = if tokens.is_empty() {
        (0..one.values.len()).map(|at| at.to_string()).collect()
    } else {
        tokens.into_iter().map(|token| names.token(token)).collect()
    };
    json!({
        "bin_min": STRONGEST,
        "bin_max": latent.largest,
        "bin_contains": STRONGEST,
        "tokens": tokens,
        "values": one.values,
        "qualifying_token_index": one.peak.position,
    })
}

/// The first number of a site's name: `blocks.8.hook_resid_pre` is of layer 8.
fn layer(site: &str) -> usize {
    let mut digits = site.split(|c: char| !c.is_ascii_digit());
    let first = digits.find_map(|run| run.parse().ok());
    first.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::layer;

    #[test]
    fn a_site_has_the_number_of_its_layer() {
        assert_eq!(layer("blocks.8.hook_resid_pre"), 8);
        assert_eq!((layer("conv2.hook_out"), layer("hook_embed")), (2, 0));
    }
}
