//! What `mr corrupt` tries.

use anyhow::Result;
use mr_attacks::{Corruption, CorruptionKind, SpatialFamily};
use serde::{Deserialize, Serialize};

/// Which transformations of images a network is tried on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CorruptConfig {
    /// Corruptions by name; `all` for those that the images' channels allow.
    kinds: Vec<String>,
    /// Severities of each.
    severities: Vec<u8>,
    /// Rotations and translations, of which the worst counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spatial: Option<SpatialFamily>,
}

impl Default for CorruptConfig {
    fn default() -> Self {
        Self {
            kinds: vec!["all".into()],
            severities: (1..=5).collect(),
            spatial: None,
        }
    }
}

impl CorruptConfig {
    /// Every corruption in every severity, for images of so many channels.
    pub(crate) fn corruptions(&self, channels: usize) -> Result<Vec<Corruption>> {
        let mut kinds = Vec::new();
        for name in &self.kinds {
            match name.as_str() {
                "all" => kinds.extend(CorruptionKind::of_channels(channels)),
                name => kinds.push(name.parse()?),
            }
        }
        let each = |kind| {
            self.severities
                .iter()
                .map(move |&s| Corruption::new(kind, s))
        };
        Ok(kinds.into_iter().flat_map(each).collect())
    }
}
