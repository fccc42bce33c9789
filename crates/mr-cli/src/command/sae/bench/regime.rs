//! What the benchmark fits, and to what.

use mr_models::data::PlantedConfig;
use mr_sae::{BatchTopK, Gated, JumpRelu, Kind, Matryoshka, Relu, Revival, SaeConfig, TopK};
use mr_train::{Centre, FitConfig, FitLength, Plan};
use serde::Serialize;

/// The architectures, as they are listed.
pub(super) const KINDS: [&str; 6] = [
    "relu",
    "gated",
    "top-k",
    "batch-top-k",
    "jump-relu",
    "matryoshka",
];

/// Steps of the whole benchmark. After fewer, not every dictionary has come to rest.
pub(super) const STEPS: usize = 2500;

/// Features of some sort, and dictionaries for them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Regime {
    pub(super) name: &'static str,
    pub(super) planted: PlantedConfig,
    pub(super) latents: usize,
    /// Features that are on in an example.
    pub(super) on: f64,
    /// Active latents of a sample that every dictionary is to have.
    pub(super) l0: f64,
    /// The architectures that take part.
    pub(super) kinds: Vec<&'static str>,
}

/// How long and how often is fitted.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Size {
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) seeds: u64,
    /// Examples that dictionaries are judged on.
    pub(super) judged: usize,
}

impl Size {
    pub(super) fn length(&self) -> FitLength {
        FitLength {
            steps: self.steps,
            batch_size: self.batch,
            report: self.steps,
            checkpoint: self.steps,
            early_stop: None,
        }
    }
}

impl Regime {
    /// A dictionary of one architecture. All have the same rate and length; activations are scaled to a mean norm of the root of
    /// their channels.
    pub(super) fn plan(&self, kind: &str, seed: u64, size: &Size) -> Plan {
        let fit = FitConfig {
            seed,
            lr: 5e-3,
            warmup: size.steps / 50,
            decay: size.steps / 3,
            normalize: true,
            centre: Centre::Mean,
            dead_after: 50 * size.batch,
            ..FitConfig::default()
        };
        // Encoders begin small, so that a feature is taken by the latent nearest to it before others are drawn to it.
        let paid = |sparsity: f32, sparsity_warmup: usize| FitConfig {
            l0: Some(self.l0 as f32),
            sparsity,
            sparsity_warmup,
            decoder_norm: Some(0.1),
            ..fit.clone()
        };
        let fit = match kind {
            // Where features overlap, a fast onset leaves JumpReLU's latents dead; where none do, a slow one lets them share.
            "jump-relu" if self.overlaps() => paid(0.1, size.steps / 10 * 3),
            "relu" | "gated" | "jump-relu" => paid(1.0, size.steps / 10),
            _ => FitConfig {
                revival: Revival::AuxK {
                    k: None,
                    coefficient: 1.0,
                },
                ..fit
            },
        };
        Plan {
            name: kind.into(),
            dictionary: SaeConfig::new(self.planted.width, self.latents, self.kind(kind)),
            fit,
        }
    }

    fn kind(&self, name: &str) -> Kind {
        let k = self.l0 as f32;
        match name {
            "relu" => Relu::default().into(),
            "gated" => Gated::default().into(),
            "top-k" => TopK::new(self.l0.round().max(1.0) as usize).into(),
            "batch-top-k" => BatchTopK::new(k).into(),
            // Anthropic's of January 2025 but for the bandwidth. Two latents that share a feature have half its magnitude each:
            // where the rectangle does not reach from a threshold to there, neither ever learns that the other is too much.
            "jump-relu" => JumpRelu {
                threshold: 0.1,
                bandwidth: (0.9 * self.magnitude()) as f32,
                to_input: true,
                ..JumpRelu::default()
            }
            .into(),
            // SynthSAEBench's prefixes of 128, 512 and 2048 of 4096.
            _ => Matryoshka::new(k, self.prefixes()).into(),
        }
    }

    /// Whether there are more features than dimensions.
    fn overlaps(&self) -> bool {
        self.planted.features > self.planted.width
    }

    /// The magnitude of a feature in scaled activations, roughly.
    fn magnitude(&self) -> f64 {
        let of = |value: f32| f64::from(value);
        let mean = self.planted.magnitudes.map(of).iter().sum::<f64>() / 2.0;
        let squared_norm = of(self.planted.bias).powi(2) + self.on * mean.powi(2);
        mean * (self.planted.width as f64 / squared_norm.max(1e-12)).sqrt()
    }

    fn prefixes(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = [32, 8, 2].map(|part| self.latents / part).into();
        widths.retain(|width| *width > 0 && *width < self.latents);
        widths.dedup();
        if widths.is_empty() { vec![1] } else { widths }
    }
}
