//! How many features a layer holds, and how they share its dimensions.
//!
//! From weights: [`FeatureWeights`]. From activations: [`ActivationMass`] counts the features of a
//! dictionary's code, and [`Spectrum`] the dimensions in use, which never exceed the units there
//! are and so cannot see superposition: a negative control.

mod activations;
mod capacity;
mod coherence;
mod effective;
mod spectrum;
mod weights;

pub use activations::ActivationMass;
pub use coherence::Coherence;
pub use effective::{NormPower, effective_number};
pub use spectrum::Spectrum;
pub use weights::{FeatureWeights, Superposition};
