//! What is counted in a dictionary: how sparse its codes are, how true its reconstructions, and, where
//! the features are known, whether its latents are they.
//!
//! [`Firing`], [`Fidelity`], [`Detection`] and [`Absorption`] take batch after batch and add sample after
//! sample, so that nothing depends on how samples are batched. The effective features of a code are
//! [`ActivationMass`](crate::superposition::ActivationMass)'s.

mod absorption;
mod assignment;
mod cosine;
mod detection;
mod fidelity;
mod firing;
mod recovery;
mod sharing;
#[cfg(test)]
mod tests;

pub use absorption::{Absorbed, Absorption};
pub use assignment::best_assignment;
pub use cosine::nearest_cosines;
pub use detection::{Detection, Detector};
pub use fidelity::Fidelity;
pub use firing::{Densities, Firing};
pub use recovery::{Match, Recovery};
pub use sharing::{EXCLUSIVE, Owner, Sharing};
