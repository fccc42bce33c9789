//! Weights as TransformerLens saves them.

use super::config::Transformer;

impl Transformer {
    /// The weights of a state dict of TransformerLens: those that are no weights left out, shared keys
    /// and values under the names of unshared ones, and terms that are 0 left out where there are none.
    pub(crate) fn of_lens(
        &self,
        named: Vec<(String, Vec<usize>, Vec<f32>)>,
    ) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        const NO_WEIGHTS: [&str; 4] = [
            "attn.mask",
            "attn.IGNORE",
            "attn.rotary_sin",
            "attn.rotary_cos",
        ];
        // Heads of an encoder that no logits come from.
        const UNUSED: [&str; 2] = ["nsp_head.", "pooler."];
        let named = named.into_iter().filter(|(name, _, values)| {
            let is_term = name
                .rsplit('.')
                .next()
                .is_some_and(|end| end.starts_with('b'));
            let is_nothing = is_term && !self.biases && values.iter().all(|&value| value == 0.0);
            !(NO_WEIGHTS.iter().any(|end| name.ends_with(end))
                || UNUSED.iter().any(|begin| name.starts_with(begin))
                || is_nothing)
        });
        named
            .map(|(name, shape, values)| (name.replace(".attn._", ".attn."), shape, values))
            .collect()
    }
}
