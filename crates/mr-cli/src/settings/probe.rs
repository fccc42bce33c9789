//! What `mr probe` reads, where, and how.

use anyhow::{Result, bail};
use clap::ValueEnum;
use mr_circuits::{Positions, ProbeKind, TreeMeasure};
use mr_models::{ModelError, ModelSpec};
use mr_train::{ProbeConfig, StructuralConfig};
use serde::{Deserialize, Serialize};

/// What is fitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReadOut {
    /// Ridge regression on indicators of the classes
    Linear,
    /// Multinomial logistic regression
    #[default]
    Logistic,
    /// The nearest class mean
    MeanDifference,
    /// The nearest class mean with the covariance within classes taken out
    MassMean,
    /// A concept activation vector: logistic, of a concept against the rest
    Cav,
    /// A structural probe of distances in a tree
    Distance,
    /// A structural probe of depths in a tree
    Depth,
}

impl ReadOut {
    /// What a structural probe reads.
    pub(crate) fn tree(self) -> Option<TreeMeasure> {
        match self {
            Self::Distance => Some(TreeMeasure::Distance),
            Self::Depth => Some(TreeMeasure::Depth),
            _ => None,
        }
    }

    /// What a probe of classes is; one of trees is fitted otherwise.
    fn kind(self) -> ProbeKind {
        match self {
            Self::Linear => ProbeKind::Linear,
            Self::Logistic | Self::Distance | Self::Depth => ProbeKind::Logistic,
            Self::MeanDifference => ProbeKind::MeanDifference,
            Self::MassMean => ProbeKind::MassMean,
            Self::Cav => ProbeKind::Cav,
        }
    }
}

/// The `[probe]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProbeSettings {
    /// Seed of folds and of the control task.
    pub(crate) seed: u64,
    /// What is fitted.
    pub(crate) kind: ReadOut,
    /// The sites; those that a network passes on from layer to layer where none is named.
    pub(crate) sites: Vec<String>,
    /// Classes that are one concept, against the rest; every class by itself where none is named.
    pub(crate) concept: Vec<String>,
    /// What a sample is: where nothing is said, of images the mean over positions, of prompts the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) positions: Option<Positions>,
    /// The penalty.
    pub(crate) lambda: f64,
    /// Folds, each of which is judged by a probe of the others.
    pub(crate) folds: usize,
    /// Types of inputs in the control task.
    pub(crate) types: usize,
    /// Resamples of the intervals over examples.
    pub(crate) resamples: usize,
    /// How structural probes are fitted; their seed is that of the table.
    pub(crate) structural: StructuralConfig,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        let fit = ProbeConfig::default();
        Self {
            seed: 0,
            kind: ReadOut::default(),
            sites: Vec::new(),
            concept: Vec::new(),
            positions: None,
            lambda: fit.lambda,
            folds: 5,
            types: 50,
            resamples: 2000,
            structural: StructuralConfig::default(),
        }
    }
}

impl ProbeSettings {
    /// How a probe of classes is fitted, on samples of this kind where the settings do not say.
    pub(crate) fn fit(&self, positions: Positions) -> ProbeConfig {
        ProbeConfig {
            kind: self.kind.kind(),
            lambda: self.lambda,
            positions: self.positions.unwrap_or(positions),
            ..ProbeConfig::default()
        }
    }

    /// The sites that are probed, each of which the network has.
    pub(crate) fn sites(&self, spec: &ModelSpec) -> Result<Vec<String>> {
        if !self.sites.is_empty() {
            let resolved = self.sites.iter().map(|name| spec.resolve(name));
            return Ok(resolved
                .map(|site| site.map(|site| site.name.clone()))
                .collect::<Result<_, ModelError>>()?);
        }
        let names: Vec<&String> = spec.sites.iter().map(|site| &site.name).collect();
        let ending = |end: &str| names.iter().filter(|name| name.ends_with(end)).count() > 0;
        let wanted = ["hook_resid_post", "hook_out", "hook_hidden"];
        let Some(end) = wanted.into_iter().find(|end| ending(end)) else {
            bail!("name a site with --site: see `mr models --sites`");
        };
        let passed = names.into_iter().filter(|name| name.ends_with(end));
        let mut passed: Vec<String> = passed.cloned().collect();
        // The last is the logits.
        if end == "hook_out" && passed.len() > 1 {
            passed.pop();
        }
        Ok(passed)
    }
}
