//! The `[measure]` table.

use serde::{Deserialize, Serialize};

/// What `mr measure` measures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MeasureConfig {
    /// Seed of every draw.
    pub(crate) seed: u64,
}
