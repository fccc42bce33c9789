//! Interval bound propagation.

use mr_models::{Network, floats};
use serde::{Deserialize, Serialize};

use super::certificate::{Batch, Certificate};
use super::interval::{Interval, smallest, worst_margins};
use super::{Certifier, bounds_fit};
use crate::error::AttackError;
use crate::threat::ThreatModel;

/// Interval bound propagation (Gowal et al. 2018, "On the effectiveness of interval bound
/// propagation"): every activation's lowest and highest value, layer by layer, with the last layer
/// merged into the margin.
///
/// It certifies any architecture that ends in a linear layer, fast and loosely: only networks that
/// were trained for it get tight bounds. A ball of L2 or L1 is enclosed in the box of its radius.
/// Boxes are widened by what single precision can round, so that the network as it runs stays inside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ibp {}

impl Certifier for Ibp {
    fn name(&self) -> &'static str {
        "ibp"
    }

    fn fits(&self, network: &Network, threat: &ThreatModel) -> Result<(), AttackError> {
        bounds_fit("ibp", network, threat)
    }

    fn rows(&self, _network: &Network, batch_size: usize) -> usize {
        batch_size
    }

    fn certificates(&self, batch: &Batch<'_>) -> Result<Vec<Certificate>, AttackError> {
        let around = Interval::around(batch.threat, &batch.input);
        let truth = batch.truth();
        let margins = worst_margins(&batch.network.layers()?, around, &truth, true);
        batch.by_margins(&smallest(floats(margins), &batch.labels))
    }
}
