//! Which positions of a site a probe reads, and how.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Tensor;
use mr_models::{Region, Site};
use serde::{Deserialize, Serialize};

use crate::error::CircuitError;

/// How the positions of an activation `[batch, position, channel]` become samples of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Positions {
    /// Their mean: one sample per example, as wide as the site has channels.
    #[default]
    Mean,
    /// Each is a sample of its own.
    Each,
    /// All side by side: one sample per example, `positions * channels` wide.
    All,
    /// The last one, such as the last token.
    Last,
    /// This one, counted from 0.
    Only(usize),
}

impl Positions {
    /// The samples of an activation: `[sample, feature]`, example by example.
    ///
    /// # Panics
    /// If there is no such position: [`fits`](Self::fits) finds out.
    pub fn samples(self, activation: Tensor<3>) -> Tensor<2> {
        let last = activation.dims()[1] - 1;
        match self {
            Self::Mean => activation.mean_dim(1).squeeze_dim(1),
            Self::Each => activation.flatten(0, 1),
            Self::All => activation.flatten(1, 2),
            Self::Last => activation.narrow(1, last, 1).squeeze_dim(1),
            Self::Only(at) => activation.narrow(1, at, 1).squeeze_dim(1),
        }
    }

    /// Samples per example, and features of a sample, at this site.
    pub fn size(self, site: &Site) -> [usize; 2] {
        match self {
            Self::Each => [site.positions, site.channels],
            Self::All => [1, site.positions * site.channels],
            Self::Mean | Self::Last | Self::Only(_) => [1, site.channels],
        }
    }

    /// Checks that a site has the position.
    ///
    /// # Errors
    /// [`CircuitError::Probe`] naming how many there are.
    pub fn fits(self, site: &Site) -> Result<(), CircuitError> {
        match self {
            Self::Only(at) if at >= site.positions => Err(CircuitError::Probe(format!(
                "position {at} of `{}`: it has {}, counted from 0",
                site.name, site.positions
            ))),
            _ => Ok(()),
        }
    }

    /// The part of a site on which a direction of channels that was found in such samples acts.
    ///
    /// # Errors
    /// [`CircuitError::Probe`] for all positions side by side: their direction is not one of channels.
    pub fn region(self, site: &Site) -> Result<Region, CircuitError> {
        self.fits(site)?;
        match self {
            Self::Mean | Self::Each => Ok(Region::default()),
            Self::Last => Ok(Region::position(site.positions - 1)),
            Self::Only(at) => Ok(Region::position(at)),
            // Where there is one position, side by side is alone.
            Self::All if site.positions == 1 => Ok(Region::default()),
            Self::All => Err(CircuitError::Probe(format!(
                "a probe of all {} positions of `{}` side by side has no direction of its {} channels; \
                 probe their mean, each, the last or one of them",
                site.positions, site.name, site.channels
            ))),
        }
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean => f.write_str("mean"),
            Self::Each => f.write_str("each"),
            Self::All => f.write_str("all"),
            Self::Last => f.write_str("last"),
            Self::Only(at) => write!(f, "{at}"),
        }
    }
}

impl FromStr for Positions {
    type Err = CircuitError;

    fn from_str(text: &str) -> Result<Self, CircuitError> {
        match text {
            "mean" => Ok(Self::Mean),
            "each" => Ok(Self::Each),
            "all" => Ok(Self::All),
            "last" => Ok(Self::Last),
            number => number.parse().map(Self::Only).map_err(|_| {
                CircuitError::Probe(format!(
                    "positions are `{text}`, must be mean, each, all, last or an index from 0"
                ))
            }),
        }
    }
}

impl TryFrom<String> for Positions {
    type Error = CircuitError;

    fn try_from(text: String) -> Result<Self, CircuitError> {
        text.parse()
    }
}

impl From<Positions> for String {
    fn from(positions: Positions) -> Self {
        positions.to_string()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::floats;

    use super::*;

    #[test]
    fn positions_become_samples() {
        let values = [1., 2., 3., 4., 5., 6., 7., 8.];
        let map = Tensor::<1>::from_floats(values, &Device::flex()).reshape([2, 2, 2]);
        let of = |text: &str| {
            let samples = text.parse::<Positions>().unwrap().samples(map.clone());
            (samples.dims(), floats(samples))
        };
        assert_eq!(of("mean"), ([2, 2], vec![2., 3., 6., 7.]));
        assert_eq!(of("each"), ([4, 2], values.to_vec()));
        assert_eq!(of("all"), ([2, 4], values.to_vec()));
        assert_eq!(of("last"), ([2, 2], vec![3., 4., 7., 8.]));
        assert_eq!(of("0"), ([2, 2], vec![1., 2., 5., 6.]));
    }

    #[test]
    fn what_is_no_position_is_named() {
        let error = "middle".parse::<Positions>().unwrap_err().to_string();
        assert!(
            error.contains("`middle`") && error.contains("last"),
            "{error}"
        );
        let site = Site::sequence("s", 3, 4);
        let error = Positions::Only(3).fits(&site).unwrap_err().to_string();
        assert!(error.contains("it has 3"), "{error}");
        assert!(Positions::All.region(&site).is_err());
        assert_eq!(
            Positions::All.region(&Site::vector("v", 4)).unwrap(),
            Region::default()
        );
        assert_eq!(Positions::Last.region(&site).unwrap(), Region::position(2));
    }
}
