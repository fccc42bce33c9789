//! A subspace of a site's channels.

use serde::{Deserialize, Serialize};

use crate::error::CircuitError;

/// A subspace by orthonormal directions `[direction, channel]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subspace {
    channels: usize,
    basis: Vec<f32>,
}

impl Subspace {
    /// What these directions `[direction, channel]` span; those that the ones before them span already are
    /// left out (Gram and Schmidt, in double precision, twice).
    ///
    /// # Errors
    /// [`CircuitError::Subspace`] if they are not whole, not finite, or all 0.
    pub fn spanned(directions: &[f32], channels: usize) -> Result<Self, CircuitError> {
        let refuse = |reason: String| Err(CircuitError::Subspace(reason));
        if channels == 0 || !directions.len().is_multiple_of(channels) {
            let values = directions.len();
            return refuse(format!(
                "{values} values are not directions of {channels} channels"
            ));
        }
        if let Some(value) = directions.iter().find(|value| !value.is_finite()) {
            return refuse(format!("a direction holds {value}, must be finite"));
        }
        let mut basis: Vec<Vec<f64>> = Vec::new();
        for direction in directions.chunks_exact(channels) {
            let direction: Vec<f64> = direction.iter().map(|&v| f64::from(v)).collect();
            let length = dot(&direction, &direction).sqrt();
            let mut rest = direction;
            // Once more takes out what rounding has left.
            for _ in 0..2 {
                for row in &basis {
                    let along = dot(row, &rest);
                    for (value, unit) in rest.iter_mut().zip(row) {
                        *value -= along * unit;
                    }
                }
            }
            let left = dot(&rest, &rest).sqrt();
            if left > 1e-6 * length && left > 0.0 {
                basis.push(rest.into_iter().map(|value| value / left).collect());
            }
        }
        if basis.is_empty() {
            return refuse("no direction, or all are 0: nothing is spanned".into());
        }
        let basis = basis.concat().into_iter().map(|v| v as f32).collect();
        Ok(Self { channels, basis })
    }

    /// Channels of a direction.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of orthonormal directions.
    pub fn dimensions(&self) -> usize {
        self.basis.len() / self.channels
    }

    /// Orthonormal directions `[direction, channel]`.
    pub fn basis(&self) -> &[f32] {
        &self.basis
    }

    /// The directions of this subspace as they appear in another: their projections `[direction, channel]`.
    ///
    /// # Panics
    /// If the two are of different channels.
    pub fn projected(&self, onto: &Self) -> Vec<f32> {
        assert_eq!(
            self.channels, onto.channels,
            "subspaces of the same channels"
        );
        let mut projected = Vec::with_capacity(self.basis.len());
        for direction in self.basis.chunks_exact(self.channels) {
            let mut shadow = vec![0.0_f64; self.channels];
            for row in onto.basis.chunks_exact(self.channels) {
                let pairs = row.iter().zip(direction);
                let along: f64 = pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                for (sum, &unit) in shadow.iter_mut().zip(row) {
                    *sum += along * f64::from(unit);
                }
            }
            projected.extend(shadow.into_iter().map(|value| value as f32));
        }
        projected
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spanned_is_orthonormal_and_counted_once() {
        let found = Subspace::spanned(&[3., 4., 0., 6., 8., 0., 0., 1., 0.], 3).unwrap();
        assert_eq!(found.dimensions(), 2);
        let expected = [0.6, 0.8, 0.0, -0.8, 0.6, 0.0];
        for (found, expected) in found.basis().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        let diagonal = Subspace::spanned(&[1., 0., 1.], 3).unwrap();
        let shadow = diagonal.projected(&found);
        let half = 0.5_f32.sqrt();
        assert!(
            (shadow[0] - half).abs() < 1e-6 && shadow[2].abs() < 1e-6,
            "{shadow:?}"
        );
    }

    #[test]
    fn nothing_spans_nothing() {
        for directions in [&[][..], &[0.0, 0.0], &[1.0], &[f32::NAN, 0.0]] {
            assert!(Subspace::spanned(directions, 2).is_err(), "{directions:?}");
        }
    }
}
