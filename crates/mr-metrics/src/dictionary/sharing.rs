//! What two activations share of a crosscoder's latents.

use burn::tensor::Tensor;

use crate::error::{MetricError, same_length};
use crate::host::values;

/// Below this relative norm a latent is the first activation's alone, above one minus it the second's.
pub const EXCLUSIVE: f64 = 0.1;

/// Whose a latent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It writes the first activation alone.
    First,
    /// It writes both.
    Both,
    /// It writes the second activation alone.
    Second,
}

/// The latents of a crosscoder of two activations, by what their decoders write to each (Lindsey et al. 2024, "Sparse
/// crosscoders for cross-layer features and model diffing"): the relative norm `norm_b / (norm_a + norm_b)`, and the cosine
/// of the two directions.
///
/// Norms are in units of each activation's own spread (the square root of its variance), which the paper's are by the
/// normalisation of what it reads: the raw norms of a network with activations twice as large are twice as large.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharing {
    /// By latent; `None` for one that writes nothing.
    pub relative_norms: Vec<Option<f64>>,
    /// By latent; `None` for one that does not write both.
    pub cosines: Vec<Option<f64>>,
}

impl Sharing {
    /// Of directions `[latent, 2 * width]`, the first activation's channels first, and the spreads of both.
    ///
    /// # Errors
    /// If there are no latents, channels are not twice as many as something, a direction is not finite, or a spread is not
    /// above 0.
    pub fn of(directions: &Tensor<2>, spreads: [f64; 2]) -> Result<Self, MetricError> {
        let [latents, channels] = directions.dims();
        let width = channels / 2;
        if latents == 0 || width == 0 {
            return Err(MetricError::Empty {
                what: "directions".into(),
            });
        }
        same_length("channels of two activations", 2 * width, channels)?;
        if let Some(spread) = spreads
            .iter()
            .find(|spread| !(spread.is_finite() && **spread > 0.0))
        {
            return Err(MetricError::Undefined {
                what: "the relative norm of decoders".into(),
                reason: format!("the spread of an activation is {spread}"),
            });
        }
        let all = values("directions", directions.clone())?;
        let mut sharing = Self {
            relative_norms: Vec::with_capacity(latents),
            cosines: Vec::with_capacity(latents),
        };
        for row in all.chunks_exact(channels) {
            let (a, b) = row.split_at(width);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let norms = [dot(a, a).sqrt(), dot(b, b).sqrt()];
            let [first, second] = [norms[0] / spreads[0], norms[1] / spreads[1]];
            let sum = first + second;
            sharing
                .relative_norms
                .push((sum > 0.0).then(|| second / sum));
            let product = norms[0] * norms[1];
            sharing
                .cosines
                .push((product > 0.0).then(|| dot(a, b) / product));
        }
        Ok(sharing)
    }

    /// Whose a latent is; `None` for one that writes nothing.
    ///
    /// # Panics
    /// If there is no such latent.
    pub fn owner(&self, latent: usize) -> Option<Owner> {
        self.relative_norms[latent].map(|norm| {
            if norm < EXCLUSIVE {
                Owner::First
            } else if norm > 1.0 - EXCLUSIVE {
                Owner::Second
            } else {
                Owner::Both
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn what_both_write_is_shared_and_what_one_writes_is_its_own() {
        let rows = Tensor::<2>::from_data(
            [
                [3.0, 4.0, 3.0, 4.0],
                [1.0, 0.0, 0.0, 3.0],
                [0.0, 2.0, 0.0, 0.0],
                [0.0, 0.1, -5.0, 0.0],
                [0.0, 0.0, 0.0, 0.0],
            ],
            &Device::flex(),
        );
        let found = Sharing::of(&rows, [1.0, 1.0]).unwrap();
        assert_eq!(
            found.relative_norms[..3],
            [Some(0.5), Some(0.75), Some(0.0)]
        );
        assert!((found.cosines[0].unwrap() - 1.0).abs() < 1e-12 && found.cosines[1] == Some(0.0));
        let owners: Vec<_> = (0..5).map(|latent| found.owner(latent)).collect();
        let (first, second) = (Some(Owner::First), Some(Owner::Second));
        assert_eq!(
            owners,
            [Some(Owner::Both), Some(Owner::Both), first, second, None]
        );
        assert_eq!((found.cosines[2], found.cosines[4]), (None, None));
    }

    #[test]
    fn a_larger_activation_is_no_larger_share() {
        let rows = Tensor::<2>::from_data([[1.0, 20.0]], &Device::flex());
        let found = Sharing::of(&rows, [0.5, 10.0]).unwrap();
        assert_eq!(found.relative_norms, [Some(0.5)]);
        assert!(Sharing::of(&rows, [0.0, 1.0]).is_err());
        let odd = Tensor::<2>::ones([1, 3], &Device::flex());
        assert!(Sharing::of(&odd, [1.0, 1.0]).is_err());
    }
}
