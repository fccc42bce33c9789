//! LLaMA and its like.

use super::Family;
use super::given::Given;
use super::settings::Settings;
use crate::arch::{NormKind, Positions, Transformer, TransformerInput, Unembedding};
use crate::error::ModelError;

pub(super) const FAMILY: Family = Family {
    types: &["llama", "mistral"],
    prefix: "model.",
    ignored: &["rotary_emb.inv_freq"],
    architecture,
    weights,
};

fn architecture(settings: &Settings<'_>, _given: &Given) -> Result<Transformer, ModelError> {
    settings.only("attention_bias", &[false.into()])?;
    settings.only("mlp_bias", &[false.into()])?;
    settings.only("sliding_window", &[])?;
    let (base, share) = settings.rotary("rope_theta", "partial_rotary_factor")?;
    let (d_model, heads) = (
        settings.size("hidden_size")?,
        settings.size("num_attention_heads")?,
    );
    let d_head = settings.size_or("head_dim", d_model / heads.max(1))?;
    Ok(Transformer {
        input: TransformerInput::Tokens {
            vocabulary: settings.size("vocab_size")?,
            context: settings.size("max_position_embeddings")?,
            token_types: 0,
        },
        layers: settings.size("num_hidden_layers")?,
        heads,
        key_value_heads: settings.size_or("num_key_value_heads", 0)?,
        d_model,
        d_head,
        d_mlp: settings.size("intermediate_size")?,
        activation: settings.activation("hidden_act")?,
        gated: true,
        norm: NormKind::Rms,
        epsilon: settings.number_or("rms_norm_eps", 1e-6)?,
        positions: Positions::Rotary {
            base,
            dims: (d_head as f64 * share) as usize,
        },
        biases: false,
        unembedding: if settings.flag_or("tie_word_embeddings", false)? {
            Unembedding::Tied
        } else {
            Unembedding::Own
        },
        ..Transformer::default()
    })
}

fn weights(net: &Transformer, given: &mut Given) {
    let (model, heads, width, mlp) = (net.d_model, net.heads, net.d_head(), net.d_mlp);
    let vocabulary = net.logits();
    given.same("embed.W_E", "embed_tokens.weight", &[vocabulary, model]);
    for layer in 0..net.layers {
        let ours = |name: &str| format!("blocks.{layer}.{name}");
        let theirs = |name: &str| format!("layers.{layer}.{name}.weight");
        given.same(ours("ln1.w"), &theirs("input_layernorm"), &[model]);
        for (slot, name, heads) in [
            ("W_Q", "q_proj", heads),
            ("W_K", "k_proj", net.key_value_heads()),
            ("W_V", "v_proj", net.key_value_heads()),
        ] {
            let name = theirs(&format!("self_attn.{name}"));
            let ours = ours(&format!("attn.{slot}"));
            given.give(ours, &name, &[heads, width, model], &[0, 2, 1]);
        }
        let out = theirs("self_attn.o_proj");
        given.give(ours("attn.W_O"), &out, &[model, heads, width], &[1, 2, 0]);
        given.same(ours("ln2.w"), &theirs("post_attention_layernorm"), &[model]);
        given.transposed(ours("mlp.W_gate"), &theirs("mlp.gate_proj"), [model, mlp]);
        given.transposed(ours("mlp.W_in"), &theirs("mlp.up_proj"), [model, mlp]);
        given.transposed(ours("mlp.W_out"), &theirs("mlp.down_proj"), [mlp, model]);
    }
    given.same("ln_final.w", "norm.weight", &[model]);
    if net.unembedding == Unembedding::Own {
        given.transposed("unembed.W_U", "lm_head.weight", [model, vocabulary]);
    }
}
