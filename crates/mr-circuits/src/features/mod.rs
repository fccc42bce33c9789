//! Sparse feature circuits (Marks et al. 2024): nodes are latents of dictionaries, and what these miss.
//!
//! An activation is the sum of what latents write and of an error, so each site's change between a clean and a corrupt input
//! falls into parts, and each part's effect is its change times a slope. [`feature_effects`] gives every node's,
//! [`feature_edges`] what passes from the latents of one site to those of another, and [`feature_faithfulness`] what a network
//! still does when all nodes but some are ablated.

mod edges;
mod effects;
mod faithful;

use std::fmt;
use std::sync::Arc;

use burn::tensor::Tensor;
use mr_models::{Model, ModelError};
use mr_sae::{Dictionary, samples};
use serde::{Deserialize, Serialize};

pub use edges::{FeatureEdge, feature_edges};
pub use effects::{FeatureEffect, active_nodes, feature_effects};
pub use faithful::{
    Ablated, FeatureAblation, FeatureFaithfulness, feature_faithfulness, shuffled_nodes,
};

use crate::error::CircuitError;

/// A dictionary and the site that it reads and writes.
#[derive(Clone)]
pub struct DictionaryAt {
    /// The site's name.
    pub site: String,
    /// The dictionary.
    pub dictionary: Arc<dyn Dictionary>,
}

/// A node of a feature circuit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FeatureNode {
    /// A latent of a site.
    Latent {
        /// The site.
        site: String,
        /// The latent, counted from 0.
        latent: usize,
    },
    /// What the dictionary of a site misses.
    Error {
        /// The site.
        site: String,
    },
}

impl FeatureNode {
    /// Its site.
    pub fn site(&self) -> &str {
        match self {
            Self::Latent { site, .. } | Self::Error { site } => site,
        }
    }
}

/// `conv2.hook_out/17`, and `conv2.hook_out/error`.
impl fmt::Display for FeatureNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latent { site, latent } => write!(f, "{site}/{latent}"),
            Self::Error { site } => write!(f, "{site}/error"),
        }
    }
}

impl DictionaryAt {
    /// Checks that the dictionary reads and writes the site.
    fn fits(&self, model: &dyn Model) -> Result<(), CircuitError> {
        let site = model.spec().site(&self.site)?;
        let widths = [self.dictionary.d_in(), self.dictionary.d_out()];
        match widths.iter().find(|&&width| width != site.channels) {
            None => Ok(()),
            Some(width) => Err(ModelError::Unfit(format!(
                "a dictionary of {width} channels at `{}`, which has {}",
                site.name, site.channels
            ))
            .into()),
        }
    }

    /// Codes of an activation `[batch, position, channel]`, `[batch, position, latent]`.
    fn codes(&self, activation: &Tensor<3>) -> Tensor<3> {
        let [batch, positions, _] = activation.dims();
        let codes = self.dictionary.encode(samples(activation.clone()));
        let latents = codes.dims()[1];
        codes.reshape([batch, positions, latents])
    }

    fn nodes(&self) -> impl Iterator<Item = FeatureNode> {
        let site = self.site.clone();
        let latents = (0..self.dictionary.d_sae()).map(move |latent| FeatureNode::Latent {
            site: site.clone(),
            latent,
        });
        latents.chain(std::iter::once(FeatureNode::Error {
            site: self.site.clone(),
        }))
    }
}

/// Checks dictionaries against a model: sites in forward order, each once.
fn check(model: &dyn Model, dictionaries: &[DictionaryAt]) -> Result<(), CircuitError> {
    let place = |name: &str| model.spec().sites.iter().position(|site| site.name == name);
    for at in dictionaries {
        at.fits(model)?;
    }
    for pair in dictionaries.windows(2) {
        if place(&pair[0].site) >= place(&pair[1].site) {
            return Err(ModelError::Unfit(format!(
                "`{}` before `{}`: dictionaries come in forward order, one a site",
                pair[0].site, pair[1].site
            ))
            .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
