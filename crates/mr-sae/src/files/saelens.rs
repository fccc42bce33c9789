//! SAELens 6: `cfg.json` and `sae_weights.safetensors`.
//!
//! Weights have the names and layouts of [`Sae`] itself. What SAELens trains as BatchTopK or Matryoshka
//! it uses, and saves for use, as JumpReLU with their threshold and folded decoder norms; so does
//! [`write_saelens`]. Its training checkpoints are read as what they are.

use std::path::Path;

use burn::tensor::Device;
use mr_models::{ModelError, write_atomic, write_tensors};
use serde_json::{Map, Value, json};

use super::read::{self, Fields};
use super::{CONFIG, Format, Opened, SAELENS};
use crate::config::{Arrangement, SaeConfig};
use crate::error::SaeError;
use crate::kind::{BatchTopK, Gated, JumpRelu, Kind, L0Penalty, Matryoshka, Relu, TopK};
use crate::layout::{Named, assemble};
use crate::normalization::Normalization;
use crate::sae::Sae;

/// The version whose files these are.
const VERSION: &str = "6.54.12";
/// A field of cfg.json that is kept with what is said about a dictionary.
const RESHAPE: &str = "reshape_activations";

const ARCHITECTURES: [&str; 10] = [
    "standard",
    "gated",
    "topk",
    "jumprelu",
    "batchtopk",
    "matryoshka_batchtopk",
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
];

/// Whether a config is of version 6 or later.
pub(super) fn is_current(config: &Map<String, Value>) -> bool {
    let version = config.get("sae_lens_version").or_else(|| {
        let metadata = config.get("metadata")?;
        metadata.get("sae_lens_version")
    });
    let major = version
        .and_then(Value::as_str)
        .and_then(|text| text.split('.').next());
    major
        .and_then(|major| major.parse::<u32>().ok())
        .is_some_and(|major| major >= 6)
}

pub(super) fn load(
    folder: &Path,
    fields: &Map<String, Value>,
    device: &Device,
) -> Result<Opened, SaeError> {
    let path = folder.join(CONFIG);
    let fields = Fields {
        path: &path,
        fields,
    };
    let mut about = match fields.fields.get("metadata") {
        Some(Value::Object(metadata)) => metadata.clone(),
        _ => Map::new(),
    };
    let reshape = fields.text(RESHAPE, "none")?;
    if reshape != "none" {
        about.insert(RESHAPE.into(), reshape.into());
    }
    let sae = read_folder(folder, &fields, device)?;
    Ok(Opened {
        sae,
        about,
        format: Format::SaeLens,
    })
}

/// The dictionary of a folder by the fields of its config.
pub(super) fn read_folder(
    folder: &Path,
    fields: &Fields,
    device: &Device,
) -> Result<Sae, SaeError> {
    let config = config(fields)?;
    // Of the config alone first: its file is to blame.
    config
        .check()
        .map_err(|error| fields.wrong(error.to_string()))?;
    let path = folder.join(SAELENS);
    let mut named = read::tensors(&path)?;
    thresholds(&mut named, config.d_sae);
    scaled(fields, &mut named)?;
    assemble(config, named, &path, device)
}

fn config(fields: &Fields) -> Result<SaeConfig, SaeError> {
    let architecture = fields.text("architecture", "standard")?;
    let skip = architecture.contains("skip");
    let arrangement = if architecture.ends_with("transcoder") {
        let d_out = fields.count("d_out")?;
        Arrangement::Transcoder { d_out, skip }
    } else {
        Arrangement::Autoencoder
    };
    let rescale = fields.flag("rescale_acts_by_decoder_norm", false)?;
    let kind: Kind = match architecture.as_str() {
        "standard" | "transcoder" | "skip_transcoder" => Relu::default().into(),
        "gated" => Gated {
            frozen_decoder: false,
        }
        .into(),
        "topk" => TopK {
            k: fields.count("k")?,
            rescale,
        }
        .into(),
        "jumprelu" | "jumprelu_transcoder" | "jumprelu_skip_transcoder" => {
            jump_relu(fields)?.into()
        }
        "batchtopk" => batch(fields, rescale)?.into(),
        "matryoshka_batchtopk" => {
            let BatchTopK { k, rescale, rate } = batch(fields, rescale)?;
            let widths = fields.need("matryoshka_widths")?;
            let mut widths: Vec<usize> = serde_json::from_value(widths.clone())
                .map_err(|error| fields.wrong(format!("`matryoshka_widths`: {error}")))?;
            // The whole comes without saying.
            let d_sae = fields.count("d_sae")?;
            widths.pop_if(|last| *last == d_sae);
            Kind::Matryoshka(Matryoshka {
                k,
                rescale,
                rate,
                widths,
            })
        }
        other => return Err(fields.unknown("architecture", other, &ARCHITECTURES)),
    };
    Ok(SaeConfig {
        d_in: fields.count("d_in")?,
        d_sae: fields.count("d_sae")?,
        arrangement,
        kind,
        normalization: normalization(fields)?,
        subtract_bias: fields.flag("apply_b_dec_to_input", true)?,
    })
}

