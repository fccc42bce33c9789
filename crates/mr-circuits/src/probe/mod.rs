//! What can be read off a site by a linear map: probes, and the directions that they find.
//!
//! What a probe *is* lies here; `mr-train` fits them.

mod concept;
mod file;
mod linear;
mod positions;
mod tree;

pub use concept::{Sensitivity, concept_sensitivity};
pub use file::{Origin, SavedProbe};
pub use linear::{Judged, Probe, ProbeKind};
pub use positions::Positions;
pub use tree::{TreeMeasure, TreeProbe};
