//! Cross-entropy.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

use super::{Objective, per_example};
use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;

/// `-log p(truth)`, or `log p(target)` where there is a target; summed over positions.
#[derive(Debug, Clone, Copy, Default)]
pub struct CrossEntropy;

impl Objective for CrossEntropy {
    fn name(&self) -> String {
        "cross-entropy".into()
    }

    fn judges(&self, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
        labels.have_classes(&self.name(), logits)
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, labels: &Labels) -> Tensor<1> {
        match &labels.target {
            Some(target) => -cross_entropy(logits, target),
            None => cross_entropy(logits, &labels.truth),
        }
    }
}

/// `-log p(class)` of each example `[batch]`, summed over positions; logits
/// `[batch, position, class]`, classes `[batch, position]`.
pub fn cross_entropy(logits: &Tensor<3>, classes: &Tensor<2, Int>) -> Tensor<1> {
    let log_p = log_softmax(logits.clone(), 2);
    let picked = log_p.gather(2, classes.clone().unsqueeze_dim(2));
    -per_example(picked.squeeze_dim(2))
}
