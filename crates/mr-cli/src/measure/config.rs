//! The `[measure]` table.

use mr_train::DictionaryConfig;
use serde::{Deserialize, Serialize};

/// What `mr measure` measures, and on how much. A quantity that the network does not have (the
/// superposition of weights that are not a toy's, the saliency of an autoencoder) is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MeasureConfig {
    /// Seed of every draw: samples, dictionaries.
    pub(crate) seed: u64,
    /// Examples that are looked at, where `data.limit` does not say.
    pub(crate) examples: usize,
    /// Toys: superposition in the weights.
    pub(crate) superposition: bool,
    /// Toys: the norm above which a feature counts as represented.
    pub(crate) strong: f64,
    /// Toys: vulnerability to the analytic attack.
    pub(crate) vulnerability: bool,
    /// Toys: size of the attack as a share of the mean norm of inputs.
    pub(crate) attack_size: f64,
    /// Classifiers: clean accuracy.
    pub(crate) accuracy: bool,
    /// Classifiers: alignment of saliency maps with images.
    pub(crate) saliency: bool,
    /// Classifiers: the first so many examples are attacked, where a `[threat]` and an `[attack]` say
    /// how.
    pub(crate) attacked: usize,
    /// Effective features by tied dictionaries of activations, site by site.
    pub(crate) effective_features: bool,
    /// Effective rank and participation ratio of the same activations.
    pub(crate) spectrum: bool,
    /// The sites; all `hook_out` but the last where none is named, of a toy `hook_hidden`.
    pub(crate) sites: Vec<String>,
    /// Samples of a site, drawn from the positions of all examples.
    pub(crate) samples: usize,
    /// How dictionaries are fitted; each has a seed of its own.
    pub(crate) dictionary: DictionaryConfig,
    /// Several sparsity penalties instead of the dictionary's; the first counts, the others are a
    /// check on it.
    pub(crate) lambdas: Vec<f32>,
    /// Dictionaries per site and penalty, whose numbers are averaged.
    pub(crate) dictionaries: usize,
}

impl Default for MeasureConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            examples: 4000,
            superposition: true,
            strong: 0.5,
            vulnerability: true,
            attack_size: 0.1,
            accuracy: true,
            saliency: true,
            attacked: 500,
            effective_features: true,
            spectrum: true,
            sites: Vec::new(),
            samples: 20_000,
            dictionary: DictionaryConfig::default(),
            lambdas: Vec::new(),
            dictionaries: 1,
        }
    }
}
