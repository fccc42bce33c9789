//! Objectives of internals: how strongly a site is active, and how far it has moved.

use burn::tensor::Tensor;

use super::Objective;
use crate::edit::Region;
use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;
use crate::site::ModelSpec;

/// The mean activation of a region of a site: a channel, a head, a position, or all of it.
#[derive(Debug, Clone)]
pub struct ActivationLevel {
    /// The site's name.
    pub site: String,
    /// Positions and channels that count.
    pub region: Region,
    /// +1 to raise it, -1 to lower it, or any other weight.
    pub sign: f32,
}

impl Objective for ActivationLevel {
    fn name(&self) -> String {
        let verb = if self.sign < 0.0 { "lower" } else { "raise" };
        format!("{verb}({}{})", self.site, self.region)
    }

    fn sites(&self) -> Vec<String> {
        vec![self.site.clone()]
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        self.region.fits(spec.site(&self.site)?)
    }

    fn value(&self, _logits: &Tensor<3>, cache: &Cache, _labels: &Labels) -> Tensor<1> {
        let part = self.region.cut(cache.expect(&self.site));
        part.flatten::<2>(1, 2).mean_dim(1).squeeze_dim(1) * self.sign
    }
}

/// The squared distance of a site's activation from a fixed one: features move, whatever the
/// logits do. Lowered (sign -1) it holds features in place while another objective moves logits.
#[derive(Debug, Clone)]
pub struct SiteShift {
    /// The site's name.
    pub site: String,
    /// The activation to move from, `[1 or batch, position, channel]`.
    pub from: Tensor<3>,
    /// +1 to move away, -1 to stay.
    pub sign: f32,
}

impl Objective for SiteShift {
    fn name(&self) -> String {
        format!("shift({})", self.site)
    }

    fn sites(&self) -> Vec<String> {
        vec![self.site.clone()]
    }

    fn value(&self, _logits: &Tensor<3>, cache: &Cache, _labels: &Labels) -> Tensor<1> {
        let shift = cache.expect(&self.site).clone() - self.from.clone();
        let squared = shift.clone() * shift;
        squared.flatten::<2>(1, 2).sum_dim(1).squeeze_dim(1) * self.sign
    }
}
