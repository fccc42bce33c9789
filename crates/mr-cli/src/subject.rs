//! The network that a command looks at, and what is known of how it was made.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use clap::Args;
use mr_models::data::{DataCache, Dataset};
use mr_models::{
    Architecture, DefenceConfig, Defended, InputKind, Model, ModelError, ModelSpec, Network, Saved,
    hugging_face,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::device::{self, NamedDevice};
use crate::preset;
use crate::settings::{DataFlags, Layers};

/// Name of the weights in a folder that `mr train` made.
pub(crate) const MODEL_FILE: &str = "model.safetensors";

/// Flags that pick a network.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct NetworkFlags {
    /// Weights as safetensors, or a folder that `mr train` made or Hugging Face has (config.json,
    /// model.safetensors)
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) model: PathBuf,
    /// What bare PyTorch-named weights are the weights of; see `mr models`
    #[arg(long, value_name = "NAME")]
    pub(crate) arch: Option<String>,
}

/// Flags that pick a network, what is put before it, and the data that it is looked at on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct SubjectFlags {
    #[command(flatten)]
    pub(crate) network: NetworkFlags,
    /// Put a defence before, in or behind the network; may be repeated: quantize=LEVELS, bits=N,
    /// noise=SIGMA, smoothing=SIGMA, temperature=SCALE, softmax, round-logits=DECIMALS; with more
    /// settings as smoothing=0.25,samples=32 or
    /// quantize=4,site=conv1.hook_out,backward=identity
    #[arg(long, value_name = "NAME=N")]
    pub(crate) defence: Vec<String>,
    #[command(flatten)]
    pub(crate) data: DataFlags,
}

/// The defences of the flags, or else of the settings, which take them over.
fn defences(flags: &[String], layers: &mut Layers) -> Result<Vec<DefenceConfig>> {
    if !flags.is_empty() {
        let mut list = Vec::with_capacity(flags.len());
        for text in flags {
            let config: DefenceConfig = text.parse().context("--defence")?;
            list.push(toml::Value::try_from(config).context("--defence")?);
        }
        layers.put("defence", toml::Value::Array(list), "--defence")?;
    }
    match layers.get("defence") {
        Some(_) => layers.section("defence"),
        None => Ok(Vec::new()),
    }
}

/// A network with its story.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The network without its defences.
    pub(crate) network: Network,
    /// The network behind its defences, where it has any.
    defended: Option<Defended<Network>>,
    /// The settings of its defences.
    pub(crate) defences: Vec<DefenceConfig>,
    /// What a record says under `config.trained`: name, seed, model, data, train, as far as known.
    pub(crate) trained: Map<String, Value>,
    /// The path as it was given.
    pub(crate) path: String,
}

impl Subject {
    /// Loads the network that the flags name, and puts what it was trained on and its seed beneath
    /// the settings.
    pub(crate) fn open(
        flags: &NetworkFlags,
        defence: &[String],
        layers: &mut Layers,
    ) -> Result<(Self, NamedDevice)> {
        let device = device::open(layers.text("device"))?;
        let table: Option<Architecture> = match layers.get("model") {
            Some(_) => Some(layers.section("model")?),
            None => None,
        };
        let path = locate(&flags.model)?;
        let saved = load(&path, flags.arch.as_deref(), table.as_ref(), &device.device)?;
        let mut trained = saved.about;
        trained.insert("model".into(), json(saved.network.architecture())?);
        let defences = defences(defence, layers)?;
        let mut defended = None;
        if !defences.is_empty() {
            trained.insert("defence".into(), json(&defences)?);
            defended = Some(Defended::by_config(saved.network.clone(), &defences)?);
        }
        beneath(&trained, layers);
        let parameters = saved.network.weights().parameters();
        tracing::info!(
            "{}: {parameters} parameters, on {}",
            path.display(),
            device.name
        );
        tracing::debug!("trained as {trained:?}");
        let subject = Self {
            network: saved.network,
            defended,
            defences,
            trained,
            path: flags.model.display().to_string(),
        };
        Ok((subject, device))
    }

    /// What is looked at: the network behind its defences.
    pub(crate) fn model(&self) -> &dyn Model {
        match &self.defended {
            Some(defended) => defended,
            // Not a defended network without defences: it would have no shortcuts.
            None => &self.network,
        }
    }

    /// The path, and what is put before it.
    pub(crate) fn title(&self) -> String {
        let defences: Vec<String> = self.defences.iter().map(ToString::to_string).collect();
        if defences.is_empty() {
            return self.path.clone();
        }
        format!("{} with {}", self.path, defences.join(" and "))
    }

    /// Refuses a defended network, for what looks at the network alone.
    pub(crate) fn undefended(&self, what: &str) -> Result<()> {
        if self.defences.is_empty() {
            return Ok(());
        }
        bail!("{what} looks at the network alone: leave --defence and the [defence] table out")
    }

