//! A part of a site: a range of positions and a range of channels.

use std::fmt;
use std::ops::Range;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::site::Site;

/// Positions and channels of a site; `None` is all of them. A head is a channel range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Region {
    /// First position, and one past the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<Range<usize>>,
    /// First channel, and one past the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Range<usize>>,
}

impl Region {
    /// One channel at every position.
    pub fn channel(channel: usize) -> Self {
        Self {
            positions: None,
            channels: Some(channel..channel + 1),
        }
    }

    /// A range of channels at every position.
    pub fn channels(channels: Range<usize>) -> Self {
        Self {
            positions: None,
            channels: Some(channels),
        }
    }

    /// One position, every channel.
    pub fn position(position: usize) -> Self {
        Self {
            positions: Some(position..position + 1),
            channels: None,
        }
    }

    /// Whether this is the whole site.
    pub fn is_all(&self) -> bool {
        self.positions.is_none() && self.channels.is_none()
    }

    /// Positions and channels that it covers of a site.
    pub fn size(&self, site: &Site) -> [usize; 2] {
        let length =
            |range: &Option<Range<usize>>, all| range.as_ref().map_or(all, ExactSizeIterator::len);
        [
            length(&self.positions, site.positions),
            length(&self.channels, site.channels),
        ]
    }

    /// Checks that the site has such positions and channels.
    ///
    /// # Errors
    /// [`ModelError::Unfit`] naming the range and what the site has.
    pub fn fits(&self, site: &Site) -> Result<(), ModelError> {
        for (what, range, count) in [
            ("positions", &self.positions, site.positions),
            ("channels", &self.channels, site.channels),
        ] {
            if let Some(range) = range
                && (range.is_empty() || range.end > count)
            {
                return Err(ModelError::Unfit(format!(
                    "{what} {}..{} of `{}`: it has {count}, and a range must not be empty",
                    range.start, range.end, site.name
                )));
            }
        }
        Ok(())
    }

    /// This part of an activation `[batch, position, channel]`.
    pub fn cut(&self, activation: &Tensor<3>) -> Tensor<3> {
        let mut part = activation.clone();
        for (axis, range) in [(1, &self.positions), (2, &self.channels)] {
            if let Some(range) = range {
                part = part.narrow(axis, range.start, range.len());
            }
        }
        part
    }

    /// The activation with this part replaced.
    pub fn paste(&self, activation: Tensor<3>, part: Tensor<3>) -> Tensor<3> {
        let [batch, positions, channels] = activation.dims();
        let range = |range: &Option<Range<usize>>, all| range.clone().unwrap_or(0..all);
        activation.slice_assign(
            [
                0..batch,
                range(&self.positions, positions),
                range(&self.channels, channels),
            ],
            part,
        )
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, range) in [("position", &self.positions), ("channel", &self.channels)] {
            match range {
                Some(range) if range.len() == 1 => write!(f, ", {what} {}", range.start)?,
                Some(range) => write!(f, ", {what}s {}..{}", range.start, range.end)?,
                None => {}
            }
        }
        Ok(())
    }
}
