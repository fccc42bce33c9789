//! Structural probes.

use mr_models::ModelSpec;
use serde::{Deserialize, Serialize};

use super::linear::finite;
use crate::error::CircuitError;

/// What of a tree a structural probe reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TreeMeasure {
    /// Edges between two words.
    Distance,
    /// Edges between a word and the root.
    Depth,
}

impl TreeMeasure {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Distance => "distance",
            Self::Depth => "depth",
        }
    }
}

/// A linear map B after which squared lengths are those of a tree (Hewitt & Manning 2019): `|B (h_i -
/// h_j)|^2` is the distance of two words, `|B h_i|^2` the depth of one. Each position of a sequence is a
/// word.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeProbe {
    /// What it reads.
    pub measure: TreeMeasure,
    /// The site that it reads it from.
    pub site: String,
    channels: usize,
    map: Vec<f32>,
}

impl TreeProbe {
    /// A probe with a map B `[rank, channel]`.
    ///
    /// # Errors
    /// [`CircuitError::Probe`] if the map has no whole rows, or a value is not finite.
    pub fn new(
        measure: TreeMeasure,
        site: impl Into<String>,
        channels: usize,
        map: Vec<f32>,
    ) -> Result<Self, CircuitError> {
        if channels == 0 || map.is_empty() || !map.len().is_multiple_of(channels) {
            return Err(CircuitError::Probe(format!(
                "{} values are not one or more rows of {channels} channels",
                map.len()
            )));
        }
        finite(&map)?;
        Ok(Self {
            measure,
            site: site.into(),
            channels,
            map,
        })
    }

    /// Channels of a word.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Rows of the map: the most dimensions that the tree may take.
    pub fn rank(&self) -> usize {
        self.map.len() / self.channels
    }

    /// The map `[rank, channel]`.
    pub fn map(&self) -> &[f32] {
        &self.map
    }

    /// Squared distances `[word, word]` of the words `[word, channel]` of one sequence.
    ///
    /// # Panics
    /// If the words have another width.
    pub fn distances(&self, words: &[f32]) -> Vec<f64> {
        let mapped = self.mapped(words);
        let square = |(a, b): (&f64, &f64)| (a - b) * (a - b);
        let rows = || mapped.chunks_exact(self.rank());
        rows()
            .flat_map(|a| rows().map(move |b| a.iter().zip(b).map(square).sum()))
            .collect()
    }

    /// Squared length of each of the words `[word, channel]`.
    ///
    /// # Panics
    /// If the words have another width.
    pub fn depths(&self, words: &[f32]) -> Vec<f64> {
        let mapped = self.mapped(words);
        let length = |word: &[f64]| word.iter().map(|value| value * value).sum();
        mapped.chunks_exact(self.rank()).map(length).collect()
    }

    fn mapped(&self, words: &[f32]) -> Vec<f64> {
        assert_eq!(words.len() % self.channels, 0, "words of {}", self.channels);
        let row = |word: &[f32], row: &[f32]| -> f64 {
            let products = row.iter().zip(word);
            products.map(|(&b, &h)| f64::from(b) * f64::from(h)).sum()
        };
        let words = words.chunks_exact(self.channels);
        words
            .flat_map(|word| {
                self.map
                    .chunks_exact(self.channels)
                    .map(move |b| row(word, b))
            })
            .collect()
    }

    /// Checks that a model has the site, as wide as the probe reads it.
    ///
    /// # Errors
    /// [`CircuitError::Model`] for an unknown site, [`CircuitError::Probe`] for one of another width.
    pub fn fits(&self, spec: &ModelSpec) -> Result<(), CircuitError> {
        let site = spec.site(&self.site)?;
        if site.channels == self.channels {
            return Ok(());
        }
        Err(CircuitError::Probe(format!(
            "the probe reads {} channels of `{}`, which has {}",
            self.channels, self.site, site.channels
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_depths_are_squared_lengths_behind_the_map() {
        // B = [[1, 0, 0], [0, 2, 0]]: the third channel is not read.
        let map = vec![1., 0., 0., 0., 2., 0.];
        let probe = TreeProbe::new(TreeMeasure::Distance, "s", 3, map).unwrap();
        let words = [0., 0., 5., 1., 0., -7., 1., 1., 0.];
        assert_eq!(probe.rank(), 2);
        assert_eq!(probe.depths(&words), [0., 1., 5.]);
        let expected = [0., 1., 5., 1., 0., 4., 5., 4., 0.];
        assert_eq!(probe.distances(&words), expected);
    }

    #[test]
    fn a_ragged_map_is_refused() {
        let error = TreeProbe::new(TreeMeasure::Depth, "s", 3, vec![1.0; 4]).unwrap_err();
        assert!(error.to_string().contains("rows of 3 channels"), "{error}");
        assert!(TreeProbe::new(TreeMeasure::Depth, "s", 1, vec![f32::NAN]).is_err());
    }
}
