//! What no attack can do: each method one file, registered in [`CertifierConfig`].

mod certificate;
mod confidence;
mod crown;
mod ibp;
mod interval;
mod smoothing;
#[cfg(test)]
mod tests;

use mr_models::{Layer, Network, Place};
use serde::{Deserialize, Serialize};

pub use certificate::{Certificate, Certificates, CertifyProgress, certify};
pub use confidence::lower_confidence;
pub use crown::Crown;
pub use ibp::Ibp;
pub use interval::{Interval, worst_margins};
pub use smoothing::Smoothing;

use crate::attack::bounded;
use crate::error::AttackError;
use crate::threat::{Norm, ThreatModel};
use certificate::Batch;

/// A proof that no perturbation of a threat changes a class.
pub trait Certifier: Send + Sync {
    /// Its name in records.
    fn name(&self) -> &'static str;

    /// Checks its settings, and that network and threat have what it needs.
    ///
    /// # Errors
    /// [`AttackError::Setting`] or [`AttackError::Unfit`].
    fn fits(&self, network: &Network, threat: &ThreatModel) -> Result<(), AttackError>;

    /// How many examples it takes at a time, where the caller would give it so many.
    fn rows(&self, network: &Network, batch_size: usize) -> usize;

    /// What it proves of each example of a batch, in their order.
    ///
    /// # Errors
    /// [`AttackError::NotFinite`] for logits that are not numbers.
    fn certificates(&self, batch: &Batch<'_>) -> Result<Vec<Certificate>, AttackError>;
}

/// A way to certify, and its settings; in TOML a table whose `type` names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum CertifierConfig {
    /// Interval bound propagation.
    Ibp(Ibp),
    /// Backward linear bounds.
    Crown(Crown),
    /// Randomised smoothing.
    Smoothing(Smoothing),
}

impl CertifierConfig {
    /// The names that `type` may have.
    pub const NAMES: [&str; 3] = ["ibp", "crown", "smoothing"];

    /// The method of this name with its default settings.
    ///
    /// # Errors
    /// [`AttackError::UnknownName`] with near matches.
    pub fn by_name(name: &str) -> Result<Self, AttackError> {
        match name {
            "ibp" => Ok(Self::Ibp(Ibp::default())),
            "crown" => Ok(Self::Crown(Crown::default())),
            "smoothing" => Ok(Self::Smoothing(Smoothing::default())),
            _ => Err(AttackError::unknown("method", name, Self::NAMES)),
        }
    }

    /// The method itself.
    pub fn certifier(&self) -> &dyn Certifier {
        match self {
            Self::Ibp(ibp) => ibp,
            Self::Crown(crown) => crown,
            Self::Smoothing(smoothing) => smoothing,
        }
    }
}

/// Bounds are computed for a ball around the input, in any norm whose ball lies in the box of the
/// same radius, and of a network that ends in a linear layer of at least two classes.
fn bounds_fit(name: &str, network: &Network, threat: &ThreatModel) -> Result<(), AttackError> {
    threat.fits(mr_models::Model::spec(network))?;
    bounded(name, threat)?;
    if threat.place != Place::Input {
        return Err(AttackError::Unfit(format!(
            "{name} bounds perturbations of the input, not of a site"
        )));
    }
    if threat.norm == Norm::L0 {
        return Err(AttackError::Unfit(format!(
            "{name} knows the norms Linf, L2, L1, not L0"
        )));
    }
    if !matches!(network.layers()?.last(), Some(Layer::Linear { .. })) {
        return Err(AttackError::Unfit(format!(
            "{name} certifies a class: it needs a network that ends in a linear layer, an mlp, a \
             convnet, a resnet, or a toy with classes"
        )));
    }
    Ok(())
}
