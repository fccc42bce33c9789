//! Weighted squared error of a reconstruction.

use burn::tensor::{Tensor, TensorData};

use super::Objective;
use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;

/// `sum_i I_i (x_i - x'_i)^2` between the labels' reference and the model's output (Elhage et al.
/// 2022), summed over positions. The loss of the toy model of superposition.
#[derive(Debug, Clone, Default)]
pub struct SquaredError {
    /// Importance of each output; empty for 1 everywhere.
    pub importance: Vec<f32>,
}

impl Objective for SquaredError {
    fn name(&self) -> String {
        "squared-error".into()
    }

    fn judges(&self, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
        Labels::have(
            &self.name(),
            "reference logits",
            labels.reference.as_ref(),
            logits,
        )
    }

    /// # Panics
    /// If the labels carry no reference, or one of another shape.
    fn value(&self, logits: &Tensor<3>, _cache: &Cache, labels: &Labels) -> Tensor<1> {
        let reference = labels
            .reference
            .clone()
            .expect("the squared error is measured from the labels' reference");
        let error = reference - logits.clone();
        let squared = error.clone() * error;
        let weighted = if self.importance.is_empty() {
            squared
        } else {
            let data = TensorData::new(self.importance.clone(), [1, 1, self.importance.len()]);
            squared * Tensor::from_data(data, &logits.device().inner())
        };
        weighted.flatten::<2>(1, 2).sum_dim(1).squeeze_dim(1)
    }
}
