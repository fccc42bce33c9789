//! What `mr patch` fits.

use mr_attacks::PatchPlace;
use serde::{Deserialize, Serialize};

/// The patch, and how it is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PatchConfig {
    /// Rows and columns.
    pub(crate) size: [usize; 2],
    /// Where it lies.
    pub(crate) place: PatchPlace,
    /// Places that are tried for each example where it lies anywhere: 1 for the accuracy under a place
    /// drawn at random, more for the worst of them.
    pub(crate) places: u32,
}

impl Default for PatchConfig {
    fn default() -> Self {
        Self {
            size: [8, 8],
            place: PatchPlace::Random,
            places: 1,
        }
    }
}
