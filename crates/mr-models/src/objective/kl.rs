//! Kullback-Leibler divergence.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use super::{Objective, per_example};
use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;

/// `KL(reference || now)` between the distributions of the labels' reference logits and the logits;
/// summed over positions.
#[derive(Debug, Clone, Copy, Default)]
pub struct KlDivergence;

impl Objective for KlDivergence {
    fn name(&self) -> String {
        "kl".into()
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
    /// If the labels carry no reference logits.
    fn value(&self, logits: &Tensor<3>, _cache: &Cache, labels: &Labels) -> Tensor<1> {
        let reference = labels
            .reference
            .as_ref()
            .expect("the KL objective is measured from the labels' reference logits");
        kl_divergence(reference, logits)
    }
}

/// `KL(p || q)` of each example `[batch]`, from logits `[batch, position, class]`, summed over
/// positions.
pub fn kl_divergence(p: &Tensor<3>, q: &Tensor<3>) -> Tensor<1> {
    let log_p = log_softmax(p.clone(), 2);
    let log_q = log_softmax(q.clone(), 2);
    let terms = log_p.clone().exp() * (log_p - log_q);
    per_example(terms.sum_dim(2).squeeze_dim(2))
}
