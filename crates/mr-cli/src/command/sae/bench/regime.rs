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

/// Those whose sparsity is paid for: which coefficient gives which L0 is not known before.
pub(super) const PENALISED: [&str; 3] = ["relu", "gated", "jump-relu"];

/// The first and the last coefficient of sparsity that are tried, in units of scaled activations.
pub(super) const COEFFICIENTS: [f64; 2] = [0.1, 10.0];

/// Features of some sort, and dictionaries for them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Regime {
    pub(super) name: &'static str,
    pub(super) planted: PlantedConfig,
    pub(super) latents: usize,
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
    /// Coefficients of a grid.
    pub(super) grid: usize,
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
    /// The easy regime needs half the steps.
    pub(super) fn size(&self, size: Size) -> Size {
        let halves = if self.name == "easy" { 2 } else { 1 };
        Size {
            steps: size.steps.div_ceil(halves),
            ..size
        }
    }

    /// A dictionary of one architecture. All are fitted alike; activations are scaled to a mean norm of the root of their
    /// channels.
    pub(super) fn plan(
        &self,
        kind: &str,
        name: String,
        sparsity: f64,
        seed: u64,
        size: &Size,
    ) -> Plan {
        let sees_k = !PENALISED.contains(&kind);
        Plan {
            name,
            dictionary: SaeConfig::new(self.planted.width, self.latents, self.kind(kind)),
            fit: FitConfig {
                seed,
                lr: 2e-3,
                warmup: size.steps / 50,
                decay: size.steps / 3,
                sparsity: sparsity as f32,
                sparsity_warmup: size.steps / 5,
                normalize: true,
                centre: Centre::Mean,
                revival: if sees_k {
                    Revival::AuxK {
                        k: None,
                        coefficient: 1.0,
                    }
                } else {
                    Revival::None
                },
                dead_after: 50 * size.batch,
                ..FitConfig::default()
            },
        }
    }

    fn kind(&self, name: &str) -> Kind {
        let k = self.l0 as f32;
        match name {
            "relu" => Relu::default().into(),
            "gated" => Gated::default().into(),
            "top-k" => TopK::new(self.l0.round().max(1.0) as usize).into(),
            "batch-top-k" => BatchTopK::new(k).into(),
            // Anthropic's of January 2025, for activations of this scale: a narrow rectangle never sees the magnitudes of
            // features that are orthogonal, and thresholds stay where they are.
            "jump-relu" => JumpRelu {
                threshold: 0.1,
                bandwidth: 2.0,
                to_input: true,
                ..JumpRelu::default()
            }
            .into(),
            // SynthSAEBench's prefixes of 128, 512 and 2048 of 4096.
            _ => Matryoshka::new(k, self.prefixes()).into(),
        }
    }

    fn prefixes(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = [32, 8, 2].map(|part| self.latents / part).into();
        widths.retain(|width| *width > 0 && *width < self.latents);
        widths.dedup();
        if widths.is_empty() { vec![1] } else { widths }
    }
}
