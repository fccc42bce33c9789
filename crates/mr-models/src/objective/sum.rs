//! Weighted sums of objectives.

use std::fmt::Write;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::Objective;
use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;
use crate::site::ModelSpec;

/// A weighted sum: `shift(conv2.hook_out) - 10 kl` moves features and holds the logits.
#[derive(Debug, Clone)]
pub struct Sum {
    /// Weights and what they weigh; at least one.
    pub terms: Vec<(f32, Arc<dyn Objective>)>,
}

impl Sum {
    fn over<T: Ord>(&self, of: impl Fn(&dyn Objective) -> Vec<T>) -> Vec<T> {
        let all = self.terms.iter().flat_map(|(_, term)| of(term.as_ref()));
        let mut all: Vec<T> = all.collect();
        all.sort();
        all.dedup();
        all
    }
}

impl Objective for Sum {
    fn name(&self) -> String {
        let mut name = String::new();
        for (at, (weight, term)) in self.terms.iter().enumerate() {
            let sign = match (at, weight.is_sign_negative()) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            name.push_str(sign);
            let size = weight.abs();
            if size != 1.0 {
                // Writing to a string cannot fail.
                let _ = write!(name, "{size} ");
            }
            name.push_str(&term.name());
        }
        name
    }

    fn sites(&self) -> Vec<String> {
        self.over(|term| term.sites())
    }

    fn references(&self) -> Vec<String> {
        self.over(|term| term.references())
    }

    fn reads_last(&self) -> bool {
        self.terms.iter().all(|(_, term)| term.reads_last())
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        self.terms.iter().try_for_each(|(_, term)| term.fits(spec))
    }

    fn judges(&self, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
        let mut terms = self.terms.iter();
        terms.try_for_each(|(_, term)| term.judges(labels, logits))
    }

    /// # Panics
    /// If there is no term, or a term panics.
    fn value(&self, logits: &Tensor<3>, cache: &Cache, labels: &Labels) -> Tensor<1> {
        let terms = self.terms.iter();
        terms
            .map(|(weight, term)| term.value(logits, cache, labels) * *weight)
            .reduce(|sum, term| sum + term)
            .expect("a sum has at least one term")
    }
}
