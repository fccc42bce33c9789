//! Networks as safetensors files, which hold their own architecture.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Map, Value};

use crate::arch::Architecture;
use crate::error::ModelError;
use crate::host::write_atomic;
use crate::network::Network;

/// The metadata key under which a file says what network it holds.
const CONFIG: &str = "mech-robust";
/// Version of that entry.
const VERSION: u64 = 1;

/// What a file held.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The network.
    pub network: Network,
    /// What else was said when it was saved: data set, training settings, seed, ...
    pub about: Map<String, Value>,
}

/// Saves a network with its architecture and whatever else is worth knowing, so that [`load`] needs
/// nothing but the file. Written whole or not at all.
///
/// # Errors
/// [`ModelError::File`] if the file cannot be written.
pub fn save(network: &Network, about: &Map<String, Value>, path: &Path) -> Result<(), ModelError> {
    let config = serde_json::json!({
        "version": VERSION,
        "architecture": network.architecture(),
        "about": about,
    });
    write_tensors(
        path,
        &network.weights().to_host(),
        &[(CONFIG, &config.to_string())],
    )
}

/// Loads a network. A file of [`save`] says itself what it is; a PyTorch-named file of bare weights
/// needs `architecture`, which otherwise must agree with the file's own.
///
/// # Errors
/// [`ModelError::File`], [`ModelError::Format`] if the file is corrupt, truncated or says nothing of
/// its architecture, [`ModelError::Mismatch`] naming the first weight that does not fit.
pub fn load(
    path: &Path,
    architecture: Option<&Architecture>,
    device: &Device,
) -> Result<Saved, ModelError> {
    let format = |reason: String| ModelError::Format {
        path: path.into(),
        reason,
    };
    let (named, metadata) = read_tensors(path)?;
    let mut about = Map::new();
    let mut own = None;
    if let Some(text) = metadata.get(CONFIG) {
        let mut config: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| format(format!("its `{CONFIG}` entry is not JSON: {error}")))?;
        let version = config.get("version").and_then(Value::as_u64);
        if version != Some(VERSION) {
            return Err(format(format!(
                "its `{CONFIG}` entry has version {version:?}, this build reads {VERSION}"
            )));
        }
        let value = config.remove("architecture").unwrap_or_default();
        own = Some(
            serde_json::from_value::<Architecture>(value)
                .map_err(|error| format(format!("its architecture is not known: {error}")))?,
        );
        if let Some(Value::Object(said)) = config.remove("about") {
            about = said;
        }
    }
    let architecture = match (own, architecture) {
        (Some(own), Some(asked)) if own != *asked => {
            return Err(ModelError::Mismatch(format!(
                "{}: the file holds {own:?}, not {asked:?}",
                path.display()
            )));
        }
        (Some(own), _) => own,
        (None, Some(asked)) => asked.clone(),
        (None, None) => {
            return Err(format(
                "bare weights that do not say their architecture: name one".into(),
            ));
        }
    };
    let network =
        Network::with_weights(architecture, named, device).map_err(|error| match error {
            ModelError::Mismatch(reason) => {
                ModelError::Mismatch(format!("{}: {reason}", path.display()))
            }
            ModelError::NotFinite { .. } => format(error.to_string()),
            other => other,
        })?;
    Ok(Saved { network, about })
}

/// Names, shapes and values of a safetensors file, and its metadata.
pub type Tensors = (Vec<(String, Vec<usize>, Vec<f32>)>, HashMap<String, String>);