/// A training checkpoint knows more than a dictionary for use.
fn jump_relu(fields: &Fields) -> Result<JumpRelu, SaeError> {
    let usual = JumpRelu::default();
    let mode = fields.text("jumprelu_sparsity_loss_mode", "step")?;
    let penalty = match mode.as_str() {
        "step" => L0Penalty::Step,
        "tanh" => L0Penalty::Tanh {
            scale: fields.number_or("jumprelu_tanh_scale", 4.0)?,
        },
        "quadratic" => L0Penalty::Quadratic {
            target: fields.number("target_l0")?,
        },
        other => {
            let valid = ["step", "tanh", "quadratic"];
            return Err(fields.unknown("jumprelu_sparsity_loss_mode", other, &valid));
        }
    };
    Ok(JumpRelu {
        threshold: fields.number_or("jumprelu_init_threshold", usual.threshold)?,
        bandwidth: fields.number_or("jumprelu_bandwidth", usual.bandwidth)?,
        penalty,
        to_input: fields.flag("jumprelu_ste_to_input", false)?,
    })
}

fn batch(fields: &Fields, rescale: bool) -> Result<BatchTopK, SaeError> {
    let k = fields.number("k")?;
    Ok(BatchTopK {
        rescale,
        rate: fields.number_or("topk_threshold_lr", 0.01)?,
        ..BatchTopK::new(k)
    })
}

fn normalization(fields: &Fields) -> Result<Normalization, SaeError> {
    match fields.text("normalize_activations", "none")?.as_str() {
        // SAELens multiplies outside of the dictionary, which in use does nothing.
        "none" | "expected_average_only_in" => Ok(Normalization::None),
        "constant_norm_rescale" => Ok(Normalization::ConstantNorm),
        "layer_norm" => Ok(Normalization::LayerNorm),
        other => {
            let valid = [
                "none",
                "expected_average_only_in",
                "constant_norm_rescale",
                "layer_norm",
            ];
            Err(fields.unknown("normalize_activations", other, &valid))
        }
    }
}

/// One number for the threshold of all latents, and logarithms of thresholds, as they were saved.
fn thresholds(named: &mut Named, d_sae: usize) {
    if let Some((shape, values)) = named.remove("topk_threshold") {
        match values.as_slice() {
            [one] => named.insert("threshold".into(), (vec![d_sae], vec![*one; d_sae])),
            _ => named.insert("topk_threshold".into(), (shape, values)),
        };
    }
    if let Some((shape, values)) = named.remove("log_threshold") {
        let values = values.into_iter().map(f32::exp).collect();
        named.insert("threshold".into(), (shape, values));
    }
}

/// Old files may hold a factor per latent that was fitted to the finished dictionary: it goes into the
/// decoder.
fn scaled(fields: &Fields, named: &mut Named) -> Result<(), SaeError> {
    let names = ["scaling_factor", "finetuning_scaling_factor"];
    let Some((_, factors)) = names.iter().find_map(|&name| named.remove(name)) else {
        return Ok(());
    };
    if !fields.flag("finetuning_scaling_factor", false)? {
        // SAELens held ones there for a while.
        let ones = factors.iter().all(|&factor| (factor - 1.0).abs() < 1e-5);
        return if ones {
            Ok(())
        } else {
            Err(fields.wrong(
                "`finetuning_scaling_factor` is false, but the weights hold a `scaling_factor`",
            ))
        };
    }
    if let Some((shape, values)) = named.get_mut("W_dec")
        && shape.first() == Some(&factors.len())
    {
        let width = values.len() / factors.len().max(1);
        for (row, factor) in values.chunks_mut(width.max(1)).zip(factors) {
            for value in row {
                *value *= factor;
            }
        }
    }
    Ok(())
}

