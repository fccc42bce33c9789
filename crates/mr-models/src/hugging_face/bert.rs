//! BERT, with its head for masked tokens or with none, as sentence encoders such as MiniLM are.

use super::Family;
use super::given::Given;
use super::settings::Settings;
use crate::arch::{HeadKind, Placement, Transformer, TransformerInput, Unembedding};
use crate::error::ModelError;

pub(super) const FAMILY: Family = Family {
    types: &["bert"],
    prefix: "bert.",
    // What no logits depend on, and the unembedding that is the embedding.
    ignored: &[
        "position_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
        "cls.seq_relationship.weight",
        "cls.seq_relationship.bias",
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
    ],
    architecture,
    weights,
};

fn architecture(settings: &Settings<'_>, given: &Given) -> Result<Transformer, ModelError> {
    settings.only("position_embedding_type", &["absolute".into()])?;
    settings.only("is_decoder", &[false.into()])?;
    settings.only("tie_word_embeddings", &[true.into()])?;
    let has_head = given.holds("cls.predictions.bias");
    Ok(Transformer {
        input: TransformerInput::Tokens {
            vocabulary: settings.size("vocab_size")?,
            context: settings.size("max_position_embeddings")?,
            token_types: settings.size_or("type_vocab_size", 2)?,
        },
        layers: settings.size("num_hidden_layers")?,
        heads: settings.size("num_attention_heads")?,
        d_model: settings.size("hidden_size")?,
        d_mlp: settings.size("intermediate_size")?,
        activation: settings.activation("hidden_act")?,
        epsilon: settings.number_or("layer_norm_eps", 1e-12)?,
        placement: Placement::Post,
        embedding_norm: true,
        final_norm: false,
        causal: false,
        head: if has_head {
            HeadKind::MaskedTokens
        } else {
            HeadKind::Plain
        },
        unembedding: if has_head {
            Unembedding::Tied
        } else {
            Unembedding::None
        },
        ..Transformer::default()
    })
}

fn weights(net: &Transformer, given: &mut Given) {
    let (model, heads, width, mlp) = (net.d_model, net.heads, net.d_head(), net.d_mlp);
    if let TransformerInput::Tokens {
        vocabulary,
        context,
        token_types,
    } = net.input
    {
        for (ours, theirs, count) in [
            ("embed.W_E", "word", vocabulary),
            ("pos_embed.W_pos", "position", context),
            ("token_type_embed.W_token_type", "token_type", token_types),
        ] {
            let theirs = format!("embeddings.{theirs}_embeddings.weight");
            given.same(format!("embed.{ours}"), &theirs, &[count, model]);
        }
    }
    given.norm("embed.ln", "embeddings.LayerNorm", model);
    for layer in 0..net.layers {
        let ours = |name: &str| format!("blocks.{layer}.{name}");
        let pair =
            |part: &str, end: &str| ["W", "b"].map(|kind| ours(&format!("{part}.{kind}_{end}")));
        let theirs = |name: &str| format!("encoder.layer.{layer}.{name}");
        for (slot, name) in [("Q", "query"), ("K", "key"), ("V", "value")] {
            let name = theirs(&format!("attention.self.{name}"));
            given.reading(pair("attn", slot), &name, [heads, model, width]);
        }
        let name = theirs("attention.output.dense");
        given.writing(pair("attn", "O"), &name, [heads, width, model]);
        given.norm(&ours("ln1"), &theirs("attention.output.LayerNorm"), model);
        given.linear(
            pair("mlp", "in"),
            &theirs("intermediate.dense"),
            [model, mlp],
        );
        given.linear(pair("mlp", "out"), &theirs("output.dense"), [mlp, model]);
        given.norm(&ours("ln2"), &theirs("output.LayerNorm"), model);
    }
    if net.head == HeadKind::MaskedTokens {
        let head = ["mlm_head.W".into(), "mlm_head.b".into()];
        given.linear(head, "cls.predictions.transform.dense", [model, model]);
        given.norm("mlm_head.ln", "cls.predictions.transform.LayerNorm", model);
        given.same("unembed.b_U", "cls.predictions.bias", &[net.logits()]);
    }
}
