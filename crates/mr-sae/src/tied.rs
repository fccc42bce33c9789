//! The tied sparse autoencoder of effective features.

use std::path::Path;

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use mr_models::{Weights, read_tensors, write_tensors};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dictionary::Dictionary;
use crate::error::SaeError;

/// `z = ReLU(W x + b)`, `x' = W^T z`: one matrix reads and writes, and there is no decoder bias
/// (Bereska et al. 2025; the autoencoder of Cunningham et al. 2024 without norm constraint).
///
/// Weights: `W` `[d_sae, d_in]` and `b` `[d_sae]`.
#[derive(Debug, Clone)]
pub struct Tied {
    weights: Weights,
    d_in: usize,
    d_sae: usize,
}

/// How the terms of a loss are summed over channels and latents. Over samples it is always the
/// mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// `||x - x'||^2 + lambda |z|_1`, as the formula is written.
    #[default]
    Sum,
    /// `||x - x'||^2 / d_in + lambda |z|_1 / d_sae`, what calling `mean` on both tensors gives: the
    /// sparsity then weighs `d_in / d_sae` times what it does in the sum, a quarter at an expansion
    /// of 4.
    Mean,
}

/// What sparsity costs in the loss of a dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Penalty {
    /// Weight of the l1 norm of codes, lambda.
    pub lambda: f32,
    /// How both terms are summed.
    pub reduction: Reduction,
}

impl Default for Penalty {
    fn default() -> Self {
        Self {
            lambda: 0.1,
            reduction: Reduction::Sum,
        }
    }
}

/// The metadata key under which a file says what dictionary it holds.
const CONFIG: &str = "mech-robust-dictionary";
/// Version of that entry.
const VERSION: u64 = 1;

