//! Where a network can be read and rewritten, and what a network says of itself.

use crate::error::{ModelError, hint};

/// A named place in a forward pass, where a [`Hook`](crate::Hook) sees an activation
/// `[batch, position, channel]`.
///
/// Names are the PyTorch module path followed by `.hook_pre` (what a linear map or a convolution
/// gives, before normalisation and nonlinearity) or `.hook_out` (what the layer passes on); for
/// transformers the TransformerLens names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// `conv1.hook_out`, `blocks.0.hook_resid_post`, ...
    pub name: String,
    /// Positions of the activation: 1 for a vector, height x width for a map, tokens for a sequence.
    pub positions: usize,
    /// Channels of the activation.
    pub channels: usize,
    /// Height and width, where positions are pixels of a map (row by row).
    pub grid: Option<[usize; 2]>,
}

impl Site {
    /// A site that holds one vector per example.
    pub fn vector(name: impl Into<String>, channels: usize) -> Self {
        Self {
            name: name.into(),
            positions: 1,
            channels,
            grid: None,
        }
    }

    /// A site that holds a map of `channels` per example.
    pub fn map(name: impl Into<String>, channels: usize, height: usize, width: usize) -> Self {
        Self {
            name: name.into(),
            positions: height * width,
            channels,
            grid: Some([height, width]),
        }
    }
}

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Real values `[batch, channel, height, width]`: images in `[0, 1]`, or feature vectors as
    /// `[batch, feature, 1, 1]`.
    Real {
        /// Channel, height, width.
        shape: [usize; 3],
    },
    /// Tokens `[batch, position]`.
    Tokens {
        /// Size of the vocabulary.
        vocabulary: usize,
        /// The longest sequence.
        positions: usize,
    },
}

/// What a model says of itself: its input, its classes and its sites in forward order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSpec {
    /// The architecture's name, such as `convnet`.
    pub name: String,
    /// What it takes.
    pub input: InputKind,
    /// Length of the last axis of its logits.
    pub classes: usize,
    /// Sites in the order in which a forward pass reaches them.
    pub sites: Vec<Site>,
}

impl ModelSpec {
    /// The site of this name.
    ///
    /// # Errors
    /// [`ModelError::UnknownSite`] with near matches.
    pub fn site(&self, name: &str) -> Result<&Site, ModelError> {
        self.sites
            .iter()
            .find(|site| site.name == name)
            .ok_or_else(|| ModelError::UnknownSite {
                name: name.into(),
                hint: hint(name, self.sites.iter().map(|site| site.name.as_str())),
            })
    }
}
