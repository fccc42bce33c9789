//! EleutherAI's sparsify: `cfg.json` and `sae.safetensors`, TopK dictionaries and transcoders.

use std::path::Path;

use burn::tensor::Device;
use serde_json::{Map, Value};

use super::read::{self, Fields};
use super::{CONFIG, Format, Opened, SPARSIFY};
use crate::config::{Arrangement, SaeConfig};
use crate::error::SaeError;
use crate::kind::TopK;
use crate::layout::{Named, assemble};

pub(super) fn load(
    folder: &Path,
    config: &Map<String, Value>,
    device: &Device,
) -> Result<Opened, SaeError> {
    let path = folder.join(CONFIG);
    let fields = Fields {
        path: &path,
        fields: config,
    };
    let activation = fields.text("activation", "topk")?;
    if activation != "topk" {
        return Err(fields.unknown("activation", &activation, &["topk"]));
    }
    for other in ["signed", "embed_skip", "gram_lookup"] {
        if fields.flag(other, false)? {
            return Err(fields.wrong(format!("`{other}` is true, must be false to be read here")));
        }
    }
    let d_in = fields.count("d_in")?;
    // 0 and nothing at all mean the expansion.
    let latents = if config.contains_key("num_latents") {
        fields.count("num_latents")?
    } else {
        0
    };
    let d_sae = if latents == 0 {
        d_in.saturating_mul(fields.count("expansion_factor")?)
    } else {
        latents
    };
    let transcode = fields.flag("transcode", false)?;
    let skip = fields.flag("skip_connection", false)?;
    if skip && !transcode {
        return Err(fields.wrong("`skip_connection` is true, must be false where `transcode` is"));
    }
    let kind = TopK {
        k: fields.count("k")?,
        rescale: false,
    };
    let made = SaeConfig::new(d_in, d_sae, kind);
    let made = if transcode {
        // What is written is as wide as what is read.
        made.arranged(Arrangement::Transcoder { d_out: d_in, skip })
    } else {
        made
    };
    made.check()
        .map_err(|error| fields.wrong(error.to_string()))?;
    let weights = folder.join(SPARSIFY);
    let named = renamed(read::tensors(&weights)?);
    Ok(Opened {
        sae: assemble(made, named, &weights, device)?,
        about: config.clone(),
        format: Format::Sparsify,
    })
}

/// Torch's names and layout to ours: the encoder is a linear layer, `[d_sae, d_in]`.
fn renamed(named: Named) -> Named {
    let rename = |(name, (shape, values)): (String, (Vec<usize>, Vec<f32>))| match name.as_str() {
        "encoder.weight" => {
            let flat = match shape[..] {
                [rows, columns] if values.len() == rows * columns => (0..values.len())
                    .map(|at| values[at % rows * columns + at / rows])
                    .collect(),
                _ => values,
            };
            let shape = shape.into_iter().rev().collect();
            ("W_enc".into(), (shape, flat))
        }
        "encoder.bias" => ("b_enc".into(), (shape, values)),
        _ => (name, (shape, values)),
    };
    named.into_iter().map(rename).collect()
}
