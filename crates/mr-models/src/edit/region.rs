//! A part of a site: a range of positions and a range of channels.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

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

/// As an index is written: `[4, 2:5]` is position 4 and channels 2 to 4, `[:, 5]` channel 5 at every
/// position, `[4]` position 4; nothing at all is the whole site.
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = |range: &Option<Range<usize>>| match range {
            None => ":".into(),
            Some(range) if range.len() == 1 => range.start.to_string(),
            Some(range) => format!("{}:{}", range.start, range.end),
        };
        match (&self.positions, &self.channels) {
            (None, None) => Ok(()),
            (positions, None) => write!(f, "[{}]", written(positions)),
            (positions, channels) => write!(f, "[{}, {}]", written(positions), written(channels)),
        }
    }
}

impl FromStr for Region {
    type Err = ModelError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, ModelError> {
        let error = |reason: &str| {
            ModelError::Unfit(format!(
                "`{text}` is no region: {reason}; valid: [POSITIONS] or [POSITIONS, CHANNELS], each \
                 one index, a range such as 2:5, or : for all"
            ))
        };
        if text.is_empty() {
            return Ok(Self::default());
        }
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .ok_or_else(|| error("it stands between brackets"))?;
        let index = |number: &str| {
            let number = number.trim();
            let read = number.parse::<usize>().ok();
            // One past the largest index is an end too.
            let read = read.filter(|&index| index < usize::MAX);
            read.ok_or_else(|| error(&format!("`{number}` is no index")))
        };
        let range = |part: &str| match part.trim().split_once(':') {
            None => index(part).map(|at| Some(at..at + 1)),
            Some((start, end)) => match (start.trim(), end.trim()) {
                ("", "") => Ok(None),
                (_, "") => Err(error("a range needs an end")),
                ("", end) => Ok(Some(0..index(end)?)),
                (start, end) => Ok(Some(index(start)?..index(end)?)),
            },
        };
        match inner.split(',').collect::<Vec<_>>().as_slice() {
            [positions] => Ok(Self {
                positions: range(positions)?,
                channels: None,
            }),
            [positions, channels] => Ok(Self {
                positions: range(positions)?,
                channels: range(channels)?,
            }),
            _ => Err(error("it has more than two parts")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn regions_read_as_indices() {
        let read = |text: &str| text.parse::<Region>().unwrap();
        assert_eq!(read(""), Region::default());
        assert_eq!(read("[:]"), Region::default());
        assert_eq!(read("[:, 5]"), Region::channel(5));
        assert_eq!(read("[ : ,2:5 ]"), Region::channels(2..5));
        assert_eq!(read("[:,:5]"), Region::channels(0..5));
        assert_eq!(read("[7]"), Region::position(7));
        for (text, reason) in [
            ("5", "between brackets"),
            ("[a]", "`a` is no index"),
            ("[]", "`` is no index"),
            ("[-1]", "`-1` is no index"),
            ("[18446744073709551615]", "is no index"),
            ("[2:]", "needs an end"),
            ("[1, 2, 3]", "more than two parts"),
        ] {
            let error = text.parse::<Region>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_written_region_reads_as_the_same(
            positions in proptest::option::of((0usize..50, 0usize..50)),
            channels in proptest::option::of((0usize..50, 0usize..50)),
        ) {
            let range = |ends: Option<(usize, usize)>| ends.map(|(start, end)| start..end);
            let region = Region { positions: range(positions), channels: range(channels) };
            prop_assert_eq!(region.to_string().parse::<Region>().unwrap(), region);
        }
    }
}
