//! GPT-NeoX, and so Pythia.

use super::Family;
use super::given::Given;
use super::settings::Settings;
use crate::arch::{Positions, Transformer, TransformerInput};
use crate::error::ModelError;

pub(super) const FAMILY: Family = Family {
    types: &["gpt_neox"],
    prefix: "gpt_neox.",
    ignored: &[
        "attention.bias",
        "attention.masked_bias",
        "rotary_emb.inv_freq",
    ],
    architecture,
    weights,
};

fn architecture(settings: &Settings<'_>, _given: &Given) -> Result<Transformer, ModelError> {
    settings.only("attention_bias", &[true.into()])?;
    settings.only("tie_word_embeddings", &[false.into()])?;
    let (base, share) = settings.rotary("rotary_emb_base", "rotary_pct")?;
    let (d_model, heads) = (
        settings.size("hidden_size")?,
        settings.size("num_attention_heads")?,
    );
    let dims = ((d_model / heads.max(1)) as f64 * share) as usize;
    Ok(Transformer {
        input: TransformerInput::Tokens {
            vocabulary: settings.size("vocab_size")?,
            context: settings.size("max_position_embeddings")?,
            token_types: 0,
        },
        layers: settings.size("num_hidden_layers")?,
        heads,
        d_model,
        d_mlp: settings.size("intermediate_size")?,
        activation: settings.activation("hidden_act")?,
        epsilon: settings.number_or("layer_norm_eps", 1e-5)?,
        positions: Positions::Rotary { base, dims },
        parallel: settings.flag_or("use_parallel_residual", true)?,
        ..Transformer::default()
    })
}

/// One linear map gives query, key and value of the first head, then of the second, and so on.
fn weights(net: &Transformer, given: &mut Given) {
    let (model, heads, width, mlp) = (net.d_model, net.heads, net.d_head(), net.d_mlp);
    let vocabulary = net.logits();
    given.same("embed.W_E", "embed_in.weight", &[vocabulary, model]);
    for layer in 0..net.layers {
        let ours = |name: &str| format!("blocks.{layer}.{name}");
        let theirs = |name: &str| format!("layers.{layer}.{name}");
        given.norm(&ours("ln1"), &theirs("input_layernorm"), model);
        let slots = |part: &str| ["Q", "K", "V"].map(|slot| ours(&format!("attn.{part}_{slot}")));
        given.give_each(
            &slots("W"),
            &theirs("attention.query_key_value.weight"),
            &[heads, 3, width, model],
            &[1, 0, 3, 2],
        );
        given.give_each(
            &slots("b"),
            &theirs("attention.query_key_value.bias"),
            &[heads, 3, width],
            &[1, 0, 2],
        );
        given.give(
            ours("attn.W_O"),
            &theirs("attention.dense.weight"),
            &[model, heads, width],
            &[1, 2, 0],
        );
        given.same(ours("attn.b_O"), &theirs("attention.dense.bias"), &[model]);
        given.norm(&ours("ln2"), &theirs("post_attention_layernorm"), model);
        let linear = |name: &str| {
            [
                ours(&format!("mlp.W_{name}")),
                ours(&format!("mlp.b_{name}")),
            ]
        };
        given.linear(linear("in"), &theirs("mlp.dense_h_to_4h"), [model, mlp]);
        given.linear(linear("out"), &theirs("mlp.dense_4h_to_h"), [mlp, model]);
    }
    given.norm("ln_final", "final_layer_norm", model);
    let head = given.either(["embed_out.weight".into(), "lm_head.weight".into()]);
    given.transposed("unembed.W_U", &head, [model, vocabulary]);
    given.zeros("unembed.b_U", &[vocabulary]);
}
