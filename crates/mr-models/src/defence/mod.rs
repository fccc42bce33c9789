//! Defences: steps before a network, inside it or behind it, many of which hide its gradient.
//!
//! They are here to be broken: to test attacks and the checks of attacks (Athalye, Carlini & Wagner
//! 2018, "Obfuscated gradients give a false sense of security"). The way to break a step without a
//! useful gradient is to replace its backward pass ([`Backward`], [`Bpda`]).

mod backward;
mod bits;
mod bpda;
mod config;
mod defended;
mod noise;
mod quantize;
mod round_logits;
mod smoothing;
mod softmax;
mod temperature;

use std::fmt;
use std::sync::Arc;

use burn::tensor::Tensor;

pub use backward::Backward;
pub use bits::Bits;
pub use bpda::Bpda;
pub use config::DefenceConfig;
pub use defended::Defended;
pub use noise::Noise;
pub use quantize::Quantize;
pub use round_logits::RoundLogits;
pub use smoothing::Smoothing;
pub use softmax::Softmax;
pub use temperature::Temperature;

use crate::error::ModelError;

/// What a defence does to a tensor: an input `[batch, channel, pixel]`, an activation
/// `[batch, position, channel]`, or logits `[batch, position, class]`.
///
/// Row i of the result depends on row i and on key i alone.
pub trait Transform: Send + Sync {
    /// The transformed tensor, in the same shape. `keys` holds one number per example, which random
    /// numbers are to be drawn by.
    fn apply(&self, values: Tensor<3>, keys: &[u64]) -> Tensor<3>;

    /// Whether it draws random numbers.
    fn is_random(&self) -> bool {
        false
    }

    /// How many copies of an example the network is to see, each transformed by keys of its own;
    /// where it is said, the logarithm of their mean probabilities comes out. `None` for the example
    /// itself and its logits.
    fn copies(&self) -> Option<usize> {
        None
    }
}

/// Where in a network a defence stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Before the network.
    Input,
    /// At a site.
    Site(String),
    /// Behind the network.
    Logits,
}

impl Stage {
    /// A site, or the input where none is named.
    pub(crate) fn at(site: Option<&String>) -> Self {
        site.map_or(Self::Input, |site| Self::Site(site.clone()))
    }
}

/// A step of a defence, and where it stands.
#[derive(Clone)]
pub struct Defence {
    /// Where it stands.
    pub stage: Stage,
    /// What it does there.
    pub transform: Arc<dyn Transform>,
}

impl Defence {
    /// A defence that does this there.
    pub fn new(stage: Stage, transform: impl Transform + 'static) -> Self {
        Self {
            stage,
            transform: Arc::new(transform),
        }
    }
}

impl fmt::Debug for Defence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let random = self.transform.is_random();
        f.debug_struct("Defence")
            .field("stage", &self.stage)
            .field("random", &random)
            .finish_non_exhaustive()
    }
}

/// The error for a setting of a defence that is outside its range.
fn setting(what: &str, value: impl ToString, valid: &str) -> ModelError {
    ModelError::Setting {
        what: format!("defence: {what}"),
        value: value.to_string(),
        valid: valid.into(),
    }
}

#[cfg(test)]
mod tests;
