//! SAELens before version 6: the same folder with a flat `cfg.json` and other names.

use std::path::Path;

use burn::tensor::Device;
use serde_json::{Map, Value};

use super::read::Fields;
use super::saelens::read_folder;
use super::{CONFIG, Format, Opened};
use crate::error::SaeError;

/// Fields that were renamed.
const RENAMED: [(&str, &str); 3] = [
    ("hook_point", "hook_name"),
    ("hook_point_head_index", "hook_head_index"),
    ("activation_fn_str", "activation_fn"),
];

/// Fields that say where a dictionary belongs.
const ABOUT: [&str; 10] = [
    "model_name",
    "hook_name",
    "hook_layer",
    "hook_head_index",
    "dataset_path",
    "context_size",
    "prepend_bos",
    "neuronpedia_id",
    "sae_lens_training_version",
    "reshape_activations",
];

pub(super) fn load(
    folder: &Path,
    mut config: Map<String, Value>,
    device: &Device,
) -> Result<Opened, SaeError> {
    let path = folder.join(CONFIG);
    for (old, new) in RENAMED {
        if let Some(value) = config.remove(old) {
            config.insert(new.into(), value);
        }
    }
    let fields = Fields {
        path: &path,
        fields: &config,
    };
    let activation = fields.text("activation_fn", "relu")?;
    let mut now = config.clone();
    match activation.as_str() {
        "relu" => {}
        "topk" => {
            // Whatever architecture was written beside it.
            let k = config
                .get("activation_fn_kwargs")
                .and_then(|kwargs| kwargs.get("k"));
            let k = k.or_else(|| config.get("k")).cloned().ok_or_else(|| {
                fields.wrong("lacks `activation_fn_kwargs.k`, which the activation `topk` needs")
            })?;
            now.insert("k".into(), k);
            now.insert("architecture".into(), "topk".into());
        }
        other => return Err(fields.unknown("activation_fn", other, &["relu", "topk"])),
    }
    // It was a flag at first.
    let normalized = match config.get("normalize_activations") {
        Some(Value::Bool(true)) => Some("expected_average_only_in"),
        Some(Value::Bool(false)) => Some("none"),
        _ => None,
    };
    if let Some(normalized) = normalized {
        now.insert("normalize_activations".into(), normalized.into());
    }
    let mut about = Map::new();
    for name in ABOUT {
        if let Some(value) = config.get(name).filter(|value| !value.is_null()) {
            about.insert(name.into(), value.clone());
        }
    }
    let hook = fields.text("hook_name", "")?;
    if hook.contains("hook_z") && !about.contains_key("reshape_activations") {
        about.insert("reshape_activations".into(), "hook_z".into());
    }
    let fields = Fields {
        path: &path,
        fields: &now,
    };
    Ok(Opened {
        sae: read_folder(folder, &fields, device)?,
        about,
        format: Format::SaeLensOld,
    })
}
