//! Margins between logits.

use burn::tensor::{Int, Tensor};

use super::{Objective, per_example};
use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;
use crate::site::ModelSpec;

/// `max_{i != truth} z_i - z_truth`, above 0 where the example is misclassified (Carlini & Wagner
/// 2017); with a target, `z_target - max_{i != target} z_i`. Summed over positions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Margin;

impl Objective for Margin {
    fn name(&self) -> String {
        "margin".into()
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        at_least_classes("margin", 2, spec)
    }

    fn judges(&self, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
        labels.have_classes(&self.name(), logits)
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, labels: &Labels) -> Tensor<1> {
        let (class, sign) = match &labels.target {
            Some(target) => (target, -1.0),
            None => (&labels.truth, 1.0),
        };
        let own = pick(logits, class);
        let others = best_other(logits, class);
        per_example((others - own) * sign)
    }
}

/// `z_a - z_b` for two fixed classes, summed over positions.
#[derive(Debug, Clone, Copy)]
pub struct LogitDifference {
    /// The class whose logit counts positively.
    pub more: usize,
    /// The class whose logit counts negatively.
    pub less: usize,
}

impl Objective for LogitDifference {
    fn name(&self) -> String {
        format!("logit-difference({}, {})", self.more, self.less)
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        let most = self.more.max(self.less);
        if most < spec.classes {
            return Ok(());
        }
        Err(ModelError::Unfit(format!(
            "class {most} does not exist: the model has {} classes, counted from 0",
            spec.classes
        )))
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, _labels: &Labels) -> Tensor<1> {
        let class = |i: usize| logits.clone().narrow(2, i, 1).squeeze_dim::<2>(2);
        per_example(class(self.more) - class(self.less))
    }
}

/// The logits of these classes: `[batch, position]`.
pub(super) fn pick(logits: &Tensor<3>, classes: &Tensor<2, Int>) -> Tensor<2> {
    logits
        .clone()
        .gather(2, classes.clone().unsqueeze_dim(2))
        .squeeze_dim(2)
}

/// The largest logit of any other class: `[batch, position]`.
pub(super) fn best_other(logits: &Tensor<3>, classes: &Tensor<2, Int>) -> Tensor<2> {
    let count = logits.dims()[2];
    let own = classes
        .clone()
        .unsqueeze_dim::<3>(2)
        .repeat_dim(2, count)
        .equal(class_axis(logits));
    logits
        .clone()
        .mask_fill(own, f32::NEG_INFINITY)
        .max_dim(2)
        .squeeze_dim(2)
}

/// 0, 1, ... along the class axis, in the shape of the logits.
pub(super) fn class_axis(logits: &Tensor<3>) -> Tensor<3, Int> {
    let [batch, positions, classes] = logits.dims();
    let device = logits.device().inner();
    Tensor::<1, Int>::arange(0..classes as i64, &device)
        .reshape([1, 1, classes])
        .expand([batch, positions, classes])
}

pub(super) fn at_least_classes(
    objective: &str,
    needed: usize,
    spec: &ModelSpec,
) -> Result<(), ModelError> {
    if spec.classes >= needed {
        return Ok(());
    }
    Err(ModelError::Unfit(format!(
        "the {objective} objective needs at least {needed} classes, the model has {}",
        spec.classes
    )))
}