/// Reads every tensor of a safetensors file, sorted by name, as f32 on the host; half precision and
/// integers are widened.
///
/// # Errors
/// [`ModelError::File`] or [`ModelError::Format`].
pub fn read_tensors(path: &Path) -> Result<Tensors, ModelError> {
    let bytes = std::fs::read(path).map_err(|source| ModelError::File {
        path: path.into(),
        source,
    })?;
    let format = |reason: String| ModelError::Format {
        path: path.into(),
        reason,
    };
    let unreadable = |error: safetensors::SafeTensorError| {
        format(format!(
            "not a readable safetensors file ({error}): corrupt or truncated at {} bytes?",
            bytes.len()
        ))
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(unreadable)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(unreadable)?;
    let mut named = Vec::with_capacity(tensors.len());
    for (name, view) in tensors.tensors() {
        let values = widen(&view).ok_or_else(|| {
            format(format!(
                "`{name}` is of type {:?}; readable are F32, F64, F16, BF16, I64, I32 and U8",
                view.dtype()
            ))
        })?;
        named.push((name, view.shape().to_vec(), values));
    }
    named.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((named, header.metadata().clone().unwrap_or_default()))
}

/// Writes f32 tensors and string metadata, whole or not at all.
///
/// # Errors
/// [`ModelError::File`] if the file cannot be written.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, Vec<usize>, Vec<f32>)],
    metadata: &[(&str, &str)],
) -> Result<(), ModelError> {
    let failed = |source: std::io::Error| ModelError::File {
        path: path.into(),
        source,
    };
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            view.map(|view| (name.as_str(), view))
        })
        .collect::<Result<_, _>>()
        .map_err(|error| failed(std::io::Error::other(error)))?;
    // A map of one entry has one order: the same network is the same bytes.
    let metadata = (!metadata.is_empty()).then(|| {
        metadata
            .iter()
            .map(|(key, value)| ((*key).to_string(), (*value).to_string()))
            .collect::<HashMap<_, _>>()
    });
    let file = safetensors::serialize(views, metadata)
        .map_err(|error| failed(std::io::Error::other(error)))?;
    write_atomic(path, &file).map_err(failed)
}

fn widen(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::BF16 => each(bytes, |b| half::bf16::from_le_bytes(b).to_f32()),
        Dtype::F16 => each(bytes, |b| half::f16::from_le_bytes(b).to_f32()),
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f32),
        Dtype::I32 => each(bytes, |b| i32::from_le_bytes(b) as f32),
        Dtype::U8 => each(bytes, |[b]: [u8; 1]| f32::from(b)),
        _ => return None,
    })
}

fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|&chunk| value(chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> (tempfile::TempDir, std::path::PathBuf, Network) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let net = Network::init(Architecture::Toy(crate::Toy::default()), 3, &Device::flex());
        (folder, path, net.unwrap())
    }

    #[test]
    fn a_saved_network_reloads_to_the_same_bits_without_being_told_what_it_is() {
        let (_folder, path, net) = saved();
        let mut about = Map::new();
        about.insert("seed".into(), 3.into());
        save(&net, &about, &path).unwrap();
        let again = load(&path, None, &Device::flex()).unwrap();
        assert_eq!(again.network.architecture(), net.architecture());
        assert_eq!(again.network.weights().to_host(), net.weights().to_host());
        assert_eq!(again.about, about);
        let bytes = std::fs::read(&path).unwrap();
        save(&again.network, &about, &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_truncated_file_and_one_of_another_architecture_are_refused() {
        let (_folder, path, net) = saved();
        save(&net, &Map::new(), &path).unwrap();
        let other = Architecture::lenet5();
        let error = load(&path, Some(&other), &Device::flex()).unwrap_err();
        assert!(matches!(error, ModelError::Mismatch(_)), "{error}");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
        let error = load(&path, None, &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("truncated"), "{error}");
        write_tensors(&path, &net.weights().to_host(), &[]).unwrap();
        let error = load(&path, None, &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("architecture"), "{error}");
        let error = load(&path, Some(&other), &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("`conv1.weight`"), "{error}");
    }

    #[test]
    fn a_nan_weight_is_named() {
        let (_folder, path, net) = saved();
        let mut named = net.weights().to_host();
        named[0].2[5] = f32::NAN;
        write_tensors(&path, &named, &[]).unwrap();
        let error = load(&path, Some(net.architecture()), &Device::flex()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("weight `W` holds NaN at position 5"),
            "{error}"
        );
    }
}
