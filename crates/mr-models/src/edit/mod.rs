//! Rewrites of a site, as values.

mod region;
mod rewrite;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

pub use region::Region;
pub use rewrite::Rewrite;

use crate::error::ModelError;
use crate::site::ModelSpec;

/// A rewrite of a region of a site. Pure: the same activation gives the same result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The site's name.
    pub site: String,
    /// The positions and channels that it changes; all of them by default.
    #[serde(default)]
    pub region: Region,
    /// What is done there.
    pub rewrite: Rewrite,
}

impl Edit {
    /// An edit of a whole site.
    pub fn at(site: impl Into<String>, rewrite: Rewrite) -> Self {
        Self {
            site: site.into(),
            region: Region::default(),
            rewrite,
        }
    }

    /// Only on this region.
    pub fn within(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// Checks site, region and shapes against a model.
    ///
    /// # Errors
    /// [`ModelError::UnknownSite`] or [`ModelError::Unfit`].
    pub fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        let site = spec.site(&self.site)?;
        self.region.fits(site)?;
        self.rewrite
            .fits(self.region.size(site))
            .map_err(|reason| ModelError::Unfit(format!("edit of `{}`: {reason}", self.site)))
    }

    /// The edited activation `[batch, position, channel]`.
    ///
    /// # Panics
    /// If a per-example rewrite was made for another batch.
    pub fn apply(&self, activation: Tensor<3>) -> Tensor<3> {
        if self.region.is_all() {
            return self.rewrite.apply(activation);
        }
        let part = self.rewrite.apply(self.region.cut(&activation));
        self.region.paste(activation, part)
    }
}
