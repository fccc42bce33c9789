//! What `mr circuit damage` does.

use mr_circuits::Integration;
use serde::{Deserialize, Serialize};

/// Where damage is split, and how finely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DamageConfig {
    /// Sites whose channels the change is split over; none for the nodes of every layer.
    pub(crate) sites: Vec<String>,
    /// Whether it is split over edges too.
    pub(crate) edges: bool,
    /// Random orders that parts are restored in, to compare with.
    pub(crate) random: u64,
    /// How the path from the clean to the adversarial run is divided.
    pub(crate) path: Integration,
}

impl Default for DamageConfig {
    fn default() -> Self {
        Self {
            sites: Vec::new(),
            edges: true,
            random: 20,
            path: Integration::default(),
        }
    }
}
