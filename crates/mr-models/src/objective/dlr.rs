//! Difference of logits ratio.

use burn::tensor::Tensor;

use super::margin::{at_least_classes, best_other, pick};
use super::{Objective, per_example};
use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;
use crate::site::ModelSpec;

/// Keeps the ratio finite where the leading logits are equal.
const FLOOR: f32 = 1e-12;

/// Difference of logits ratio (Croce & Hein 2020, "Reliable evaluation of adversarial robustness",
/// eqs. 6 and 7): `-(z_y - max_{i != y} z_i) / (z_(1) - z_(3))`, and with a target t
/// `-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2)`. Invariant to shifts and scales of the logits.
/// Needs 3 classes, and with a target 4: of 3 the third counts for the fourth too. Summed over positions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dlr;

impl Objective for Dlr {
    fn name(&self) -> String {
        "dlr".into()
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        at_least_classes("DLR", 3, spec)
    }

    fn judges(&self, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
        labels.have_classes(&self.name(), logits)
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, labels: &Labels) -> Tensor<1> {
        let own = pick(logits, &labels.truth);
        let ranked = |rank: usize| ranked(logits, rank);
        let ratio = match &labels.target {
            None => {
                let gap = ranked(0) - ranked(2);
                (best_other(logits, &labels.truth) - own) / (gap + FLOOR)
            }
            Some(target) => {
                let gap = ranked(0) - (ranked(2) + ranked(3)) * 0.5;
                (pick(logits, target) - own) / (gap + FLOOR)
            }
        };
        per_example(ratio)
    }
}

/// The logit of this rank, 0 for the largest, or the smallest if there are fewer: `[batch, position]`.
///
/// Ranks are found on the host: classes are few, and the gradient needs only the chosen logit.
fn ranked(logits: &Tensor<3>, rank: usize) -> Tensor<2> {
    let [batch, positions, classes] = logits.dims();
    let values = crate::host::floats(logits.clone());
    let chosen: Vec<usize> = values
        .chunks(classes)
        .map(|row| {
            let mut order: Vec<usize> = (0..classes).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            order[rank.min(classes - 1)]
        })
        .collect();
    let device = logits.device().inner();
    pick(
        logits,
        &crate::input::class_tensor(&chosen, &device).reshape([batch, positions]),
    )
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::host::floats;
    use crate::input::class_tensor;

    #[test]
    fn of_three_classes_the_third_counts_for_the_fourth() {
        let device = Device::flex();
        let logits = Tensor::<3>::from_floats([[[2.0, 1.0, 0.5]]], &device);
        let labels = Labels::of_classes(&[0], &device).with_target(class_tensor(&[1], &device));
        let value = floats(Dlr.value(&logits, &Cache::default(), &labels))[0];
        assert!((value + 1.0 / 1.5).abs() < 1e-6, "{value}");
    }
}