impl Tied {
    /// A dictionary with Xavier uniform weights (Glorot & Bengio 2010), drawn on the host from
    /// `seed`, and zero biases.
    ///
    /// # Errors
    /// [`SaeError::Setting`] unless both widths are at least 1.
    pub fn init(d_in: usize, d_sae: usize, seed: u64, device: &Device) -> Result<Self, SaeError> {
        for (what, value) in [("d_in", d_in), ("d_sae", d_sae)] {
            if value == 0 {
                return Err(SaeError::setting(what, value, "at least 1"));
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let bound = (6.0 / (d_in + d_sae) as f32).sqrt();
        let values = (0..d_in * d_sae)
            .map(|_| rng.random_range(-bound..=bound))
            .collect();
        let mut weights = Weights::default();
        weights.push("W", &[d_sae, d_in], values, true, device);
        weights.push("b", &[d_sae], vec![0.0; d_sae], true, device);
        Ok(Self {
            weights,
            d_in,
            d_sae,
        })
    }

    /// Its weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The same dictionary with other weights of the same names and shapes: tracked ones, or what an
    /// optimiser made of them.
    pub fn with_weights(&self, weights: Weights) -> Self {
        Self {
            weights,
            ..self.clone()
        }
    }

    /// The loss of samples `[sample, d_in]`, as a scalar `[1]`: squared error of the reconstruction
    /// and the l1 norm of the code, summed as the penalty says and averaged over samples.
    pub fn loss(&self, x: &Tensor<2>, penalty: &Penalty) -> Tensor<1> {
        let z = self.encode(x.clone());
        let error = x.clone() - self.decode(z.clone());
        let count = x.dims()[0] as f32;
        let (channels, latents) = match penalty.reduction {
            Reduction::Sum => (1.0, 1.0),
            Reduction::Mean => (self.d_in as f32, self.d_sae as f32),
        };
        // Codes are at least 0: their l1 norm is their sum.
        error.square().sum() / (count * channels) + z.sum() * (penalty.lambda / (count * latents))
    }

    /// Saves the dictionary with whatever else is worth knowing: the site, the data, the settings of
    /// the fit. Written whole or not at all.
    ///
    /// # Errors
    /// [`SaeError::Model`] if the file cannot be written.
    pub fn save(&self, about: &Map<String, Value>, path: &Path) -> Result<(), SaeError> {
        let config = json!({
            "version": VERSION,
            "type": "tied",
            "d_in": self.d_in,
            "d_sae": self.d_sae,
            "about": about,
        });
        let tensors = self.weights.to_host();
        Ok(write_tensors(
            path,
            &tensors,
            &[(CONFIG, &config.to_string())],
        )?)
    }

    /// Loads a dictionary, and what was said about it when it was saved.
    ///
    /// # Errors
    /// [`SaeError::Format`] if the file holds no tied dictionary, [`SaeError::Model`] if it cannot be
    /// read or its weights are not those of the widths that it names.
    pub fn load(path: &Path, device: &Device) -> Result<(Self, Map<String, Value>), SaeError> {
        let format = |reason: String| SaeError::format(path, reason);
        let (named, metadata) = read_tensors(path)?;
        let text = metadata
            .get(CONFIG)
            .ok_or_else(|| format("holds no dictionary: its metadata name none".into()))?;
        let held: Held = serde_json::from_str(text)
            .map_err(|error| format(format!("its `{CONFIG}` entry is not readable: {error}")))?;
        if held.version != VERSION || held.kind != "tied" {
            return Err(format(format!(
                "holds a `{}` dictionary of version {}; this build reads `tied` ones of version \
                 {VERSION}",
                held.kind, held.version
            )));
        }
        let mut tied = Self::init(held.d_in, held.d_sae, 0, device)?;
        tied.weights = tied.weights.replaced_by(named, device)?;
        Ok((tied, held.about))
    }
}

#[derive(Deserialize)]
struct Held {
    version: u64,
    #[serde(rename = "type")]
    kind: String,
    d_in: usize,
    d_sae: usize,
    about: Map<String, Value>,
}

impl Dictionary for Tied {
    fn d_in(&self) -> usize {
        self.d_in
    }

    fn d_sae(&self) -> usize {
        self.d_sae
    }

    fn encode(&self, x: Tensor<2>) -> Tensor<2> {
        let w = self.weights.get::<2>("W");
        relu(x.matmul(w.transpose()) + self.weights.get::<1>("b").unsqueeze())
    }

    fn decode(&self, z: Tensor<2>) -> Tensor<2> {
        z.matmul(self.weights.get::<2>("W"))
    }

    fn directions(&self) -> Tensor<2> {
        self.weights.get::<2>("W")
    }
}

#[cfg(test)]
mod tests {
    use mr_models::floats;
    use proptest::prelude::*;

    use super::*;

    /// W = [[1, 0], [0, 2], [-1, 1]], b = [0, -1, 0.5].
    fn known() -> Tied {
        let device = Device::flex();
        let tied = Tied::init(2, 3, 0, &device).unwrap();
        let w = vec![1.0, 0.0, 0.0, 2.0, -1.0, 1.0];
        let named = vec![
            ("W".into(), vec![3, 2], w),
            ("b".into(), vec![3], vec![0.0, -1.0, 0.5]),
        ];
        let weights = tied.weights().replaced_by(named, &device).unwrap();
        tied.with_weights(weights)
    }

    fn rows(values: &[[f32; 2]]) -> Tensor<2> {
        let flat: Vec<f32> = values.concat();
        Tensor::<1>::from_floats(flat.as_slice(), &Device::flex()).reshape([values.len(), 2])
    }

    #[test]
    fn codes_and_reconstructions_are_those_of_the_formula() {
        let tied = known();
        // W x + b = [1, 3, 1.5] and [-1, -1, 1.5].
        let z = tied.encode(rows(&[[1.0, 2.0], [-1.0, 0.0]]));
        assert_eq!(floats(z.clone()), [1.0, 3.0, 1.5, 0.0, 0.0, 1.5]);
        assert_eq!(floats(tied.decode(z)), [-0.5, 7.5, -1.5, 1.5]);
    }

    #[test]
    fn the_mean_weighs_sparsity_by_the_inverse_of_the_expansion() {
        let tied = known();
        let x = rows(&[[1.0, 2.0], [-1.0, 0.0]]);
        let loss = |lambda, reduction| floats(tied.loss(&x, &Penalty { lambda, reduction }))[0];
        // Squared errors 1.5^2 + 5.5^2 = 32.5 and 0.5^2 + 1.5^2 = 2.5; l1 norms 5.5 and 1.5.
        assert_eq!(loss(0.0, Reduction::Sum), 17.5);
        assert_eq!(loss(0.0, Reduction::Mean), 8.75);
        assert!((loss(0.1, Reduction::Sum) - 17.85).abs() < 1e-5);
        assert!((loss(0.1, Reduction::Mean) - (8.75 + 0.35 / 3.0)).abs() < 1e-5);
        // The mean with lambda is 1 / d_in of the sum with lambda d_in / d_sae.
        let scaled = loss(0.1 * 2.0 / 3.0, Reduction::Sum) / 2.0;
        assert!((loss(0.1, Reduction::Mean) - scaled).abs() < 1e-5);
    }

    #[test]
    fn a_zero_activation_costs_what_the_biases_say() {
        let tied = Tied::init(2, 5, 1, &Device::flex()).unwrap();
        let x = rows(&[[0.0, 0.0]]);
        assert_eq!(floats(tied.loss(&x, &Penalty::default())), [0.0]);
    }

    #[test]
    fn initial_weights_fill_the_xavier_bound_and_follow_the_seed() {
        let draw = |seed| {
            let tied = Tied::init(8, 32, seed, &Device::flex()).unwrap();
            floats(tied.weights().get::<2>("W"))
        };
        let values = draw(0);
        let bound = (6.0f32 / 40.0).sqrt();
        let largest = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        assert!(largest <= bound && largest > 0.95 * bound, "{largest}");
        assert_eq!(values, draw(0));
        assert_ne!(values, draw(1));
        let error = Tied::init(3, 0, 0, &Device::flex()).unwrap_err();
        assert_eq!(error.to_string(), "d_sae is 0, must be at least 1");
    }

    #[test]
    fn a_saved_dictionary_loads_to_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dictionary.safetensors");
        let device = Device::flex();
        let tied = Tied::init(4, 16, 3, &device).unwrap();
        let mut about = Map::new();
        about.insert("site".into(), "hook_hidden".into());
        tied.save(&about, &path).unwrap();
        let (again, said) = Tied::load(&path, &device).unwrap();
        assert_eq!(again.weights().to_host(), tied.weights().to_host());
        assert_eq!((again.d_in(), again.d_sae(), said), (4, 16, about));
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let device = Device::flex();
        let tied = Tied::init(4, 16, 3, &device).unwrap();
        write_tensors(&path, &tied.weights().to_host(), &[]).unwrap();
        let error = Tied::load(&path, &device).unwrap_err().to_string();
        assert!(
            error.ends_with("holds no dictionary: its metadata name none"),
            "{error}"
        );
        let config = r#"{"version": 1, "type": "topk", "d_in": 4, "d_sae": 16, "about": {}}"#;
        write_tensors(&path, &tied.weights().to_host(), &[(CONFIG, config)]).unwrap();
        let error = Tied::load(&path, &device).unwrap_err().to_string();
        assert!(
            error.contains("holds a `topk` dictionary of version 1"),
            "{error}"
        );
        let config = config.replace("topk", "tied").replace("16", "15");
        write_tensors(&path, &tied.weights().to_host(), &[(CONFIG, &config)]).unwrap();
        let error = Tied::load(&path, &device).unwrap_err().to_string();
        assert!(error.contains("weight `W` has shape [16, 4]"), "{error}");
    }

    proptest! {
        #[test]
        fn codes_are_never_negative_and_the_error_completes_the_reconstruction(
            values in proptest::collection::vec(-5.0f32..5.0, 6),
            seed in 0u64..50,
        ) {
            let tied = Tied::init(3, 7, seed, &Device::flex()).unwrap();
            let x = Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([2, 3]);
            let z = tied.encode(x.clone());
            prop_assert!(floats(z.clone()).iter().all(|&v| v >= 0.0));
            let decoded = tied.decode(z);
            let error = x - decoded.clone();
            for (v, sum) in values.iter().zip(floats(decoded + error)) {
                prop_assert!((v - sum).abs() < 1e-5);
            }
        }
    }
}
