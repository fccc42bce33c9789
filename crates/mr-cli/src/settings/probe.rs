//! What `mr probe` reads, where, and how.

use anyhow::{Result, bail};
use clap::ValueEnum;
use mr_circuits::{Positions, ProbeKind};
use mr_models::data::Dataset;
use mr_models::{ModelError, ModelSpec};
use mr_train::ProbeConfig;
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
}

impl ReadOut {
    pub(crate) fn kind(self) -> ProbeKind {
        match self {
            Self::Linear => ProbeKind::Linear,
            Self::Logistic => ProbeKind::Logistic,
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
    /// What a sample is.
    pub(crate) positions: Positions,
    /// The penalty.
    pub(crate) lambda: f64,
    /// Folds, each of which is judged by a probe of the others.
    pub(crate) folds: usize,
    /// Types of inputs in the control task.
    pub(crate) types: usize,
    /// Resamples of the intervals over examples.
    pub(crate) resamples: usize,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        let fit = ProbeConfig::default();
        Self {
            seed: 0,
            kind: ReadOut::default(),
            sites: Vec::new(),
            concept: Vec::new(),
            positions: fit.positions,
            lambda: fit.lambda,
            folds: 5,
            types: 50,
            resamples: 2000,
        }
    }
}

impl ProbeSettings {
    /// How a probe is fitted.
    pub(crate) fn fit(&self) -> ProbeConfig {
        ProbeConfig {
            kind: self.kind.kind(),
            lambda: self.lambda,
            positions: self.positions,
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

    /// What each example is to be read as, and the names of that.
    pub(crate) fn task(&self, data: &Dataset) -> Result<(Vec<usize>, Vec<String>)> {
        if self.concept.is_empty() {
            if self.kind == ReadOut::Cav {
                bail!(
                    "a concept activation vector is of a concept: name its classes with --concept, such \
                     as --concept {}",
                    data.class_names()[0]
                );
            }
            return Ok((data.labels().to_vec(), data.class_names().to_vec()));
        }
        let names = data.class_names();
        let class = |wanted: &String| -> Result<usize> {
            let found = names.iter().position(|name| name == wanted);
            let by_number = || {
                wanted
                    .parse()
                    .ok()
                    .filter(|&class: &usize| class < names.len())
            };
            found.or_else(by_number).map_or_else(
                || {
                    let valid = names.iter().map(String::as_str);
                    Err(ModelError::unknown("class", wanted, valid).into())
                },
                Ok,
            )
        };
        let classes: Vec<usize> = self.concept.iter().map(class).collect::<Result<_>>()?;
        let labels: Vec<usize> = data
            .labels()
            .iter()
            .map(|label| usize::from(classes.contains(label)))
            .collect();
        let held = labels.iter().sum::<usize>();
        if held == 0 || held == labels.len() {
            bail!(
                "{held} of {} examples are of the concept: a probe needs both kinds",
                labels.len()
            );
        }
        let concept: Vec<&str> = classes.iter().map(|&class| names[class].as_str()).collect();
        Ok((labels, vec!["the rest".into(), concept.join(" or ")]))
    }
}
