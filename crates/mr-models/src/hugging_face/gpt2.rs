//! GPT-2.

use super::Family;
use super::given::Given;
use super::settings::Settings;
use crate::arch::{Transformer, TransformerInput, Unembedding};
use crate::error::ModelError;

pub(super) const FAMILY: Family = Family {
    types: &["gpt2"],
    prefix: "transformer.",
    // Masks, and the unembedding that is the embedding.
    ignored: &["attn.bias", "attn.masked_bias", "lm_head.weight"],
    architecture,
    weights,
};

fn architecture(settings: &Settings<'_>, _given: &Given) -> Result<Transformer, ModelError> {
    settings.only("scale_attn_weights", &[true.into()])?;
    settings.only("scale_attn_by_inverse_layer_idx", &[false.into()])?;
    settings.only("tie_word_embeddings", &[true.into()])?;
    let d_model = settings.size("n_embd")?;
    Ok(Transformer {
        input: TransformerInput::Tokens {
            vocabulary: settings.size("vocab_size")?,
            context: settings.size("n_positions")?,
            token_types: 0,
        },
        layers: settings.size("n_layer")?,
        heads: settings.size("n_head")?,
        d_model,
        d_mlp: settings.size_or("n_inner", 4 * d_model)?,
        activation: settings.activation("activation_function")?,
        epsilon: settings.number_or("layer_norm_epsilon", 1e-5)?,
        unembedding: Unembedding::Tied,
        ..Transformer::default()
    })
}

/// Linear maps are `[in, out]` here, and one of them gives queries, keys and values.
fn weights(net: &Transformer, given: &mut Given) {
    let (model, heads, width, mlp) = (net.d_model, net.heads, net.d_head(), net.d_mlp);
    let vocabulary = net.logits();
    given.same("embed.W_E", "wte.weight", &[vocabulary, model]);
    given.same("pos_embed.W_pos", "wpe.weight", &[net.context(), model]);
    for layer in 0..net.layers {
        let ours = |name: &str| format!("blocks.{layer}.{name}");
        let theirs = |name: &str| format!("h.{layer}.{name}");
        given.norm(&ours("ln1"), &theirs("ln_1"), model);
        let slots = |part: &str| ["Q", "K", "V"].map(|slot| ours(&format!("attn.{part}_{slot}")));
        given.give_each(
            &slots("W"),
            &theirs("attn.c_attn.weight"),
            &[model, 3, heads, width],
            &[1, 2, 0, 3],
        );
        given.give_each(
            &slots("b"),
            &theirs("attn.c_attn.bias"),
            &[3, heads, width],
            &[0, 1, 2],
        );
        let out = [heads, width, model];
        given.same(ours("attn.W_O"), &theirs("attn.c_proj.weight"), &out);
        given.same(ours("attn.b_O"), &theirs("attn.c_proj.bias"), &[model]);
        given.norm(&ours("ln2"), &theirs("ln_2"), model);
        given.same(ours("mlp.W_in"), &theirs("mlp.c_fc.weight"), &[model, mlp]);
        given.same(ours("mlp.b_in"), &theirs("mlp.c_fc.bias"), &[mlp]);
        given.same(
            ours("mlp.W_out"),
            &theirs("mlp.c_proj.weight"),
            &[mlp, model],
        );
        given.same(ours("mlp.b_out"), &theirs("mlp.c_proj.bias"), &[model]);
    }
    given.norm("ln_final", "ln_f", model);
    given.zeros("unembed.b_U", &[vocabulary]);
}
