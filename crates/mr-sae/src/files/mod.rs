//! Dictionaries as files: ours, and those of other libraries.

mod native;
mod read;
mod saelens;
mod saelens_old;
mod sparsify;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::{Map, Value};

pub use saelens::write_saelens;

use crate::error::SaeError;
use crate::sae::Sae;

/// Whose file a dictionary came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Ours: one safetensors file with the config in its metadata.
    Native,
    /// SAELens 6: a folder of `cfg.json` and `sae_weights.safetensors`.
    SaeLens,
    /// SAELens before 6: the same with a flat `cfg.json`.
    SaeLensOld,
    /// EleutherAI's sparsify: a folder of `cfg.json` and `sae.safetensors`.
    Sparsify,
}

/// A dictionary from a file.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The dictionary.
    pub sae: Sae,
    /// What the file says about it: the model, the site, the data, the fit.
    pub about: Map<String, Value>,
    /// Whose file it was.
    pub format: Format,
}

/// SAELens's and sparsify's config.
const CONFIG: &str = "cfg.json";
/// SAELens's weights.
const SAELENS: &str = "sae_weights.safetensors";
/// Sparsify's weights.
const SPARSIFY: &str = "sae.safetensors";

/// Opens a dictionary, whoever wrote it: a safetensors file of ours; or the folder that SAELens or
/// sparsify made, or one of the two files in it.
///
/// # Errors
/// [`SaeError::Format`] naming the file, what is wrong with it and what would be right;
/// [`SaeError::Model`] if it cannot be read.
pub fn open(path: &Path, device: &Device) -> Result<Opened, SaeError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let folder: PathBuf = match name {
        _ if path.is_dir() => path.into(),
        Some(CONFIG | SAELENS | SPARSIFY) => {
            let parent = path.parent().unwrap_or(Path::new("."));
            if !parent.join(CONFIG).exists() {
                return native::load(path, device);
            }
            parent.into()
        }
        _ => return native::load(path, device),
    };
    let config = read::config(&folder.join(CONFIG))?;
    if folder.join(SAELENS).exists() {
        if saelens::is_current(&config) {
            saelens::load(&folder, &config, device)
        } else {
            saelens_old::load(&folder, config, device)
        }
    } else if folder.join(SPARSIFY).exists() {
        sparsify::load(&folder, &config, device)
    } else {
        Err(SaeError::format(
            &folder,
            format!("holds no weights beside its {CONFIG}: expected {SAELENS} or {SPARSIFY}"),
        ))
    }
}

#[cfg(test)]
mod tests;
