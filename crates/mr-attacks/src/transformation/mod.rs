//! Finite families of transformations of an image: common corruptions, rotation and translation.
//!
//! No norm bounds them and nothing is searched but the family itself: each member is tried, and
//! [`evaluate_transformations`] counts.

mod blur;
mod colour;
mod corruption;
mod digital;
mod elastic;
mod evaluate;
mod jpeg;
mod noise;
mod picture;
mod spatial;
mod spatter;
mod weather;

use serde::{Deserialize, Serialize};

pub use corruption::{Corruption, CorruptionKind};
pub use evaluate::{Fate, Transformed, Tried, evaluate_transformations};
pub use picture::Picture;
pub use spatial::{Search, Spatial, SpatialFamily};

use crate::error::AttackError;

/// One way to change an image; what is random in it depends on the example and the seed alone.
pub trait Transformation: Send + Sync {
    /// Its name in records, such as `fog-3`; no two members of a family share it.
    fn name(&self) -> String;

    /// Checks its settings, and that images of this shape (channel, height, width) can be changed so.
    ///
    /// # Errors
    /// [`AttackError::Setting`] or [`AttackError::Unfit`].
    fn fits(&self, shape: [usize; 3]) -> Result<(), AttackError>;

    /// The changed image of the example of this number, of the same shape; values in `[0, 1]`.
    fn apply(&self, image: &Picture, example: u64, seed: u64) -> Picture;
}

/// A family of transformations and its settings; in TOML a table whose `type` names the family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TransformationConfig {
    /// One common corruption of one severity.
    Corruption(Corruption),
    /// Rotations and translations.
    RotationTranslation(SpatialFamily),
}

impl TransformationConfig {
    /// Every member of the family, the mildest first.
    ///
    /// # Errors
    /// [`AttackError::Setting`].
    pub fn members(&self) -> Result<Vec<Box<dyn Transformation>>, AttackError> {
        Ok(match self {
            Self::Corruption(corruption) => vec![Box::new(*corruption)],
            Self::RotationTranslation(family) => family
                .members()?
                .into_iter()
                .map(|member| Box::new(member) as Box<dyn Transformation>)
                .collect(),
        })
    }
}
