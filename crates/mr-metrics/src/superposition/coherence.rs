//! Mutual coherence: how alike the directions of two features are.

use serde::{Deserialize, Serialize};

use super::weights::FeatureWeights;

/// Coherence of the columns of a weight matrix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coherence {
    /// The largest `|cos(W_i, W_j)|` (mutual coherence, Donoho & Huo 2001).
    pub max: f64,
    /// The mean `|cos(W_i, W_j)|` over pairs.
    pub mean: f64,
}

impl FeatureWeights {
    /// Coherence over all pairs of features whose norms are not 0. None if there is no pair.
    pub fn coherence(&self) -> Option<Coherence> {
        let norms = self.norms();
        let (mut max, mut sum, mut pairs) = (0.0_f64, 0.0, 0_usize);
        for i in 0..norms.len() {
            for j in 0..i {
                if norms[i] > 0.0 && norms[j] > 0.0 {
                    let cosine = (self.gram.row(i)[j] / norms[i] / norms[j]).abs().min(1.0);
                    max = max.max(cosine);
                    sum += cosine;
                    pairs += 1;
                }
            }
        }
        (pairs > 0).then(|| Coherence {
            max,
            mean: sum / pairs as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use crate::superposition::FeatureWeights;

    #[test]
    fn known_coherence() {
        let device = Device::flex();
        // (1, 0), (1, 1), (0, 3) and nothing: |cos| are .7071, 0, .7071.
        let w = Tensor::<2>::from_data([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 3.0, 0.0]], &device);
        let coherence = FeatureWeights::new(&w).unwrap().coherence().unwrap();
        let half = 0.5_f64.sqrt();
        assert!((coherence.max - half).abs() < 1e-9);
        assert!((coherence.mean - 2.0 * half / 3.0).abs() < 1e-9);
        let one = Tensor::<2>::from_data([[1.0, 0.0]], &device);
        assert_eq!(FeatureWeights::new(&one).unwrap().coherence(), None);
    }
}
