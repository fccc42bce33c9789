//! The part of a dimension that each feature has, and what the others put into it.

use super::weights::FeatureWeights;

impl FeatureWeights {
    /// Dimensionality `D_i = ||W_i||^2 / sum_j (Wh_i . W_j)^2` with `Wh_i = W_i / ||W_i||` (Elhage
    /// et al. 2022): 1 for a feature with a dimension of its own, 1/2 in an antipodal pair, 0 for a
    /// feature that is not represented.
    ///
    /// Its sum is at most m, and close to m once all dimensions are used, whatever the sparsity: so
    /// report its distribution, never its sum.
    pub fn dimensionality(&self) -> Vec<f64> {
        self.norms()
            .iter()
            .enumerate()
            .map(|(i, norm)| {
                let square = norm * norm;
                let shared = self.read_along(i);
                if shared > 0.0 { square / shared } else { 0.0 }
            })
            .collect()
    }

    /// Capacity `C_i = (W_i . W_i)^2 / sum_j (W_i . W_j)^2` (Scherlis et al. 2022, "Polysemanticity
    /// and Capacity in Neural Networks"). Dividing both by `||W_i||^2` shows that it *is* the
    /// dimensionality; it keeps its name because the literature has two.
    pub fn capacity(&self) -> Vec<f64> {
        self.dimensionality()
    }

    /// Interference `sum_{j != i} (Wh_i . W_j)^2`: how much of the other features is read along
    /// feature i, in units of a squared norm. 0 for a feature of norm 0.
    pub fn interference(&self) -> Vec<f64> {
        self.norms()
            .iter()
            .enumerate()
            .map(|(i, norm)| (self.read_along(i) - norm * norm).max(0.0))
            .collect()
    }

    /// `sum_j (Wh_i . W_j)^2` with the feature itself.
    fn read_along(&self, i: usize) -> f64 {
        let norm = self.norms()[i];
        if norm > 0.0 {
            // Divided before squaring, which would underflow for tiny columns.
            self.gram
                .row(i)
                .iter()
                .map(|dot| (dot / norm).powi(2))
                .sum()
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use proptest::prelude::{prop, prop_assert, proptest};

    use crate::superposition::FeatureWeights;

    fn weights(values: Vec<f32>, shape: [usize; 2]) -> FeatureWeights {
        let data = TensorData::new(values, shape);
        FeatureWeights::new(&Tensor::from_data(data, &Device::flex())).unwrap()
    }

    #[test]
    fn five_features_in_a_plane_have_two_fifths_of_a_dimension_each() {
        let angle = |i: usize| std::f32::consts::TAU * i as f32 / 5.0;
        let x = (0..5).map(|i| angle(i).cos());
        let y = (0..5).map(|i| angle(i).sin());
        let pentagon = weights(x.chain(y).collect(), [2, 5]);
        for (d, interference) in pentagon
            .dimensionality()
            .iter()
            .zip(pentagon.interference())
        {
            assert!((d - 0.4).abs() < 1e-6, "{d}");
            // 2 cos^2 72 + 2 cos^2 144 = 1.5.
            assert!((interference - 1.5).abs() < 1e-6, "{interference}");
        }
    }

    #[test]
    fn features_of_their_own_dimension_do_not_interfere_and_absent_ones_have_none() {
        let own = weights(vec![2.0, 0.0, 0.0, 0.0, 0.5, 0.0], [2, 3]);
        assert_eq!(own.dimensionality(), [1.0, 1.0, 0.0]);
        assert_eq!(own.interference(), [0.0, 0.0, 0.0]);
    }

    proptest! {
        // C_i <= P_ii with P the projection on the row space of W, by Cauchy and Schwarz; the trace
        // of P is at most m.
        #[test]
        fn capacities_sum_to_at_most_the_hidden_units(
            values in prop::collection::vec(-2.0..2.0_f32, 21)
        ) {
            let weights = weights(values, [3, 7]);
            let capacity = weights.capacity();
            prop_assert!(capacity.iter().all(|c| (0.0..=1.0 + 1e-9).contains(c)));
            prop_assert!(capacity.iter().sum::<f64>() <= 3.0 + 1e-6);
        }
    }
}
