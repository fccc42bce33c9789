//! Vision transformers that classify.

use serde_json::Value;

use super::Family;
use super::given::Given;
use super::settings::Settings;
use crate::arch::{Transformer, TransformerInput};
use crate::error::ModelError;

pub(super) const FAMILY: Family = Family {
    types: &["vit"],
    prefix: "vit.",
    ignored: &["mask_token", "pooler.dense.weight", "pooler.dense.bias"],
    architecture,
    weights,
};

fn architecture(settings: &Settings<'_>, given: &Given) -> Result<Transformer, ModelError> {
    settings.only("qkv_bias", &[Value::Bool(true)])?;
    let side = settings.size("image_size")?;
    let classes = given.length("classifier.bias").ok_or_else(|| {
        ModelError::Mismatch("the tensors lack `classifier.bias`: a classifier is needed".into())
    })?;
    Ok(Transformer {
        input: TransformerInput::Image {
            shape: [settings.size_or("num_channels", 3)?, side, side],
            patch: settings.size("patch_size")?,
            class_token: true,
            normalization: None,
        },
        layers: settings.size("num_hidden_layers")?,
        heads: settings.size("num_attention_heads")?,
        d_model: settings.size("hidden_size")?,
        d_mlp: settings.size("intermediate_size")?,
        activation: settings.activation("hidden_act")?,
        epsilon: settings.number_or("layer_norm_eps", 1e-12)?,
        causal: false,
        classes,
        ..Transformer::default()
    })
}

fn weights(net: &Transformer, given: &mut Given) {
    let (model, heads, width, mlp) = (net.d_model, net.heads, net.d_head(), net.d_mlp);
    let TransformerInput::Image { shape, patch, .. } = net.input else {
        return;
    };
    let ours = ["embed.W_patch".into(), "embed.b_patch".into()];
    let pixels = shape[0] * patch * patch;
    let theirs = "embeddings.patch_embeddings.projection";
    given.linear(ours, theirs, [pixels, model]);
    given.same("class_token", "embeddings.cls_token", &[model]);
    let theirs = "embeddings.position_embeddings";
    given.same("pos_embed.W_pos", theirs, &[net.context(), model]);
    for layer in 0..net.layers {
        let ours = |name: &str| format!("blocks.{layer}.{name}");
        let pair =
            |part: &str, end: &str| ["W", "b"].map(|kind| ours(&format!("{part}.{kind}_{end}")));
        let theirs = |name: &str| format!("encoder.layer.{layer}.{name}");
        given.norm(&ours("ln1"), &theirs("layernorm_before"), model);
        for (slot, name) in [("Q", "query"), ("K", "key"), ("V", "value")] {
            let name = theirs(&format!("attention.attention.{name}"));
            given.reading(pair("attn", slot), &name, [heads, model, width]);
        }
        let name = theirs("attention.output.dense");
        given.writing(pair("attn", "O"), &name, [heads, width, model]);
        given.norm(&ours("ln2"), &theirs("layernorm_after"), model);
        given.linear(
            pair("mlp", "in"),
            &theirs("intermediate.dense"),
            [model, mlp],
        );
        given.linear(pair("mlp", "out"), &theirs("output.dense"), [mlp, model]);
    }
    given.norm("ln_final", "layernorm", model);
    let head = ["unembed.W_U".into(), "unembed.b_U".into()];
    given.linear(head, "classifier", [model, net.logits()]);
}
