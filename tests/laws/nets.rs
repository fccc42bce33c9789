//! The golden nets: every architecture with PyTorch's outputs, and a device by name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{Architecture, Input, Labels, Network, read_tensors};
use serde_json::Value;

/// A tensor on the host: shape and values, row-major.
pub(crate) type Host = (Vec<usize>, Vec<f32>);

/// A small net and what PyTorch says of it; see `fixtures/README.md`.
pub(crate) struct Golden {
    pub(crate) file: String,
    pub(crate) architecture: Architecture,
    pub(crate) labels: Vec<usize>,
    tensors: HashMap<String, Host>,
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/golden")
        .join(name)
}

pub(crate) fn json(name: &str) -> Value {
    let text = std::fs::read_to_string(fixture(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every golden net.
pub(crate) fn all() -> Vec<Golden> {
    let models = json("models.json");
    let models = models["models"].as_array().unwrap();
    assert_eq!(models.len(), 9);
    models
        .iter()
        .map(|model| {
            let file = model["file"].as_str().unwrap().to_string();
            let (tensors, _) = read_tensors(&fixture(&file)).unwrap();
            Golden {
                architecture: serde_json::from_value(model["architecture"].clone()).unwrap(),
                labels: serde_json::from_value(model["labels"].clone()).unwrap(),
                tensors: tensors
                    .into_iter()
                    .map(|(name, shape, values)| (name, (shape, values)))
                    .collect(),
                file,
            }
        })
        .collect()
}

impl Golden {
    pub(crate) fn tensor(&self, name: &str) -> &Host {
        &self.tensors[name]
    }

    pub(crate) fn network(&self, device: &Device) -> Network {
        let weights = self
            .tensors
            .iter()
            .filter_map(|(name, (shape, values))| {
                let name = name.strip_prefix("weights/")?;
                Some((name.to_string(), shape.clone(), values.clone()))
            })
            .collect();
        Network::with_weights(self.architecture.clone(), weights, device).unwrap()
    }

    pub(crate) fn input(&self, device: &Device) -> Input {
        let (shape, values) = self.tensor("input");
        let shape: [usize; 4] = shape.clone().try_into().unwrap();
        Tensor::<4>::from_data(TensorData::new(values.clone(), shape), device).into()
    }

    pub(crate) fn labels(&self, device: &Device) -> Labels {
        Labels::of_classes(&self.labels, device)
    }
}

/// Asserts that values agree up to `tolerance` of the largest expected one.
pub(crate) fn close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3_f32, |most, v| most.max(v.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * scale,
            "{what}: {found} for {expected} at {i}, scale {scale}"
        );
    }
}
