//! How sensitive a class is to a concept.

use burn::tensor::Tensor;
use mr_models::{
    Cache, Input, Labels, Model, ModelError, ModelSpec, Objective, Tap, floats, value_and_grad_at,
};

use super::Probe;
use crate::error::CircuitError;

/// How a class's logit changes along a concept's direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitivity {
    /// The directional derivative at each example: the change of the logit per unit step along the
    /// concept, made at every position that the probe reads (Kim et al. 2018, eq. 1).
    pub slopes: Vec<f32>,
}

impl Sensitivity {
    /// The share of examples whose logit the concept raises: the TCAV score (eq. 2), in `[0, 1]`; NaN of
    /// no example.
    pub fn score(&self) -> f64 {
        let up = self.slopes.iter().filter(|&&slope| slope > 0.0).count();
        up as f64 / self.slopes.len() as f64
    }
}

/// Whether a model uses a concept for a class: testing with concept activation vectors, of one output of a
/// probe, on examples (in the paper, those of the class).
///
/// # Errors
/// Those of [`Probe::steer`]; [`CircuitError::Model`] for a class that the model does not know.
pub fn concept_sensitivity(
    model: &dyn Model,
    input: &Input,
    class: usize,
    probe: &Probe,
    output: usize,
) -> Result<Sensitivity, CircuitError> {
    let spec = model.spec();
    let edit = probe.steer(spec, output, 1.0)?;
    let mr_models::Rewrite::Add { direction, .. } = &edit.rewrite else {
        unreachable!("steering adds");
    };
    let tap = Tap {
        site: probe.site.clone(),
        added: None,
    };
    let labels = Labels::of_classes(&vec![class; input.batch()], &model.device());
    let logit = ClassLogit { class };
    let found = value_and_grad_at(model, input, &labels, &logit, false, &[tap])?;
    let slopes = edit.region.cut(found.site(&probe.site));
    let unit = Tensor::<1>::from_floats(direction.as_slice(), &slopes.device());
    let along = slopes * unit.reshape([1, 1, direction.len()]);
    Ok(Sensitivity {
        slopes: floats(along.flatten::<2>(1, 2).sum_dim(1)),
    })
}

/// The logit of one class at the last position.
struct ClassLogit {
    class: usize,
}

impl Objective for ClassLogit {
    fn name(&self) -> String {
        format!("logit({})", self.class)
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        if self.class < spec.classes {
            return Ok(());
        }
        Err(ModelError::Unfit(format!(
            "class {}: the model knows {} classes, counted from 0",
            self.class, spec.classes
        )))
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, _labels: &Labels) -> Tensor<1> {
        let [batch, positions, _] = logits.dims();
        let last = logits.clone().narrow(1, positions - 1, 1);
        last.narrow(2, self.class, 1).reshape([batch])
    }
}
