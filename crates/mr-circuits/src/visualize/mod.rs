//! What a part of an image net responds to: images that excite it, and concepts that it marks.

mod ascent;
mod concepts;
mod dissect;
mod fourier;
mod shake;

pub use ascent::{Visual, VisualConfig, visualize};
pub use concepts::{Concept, ConceptImages, concept_images};
pub use dissect::{Dissected, dissect};
