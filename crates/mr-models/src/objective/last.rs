//! An objective of the last position.

use std::sync::Arc;

use burn::tensor::{Int, Tensor};

use super::Objective;
use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;
use crate::site::ModelSpec;

/// Another objective, of the logits of the last position alone: what a language model says next.
/// `last(margin)`. Labels and reference logits may be of every position or of the last one; activations
/// that the other objective reads stay those of every position.
#[derive(Debug, Clone)]
pub struct Last {
    /// What is asked of the last position.
    pub of: Arc<dyn Objective>,
}

impl Objective for Last {
    fn name(&self) -> String {
        format!("last({})", self.of.name())
    }

    fn sites(&self) -> Vec<String> {
        self.of.sites()
    }

    fn references(&self) -> Vec<String> {
        self.of.references()
    }

    fn reads_last(&self) -> bool {
        true
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        self.of.fits(spec)
    }

    fn judges(&self, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
        let [batch, positions, classes] = logits;
        let positions = positions.min(1);
        self.of
            .judges(&labels_at_last(labels), [batch, positions, classes])
    }

    /// # Panics
    /// If the other objective panics, or there is no position.
    fn value(&self, logits: &Tensor<3>, cache: &Cache, labels: &Labels) -> Tensor<1> {
        self.of
            .value(&at_last(logits), cache, &labels_at_last(labels))
    }
}

/// The last of their positions.
fn at_last(all: &Tensor<3>) -> Tensor<3> {
    all.clone().narrow(1, all.dims()[1] - 1, 1)
}

fn labels_at_last(labels: &Labels) -> Labels {
    let classes = |all: &Tensor<2, Int>| all.clone().narrow(1, all.dims()[1] - 1, 1);
    Labels {
        truth: classes(&labels.truth),
        target: labels.target.as_ref().map(classes),
        reference: labels.reference.as_ref().map(at_last),
        answers: labels.answers.as_ref().map(at_last),
        activations: labels.activations.clone(),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::by_name;
    use super::*;
    use crate::host::floats;
    use crate::input::class_tensor;

    #[test]
    fn only_the_last_position_counts() {
        let device = Device::flex();
        let logits = Tensor::<3>::from_floats([[[9.0, 0.0, 0.0], [1.0, 3.0, 0.5]]], &device);
        let labels = Labels::of_classes(&[1], &device).with_target(class_tensor(&[0], &device));
        let value = |name: &str, logits: &Tensor<3>| {
            let objective = by_name(name).unwrap();
            assert_eq!(objective.name(), name);
            assert!(objective.reads_last());
            floats(objective.value(logits, &Cache::default(), &labels))[0]
        };
        for name in ["last(answer-difference)", "2 last(logit-difference(1, 0))"] {
            let all = value(name, &logits);
            assert_eq!(all, value(name, &logits.clone().narrow(1, 1, 1)));
            assert!(all == 2.0 || all == 4.0, "{all}");
        }
        assert!(!by_name("margin + last(margin)").unwrap().reads_last());
    }

    #[test]
    fn labels_and_reference_of_every_position_are_cut_too() {
        let device = Device::flex();
        let logits = Tensor::<3>::from_floats([[[9.0, 0.0], [1.0, 3.0]]], &device);
        let mut labels = Labels::of_classes(&[0, 1], &device).with_reference(logits.clone());
        labels.truth = labels.truth.reshape([1, 2]);
        let value = |name: &str| {
            let objective = by_name(name).unwrap();
            floats(objective.value(&logits, &Cache::default(), &labels))[0]
        };
        assert_eq!(value("last(margin)"), -2.0);
        assert_eq!(value("last(kl)"), 0.0);
    }
}