    /// Whether it reconstructs its input instead of classifying it.
    pub(crate) fn is_autoencoder(&self) -> bool {
        matches!(self.network.architecture(), Architecture::Toy(toy) if toy.classes == 0)
    }

    /// Checks that the network takes these examples and knows their classes.
    pub(crate) fn takes(&self, data: &Dataset) -> Result<()> {
        let spec = self.network.spec();
        takes(spec, data.name(), data.shape())?;
        if self.is_autoencoder() {
            return Ok(());
        }
        match data.labels().iter().find(|&&label| label >= spec.classes) {
            None => Ok(()),
            Some(label) => bail!(
                "`{}` has class {label}, the model knows {} classes",
                data.name(),
                spec.classes
            ),
        }
    }
}

/// A number that other weights would not have.
pub(crate) fn digest(network: &Network) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for entry in network.weights().entries() {
        let values = mr_models::floats(entry.values.clone());
        let bytes = values
            .iter()
            .flat_map(|value| value.to_bits().to_le_bytes());
        // FNV-1a: a slip of the file is to be noticed, not an attack on the hash.
        for byte in entry.name.bytes().chain(bytes) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

/// Checks that a model takes examples of this shape.
pub(crate) fn takes(spec: &ModelSpec, name: &str, shape: [usize; 3]) -> Result<()> {
    match spec.input {
        InputKind::Real { shape: taken } if taken == shape => Ok(()),
        InputKind::Real { shape: taken } => bail!(
            "`{name}` has examples of {shape:?} (channel, height, width), the model takes {taken:?}"
        ),
        InputKind::Tokens { .. } => bail!("`{name}` holds real values, the model takes tokens"),
    }
}

/// The file of weights: itself, in a folder of `mr train`, or among fetched models.
pub(crate) fn locate(path: &Path) -> Result<PathBuf> {
    if path.is_dir() {
        let file = path.join(MODEL_FILE);
        if !file.is_file() && hugging_face_folder(&file).is_none() {
            bail!("{}: no {MODEL_FILE} in this folder", path.display());
        }
        return Ok(file);
    }
    if !path.exists() && path.is_relative() {
        let fetched = DataCache::platform()?.root().join(path);
        if fetched.is_file() {
            return Ok(fetched);
        }
    }
    Ok(path.into())
}

/// The folder of a network of Hugging Face, which says what it is in a `config.json`, of its weights' file.
fn hugging_face_folder(file: &Path) -> Option<&Path> {
    let folder = file.parent()?;
    let is_whole = file.file_name()? == MODEL_FILE;
    (is_whole && folder.join("config.json").is_file()).then_some(folder)
}

/// Loads weights; those that do not say what they are need a `config.json` of Hugging Face beside them, a preset
/// or a `[model]` table.
pub(crate) fn load(
    path: &Path,
    arch: Option<&str>,
    table: Option<&Architecture>,
    device: &Device,
) -> Result<Saved> {
    if let Some(arch) = arch {
        return Ok(mr_models::load(path, Some(&preset::named(arch)?), device)?);
    }
    if let Some(folder) = hugging_face_folder(path) {
        return Ok(Saved {
            network: hugging_face::load(folder, device)?,
            about: Map::new(),
        });
    }
    match mr_models::load(path, None, device) {
        Err(ModelError::Format { reason, .. }) if reason.starts_with("bare weights") => match table
        {
            Some(table) => Ok(mr_models::load(path, Some(table), device)?),
            None => bail!(
                "{}: bare weights that do not say their architecture: name it with --arch \
                     ({}) or a [model] table, or give a folder with the config.json of Hugging Face",
                path.display(),
                preset::names().collect::<Vec<_>>().join(", ")
            ),
        },
        loaded => Ok(loaded?),
    }
}

/// Puts what a network was trained on, and its seed, beneath the settings of a run on it.
fn beneath(trained: &Map<String, Value>, layers: &mut Layers) {
    if let Some(seed) = trained.get("seed").and_then(Value::as_i64) {
        layers.beneath("seed", seed);
    }
    let Some(Value::Object(data)) = trained.get("data") else {
        return;
    };
    let name = data.get("name").and_then(Value::as_str);
    let asked = layers.text("data.name");
    if asked.is_some() && asked != name {
        return;
    }
    for (key, value) in data {
        // How much of the training data was used says nothing of what is looked at now.
        if key != "limit"
            && let Ok(value) = toml::Value::try_from(value)
        {
            layers.beneath(&format!("data.{key}"), value);
        }
    }
}

/// A configuration as JSON with its numbers as they are written: 0.1, not the nearest f32.
pub(crate) fn json(config: &impl Serialize) -> Result<Value> {
    let text = serde_json::to_string(config).context("a configuration is not JSON")?;
    Ok(serde_json::from_str(&text)?)
}
