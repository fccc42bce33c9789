//! Networks of Hugging Face: `config.json` and safetensors under the names of their families, as our
//! transformers under TransformerLens's names.
//!
//! One file for each family says which of its settings are which of ours, and which of its tensors, laid
//! out how, are which of our weights.

mod bert;
mod given;
mod gpt2;
mod llama;
mod neox;
mod settings;
mod vit;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::{Map, Value};

use self::given::Given;
use self::settings::Settings;
use crate::arch::{Architecture, Transformer};
use crate::error::ModelError;
use crate::file::read_tensors;
use crate::network::Network;

/// Names, shapes and values of weights.
type Named = Vec<(String, Vec<usize>, Vec<f32>)>;

/// A family of networks.
struct Family {
    /// The `model_type` values of its `config.json`.
    types: &'static [&'static str],
    /// What the names of a bare network lack, and those of one with a head begin with.
    prefix: &'static str,
    /// Tensors that nothing is computed from, by the end of their names.
    ignored: &'static [&'static str],
    /// What it is made as.
    architecture: fn(&Settings, &Given) -> Result<Transformer, ModelError>,
    /// Makes our weights.
    weights: fn(&Transformer, &mut Given),
}

const FAMILIES: [Family; 5] = [
    gpt2::FAMILY,
    neox::FAMILY,
    llama::FAMILY,
    bert::FAMILY,
    vit::FAMILY,
];

/// Loads a network from a folder with `config.json` and `model.safetensors`, or the several files that
/// `model.safetensors.index.json` names.
///
/// # Errors
/// [`ModelError::File`] and [`ModelError::Format`] for files that cannot be read, and those of
/// [`convert`].
pub fn load(folder: &Path, device: &Device) -> Result<Network, ModelError> {
    let config = read_json(&folder.join("config.json"))?;
    let mut named = Vec::new();
    for file in tensor_files(folder)? {
        named.extend(read_tensors(&file)?.0);
    }
    convert(&config, named, device).map_err(|error| match error {
        ModelError::Mismatch(reason) => {
            ModelError::Mismatch(format!("{}: {reason}", folder.display()))
        }
        other => other,
    })
}

/// The network that a `config.json` and tensors under the names of its family make.
///
/// # Errors
/// [`ModelError::UnknownName`] for a family that is not known, [`ModelError::Unfit`] for a setting
/// that our transformers do not have, [`ModelError::Mismatch`] naming every tensor that is missing and
/// every one that is not expected.
pub fn convert(
    config: &Map<String, Value>,
    named: Vec<(String, Vec<usize>, Vec<f32>)>,
    device: &Device,
) -> Result<Network, ModelError> {
    let settings = Settings::new(config);
    let name = settings.text("model_type")?;
    let mut families = FAMILIES.iter();
    let family = families
        .find(|family| family.types.contains(&name))
        .ok_or_else(|| {
            let known = FAMILIES.iter().flat_map(|family| family.types);
            ModelError::unknown("model_type", name, known.copied())
        })?;
    let mut given = Given::new(named, family.prefix);
    let net = (family.architecture)(&settings, &given)?;
    let architecture = Architecture::Transformer(net.clone());
    architecture.definition().validate()?;
    (family.weights)(&net, &mut given);
    Network::with_weights(architecture, given.finish(family.ignored)?, device)
}

fn read_json(path: &Path) -> Result<Map<String, Value>, ModelError> {
    let text = std::fs::read_to_string(path).map_err(|source| ModelError::File {
        path: path.into(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|error| ModelError::Format {
        path: path.into(),
        reason: format!("not a JSON object: {error}"),
    })
}

fn tensor_files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(vec![folder.join("model.safetensors")]);
    }
    let read = read_json(&index)?;
    let files = read.get("weight_map").and_then(Value::as_object);
    let files = files.ok_or_else(|| ModelError::Format {
        path: index.clone(),
        reason: "it has no `weight_map`".into(),
    })?;
    let files: BTreeSet<&str> = files.values().filter_map(Value::as_str).collect();
    // A name, not a way out of the folder.
    let within = |file: &&str| Path::new(file).components().count() == 1;
    Ok(files
        .into_iter()
        .filter(within)
        .map(|file| folder.join(file))
        .collect())
}
