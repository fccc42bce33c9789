//! A spot of a run.

use std::fmt;

use mr_models::{ModelSpec, Region};

use crate::error::CircuitError;

/// Positions and channels of one site: a head, a channel, a position, or the whole site. Written
/// `conv1.hook_out[:, 5]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The site's name.
    pub site: String,
    /// Which positions and channels of it.
    pub region: Region,
}

impl Spot {
    /// A region of a site.
    pub fn new(site: impl Into<String>, region: Region) -> Self {
        Self {
            site: site.into(),
            region,
        }
    }

    /// A whole site.
    pub fn whole(site: impl Into<String>) -> Self {
        Self::new(site, Region::default())
    }

    /// Checks that the model has it.
    ///
    /// # Errors
    /// [`CircuitError::Model`] for an unknown site, with near matches, or a region that it does not have.
    pub fn fits(&self, spec: &ModelSpec) -> Result<(), CircuitError> {
        Ok(self.region.fits(spec.site(&self.site)?)?)
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.site, self.region)
    }
}
