//! Objectives of internals: how strongly a site is active, how far it has moved, and which way.

use burn::tensor::{Tensor, TensorData};

use super::Objective;
use crate::edit::Region;
use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;
use crate::site::ModelSpec;

/// Whether an objective grows with what it measures, or falls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sense {
    /// More of it is wanted.
    #[default]
    More,
    /// Less of it is wanted.
    Less,
}

impl Sense {
    /// The one name or the other.
    pub fn verb(self, more: &'static str, less: &'static str) -> &'static str {
        match self {
            Self::More => more,
            Self::Less => less,
        }
    }

    /// The values, or their negatives.
    pub fn of(self, values: Tensor<1>) -> Tensor<1> {
        match self {
            Self::More => values,
            Self::Less => -values,
        }
    }
}

/// The mean activation of a region of a site: a channel, a head, a position, or all of it.
/// `raise(SITE[POSITIONS, CHANNELS])`, `lower(...)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivationLevel {
    /// The site's name.
    pub site: String,
    /// Positions and channels that count.
    pub region: Region,
    /// Whether to raise it or to lower it.
    pub sense: Sense,
}

impl Objective for ActivationLevel {
    fn name(&self) -> String {
        let verb = self.sense.verb("raise", "lower");
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
        let level = part.flatten::<2>(1, 2).mean_dim(1).squeeze_dim(1);
        self.sense.of(level)
    }
}

/// The squared Euclidean distance of a region of a site from the clean example's activation,
/// [`Labels::activations`]: features move, whatever the logits do; or they stay while another
/// objective moves the logits. `shift(SITE[POSITIONS, CHANNELS])`, `stay(...)`.
///
/// It is flat at the clean example: an attack that climbs its gradient has to start elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteShift {
    /// The site's name.
    pub site: String,
    /// Positions and channels that count.
    pub region: Region,
    /// Whether to move away or to stay.
    pub sense: Sense,
}

impl Objective for SiteShift {
    fn name(&self) -> String {
        let verb = self.sense.verb("shift", "stay");
        format!("{verb}({}{})", self.site, self.region)
    }

    fn sites(&self) -> Vec<String> {
        vec![self.site.clone()]
    }

    fn references(&self) -> Vec<String> {
        vec![self.site.clone()]
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        self.region.fits(spec.site(&self.site)?)
    }

    fn judges(&self, labels: &Labels, _logits: [usize; 3]) -> Result<(), ModelError> {
        if labels.activations.contains_key(&self.site) {
            return Ok(());
        }
        Err(ModelError::Unfit(format!(
            "{}: the labels hold no clean activation of `{}` to measure from",
            self.name(),
            self.site
        )))
    }

    /// # Panics
    /// If the labels carry no activation of the site.
    fn value(&self, _logits: &Tensor<3>, cache: &Cache, labels: &Labels) -> Tensor<1> {
        let clean = labels
            .activations
            .get(&self.site)
            .expect("a shift is measured from the labels' activation of its site");
        let shift = self.region.cut(cache.expect(&self.site)) - self.region.cut(clean);
        let squared = shift.clone() * shift;
        let distance = squared.flatten::<2>(1, 2).sum_dim(1).squeeze_dim(1);
        self.sense.of(distance)
    }
}

/// The mean over positions of how far a site's activation reaches along a direction: its product
/// with the vector scaled to length 1, such as a probe's weights or a difference of class means.
/// `along(SITE[POSITIONS, CHANNELS], V0, V1, ...)`, `against(...)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// The site's name.
    pub site: String,
    /// Positions and channels that count.
    pub region: Region,
    /// One value per channel of the region, of any length but 0.
    pub vector: Vec<f32>,
    /// Whether to move along it or against it.
    pub sense: Sense,
}

impl Objective for Direction {
    fn name(&self) -> String {
        let verb = self.sense.verb("along", "against");
        let place = format!("{}{}", self.site, self.region);
        let values = self.vector.iter().map(ToString::to_string);
        let arguments: Vec<String> = std::iter::once(place).chain(values).collect();
        format!("{verb}({})", arguments.join(", "))
    }

    fn sites(&self) -> Vec<String> {
        vec![self.site.clone()]
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        let site = spec.site(&self.site)?;
        self.region.fits(site)?;
        let [_, channels] = self.region.size(site);
        let given = self.vector.len();
        if given != channels {
            return Err(ModelError::Unfit(format!(
                "a direction of {given} values at `{}{}`, which has {channels} channels",
                self.site, self.region
            )));
        }
        let length = length(&self.vector);
        if !(length.is_finite() && length > 0.0) {
            return Err(ModelError::Unfit(format!(
                "a direction of length {length} at `{}`, must be finite and above 0",
                self.site
            )));
        }
        Ok(())
    }

    fn value(&self, _logits: &Tensor<3>, cache: &Cache, _labels: &Labels) -> Tensor<1> {
        let part = self.region.cut(cache.expect(&self.site));
        let length = length(&self.vector);
        let unit: Vec<f32> = self.vector.iter().map(|v| v / length).collect();
        let unit = TensorData::new(unit, [1, 1, self.vector.len()]);
        let unit = Tensor::<3>::from_data(unit, &part.device().inner());
        let reach = (part * unit).sum_dim(2).squeeze_dim::<2>(2);
        self.sense.of(reach.mean_dim(1).squeeze_dim(1))
    }
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|v| v * v).sum::<f32>().sqrt()
}
