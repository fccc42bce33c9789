//! Our own file: safetensors with the config in its metadata.

use std::path::Path;

use burn::tensor::Device;
use mr_models::{read_tensors, write_tensors};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Format, Opened, read};
use crate::config::{Arrangement, SaeConfig};
use crate::error::SaeError;
use crate::kind::Relu;
use crate::layout::assemble;
use crate::sae::Sae;

/// The metadata key under which a file says what dictionary it holds.
const CONFIG: &str = "mech-robust-dictionary";
/// Version of that entry.
const VERSION: u64 = 2;

#[derive(Deserialize)]
struct Held {
    config: SaeConfig,
    about: Map<String, Value>,
}

/// Version 1 knew the tied dictionary alone, whose weights were `W` and `b`.
#[derive(Deserialize)]
struct First {
    d_in: usize,
    d_sae: usize,
    about: Map<String, Value>,
}

impl Sae {
    /// Saves the dictionary with whatever else is worth knowing: the site, the data, the settings of
    /// the fit. Written whole or not at all.
    ///
    /// # Errors
    /// [`SaeError::Model`] if the file cannot be written.
    pub fn save(&self, about: &Map<String, Value>, path: &Path) -> Result<(), SaeError> {
        let config = json!({"version": VERSION, "config": self.config(), "about": about});
        let tensors = self.weights().to_host();
        let metadata = [(CONFIG, &*config.to_string())];
        Ok(write_tensors(path, &tensors, &metadata)?)
    }
}

pub(super) fn load(path: &Path, device: &Device) -> Result<Opened, SaeError> {
    let wrong = |reason: String| SaeError::format(path, reason);
    let (named, metadata) = read_tensors(path)?;
    let mut named = read::by_name(named);
    let text = metadata.get(CONFIG).ok_or_else(|| {
        wrong(
            "holds no dictionary: its metadata name none, and no cfg.json of SAELens or sparsify \
             lies beside it"
                .into(),
        )
    })?;
    let unreadable =
        |error: serde_json::Error| wrong(format!("its `{CONFIG}` entry is not readable: {error}"));
    let entry: Value = serde_json::from_str(text).map_err(unreadable)?;
    let (config, about) = match entry["version"].as_u64() {
        Some(1) => {
            let first: First = serde_json::from_value(entry).map_err(unreadable)?;
            for (old, new) in [("W", "W_dec"), ("b", "b_enc")] {
                if let Some(tensor) = named.remove(old) {
                    named.insert(new.into(), tensor);
                }
            }
            let kind = Relu { weighted: false };
            let config = SaeConfig::new(first.d_in, first.d_sae, kind);
            (config.arranged(Arrangement::Tied), first.about)
        }
        Some(VERSION) => {
            let held: Held = serde_json::from_value(entry).map_err(unreadable)?;
            (held.config, held.about)
        }
        _ => {
            return Err(wrong(format!(
                "holds a dictionary of version {}; this build reads versions 1 to {VERSION}",
                entry["version"]
            )));
        }
    };
    Ok(Opened {
        sae: assemble(config, named, path, device)?,
        about,
        format: Format::Native,
    })
}