/// Writes a dictionary as SAELens 6 does, into a folder that is made if need be. Its metadata are what is
/// said about it, of which SAELens knows `model_name` and `hook_name`. The number that activations are
/// multiplied by is folded into the weights.
///
/// # Errors
/// [`SaeError::Setting`] if SAELens has no such dictionary: crosscoders, and transcoders that are neither
/// L1 nor JumpReLU; [`SaeError::Model`] if a file cannot be written.
pub fn write_saelens(sae: &Sae, about: &Map<String, Value>, folder: &Path) -> Result<(), SaeError> {
    let (sae, architecture) = for_use(sae)?;
    let config = sae.config();
    let mut metadata = about.clone();
    let reshape = metadata.remove(RESHAPE).unwrap_or("none".into());
    metadata.entry("sae_lens_version").or_insert(VERSION.into());
    let autoencoder = config.writes_what_it_reads();
    let mut fields = json!({
        "d_in": config.d_in,
        "d_sae": config.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": autoencoder && config.subtract_bias,
        "normalize_activations": match config.normalization {
            Normalization::ConstantNorm => "constant_norm_rescale",
            Normalization::LayerNorm => "layer_norm",
            Normalization::None | Normalization::ExpectedAverage { .. } => "none",
        },
        RESHAPE: reshape,
        "metadata": metadata,
        "architecture": architecture,
    });
    if let Kind::TopK(TopK { k, rescale }) = config.kind {
        fields["k"] = k.into();
        fields["rescale_acts_by_decoder_norm"] = rescale.into();
    }
    if !autoencoder {
        fields["d_out"] = config.d_out().into();
    }
    std::fs::create_dir_all(folder).map_err(|source| ModelError::File {
        path: folder.into(),
        source,
    })?;
    write_tensors(&folder.join(SAELENS), &sae.weights().to_host(), &[])?;
    // The config comes last: a folder without it is no dictionary.
    let path = folder.join(CONFIG);
    write_atomic(&path, format!("{fields:#}\n").as_bytes())
        .map_err(|source| ModelError::File { path, source }.into())
}

/// The same function as SAELens has it, and its name there.
fn for_use(sae: &Sae) -> Result<(Sae, &'static str), SaeError> {
    let sae = sae.untied().fold_scale()?;
    let transcoder = "an l1 or JumpReLU one where SAELens is to read a transcoder";
    let architecture = match (sae.config().arrangement, &sae.config().kind) {
        (Arrangement::Crosscoder { .. }, _) => {
            let valid = "an autoencoder or a transcoder: SAELens has no crosscoders";
            return Err(SaeError::setting("arrangement", "crosscoder", valid));
        }
        (Arrangement::Transcoder { skip: false, .. }, Kind::Relu(_)) => "transcoder",
        (Arrangement::Transcoder { skip: true, .. }, Kind::Relu(_)) => "skip_transcoder",
        (Arrangement::Transcoder { skip: false, .. }, Kind::JumpRelu(_)) => "jumprelu_transcoder",
        (Arrangement::Transcoder { skip: true, .. }, Kind::JumpRelu(_)) => {
            "jumprelu_skip_transcoder"
        }
        (Arrangement::Transcoder { .. }, Kind::Gated(_) | Kind::TopK(_)) => {
            return Err(SaeError::setting(
                "kind",
                sae.config().kind.name(),
                transcoder,
            ));
        }
        (_, Kind::Relu(_)) => "standard",
        (_, Kind::Gated(_)) => "gated",
        (_, Kind::TopK(_)) => "topk",
        (_, Kind::JumpRelu(_)) => "jumprelu",
        (arrangement, Kind::BatchTopK(_) | Kind::Matryoshka(_)) => {
            let folded = if sae.config().kind.rule().rescales() {
                sae.fold_decoder_norms()?
            } else {
                sae
            };
            let config = SaeConfig {
                kind: JumpRelu::default().into(),
                ..folded.config().clone()
            };
            let sae = Sae::of(config, folded.weights().clone());
            return Ok((
                sae,
                match arrangement {
                    Arrangement::Transcoder { skip: false, .. } => "jumprelu_transcoder",
                    Arrangement::Transcoder { skip: true, .. } => "jumprelu_skip_transcoder",
                    _ => "jumprelu",
                },
            ));
        }
    };
    Ok((sae, architecture))
}
