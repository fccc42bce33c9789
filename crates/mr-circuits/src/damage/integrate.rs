//! Gradients integrated along the straight path between two runs.

use burn::tensor::{Int, Tensor, TensorData};
use mr_models::{
    Input, Labels, Model, Objective, Place, Tap, floats, run_with_cache, value_and_grad_at,
    values_at,
};
use serde::{Deserialize, Serialize};

use crate::error::CircuitError;
use crate::pair::Pair;

/// How finely a path is divided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Integration {
    /// Steps of the first try.
    pub steps: usize,
    /// The completeness error of an example, as a part of its change, above which it is tried again with
    /// twice the steps.
    pub tolerance: f32,
    /// Steps of the last try.
    pub most: usize,
}

impl Default for Integration {
    fn default() -> Self {
        Self {
            steps: 32,
            tolerance: 0.005,
            most: 1024,
        }
    }
}

/// The path of each example: how the activation changes along it, and the mean gradient on the way. Their
/// product, summed, is the change of the objective.
#[derive(Debug)]
pub(crate) struct Integrated {
    /// Adversarial minus clean activation `[batch, position, channel]`.
    pub(crate) change: Tensor<3>,
    /// Mean gradient of the objective `[batch, position, channel]`.
    pub(crate) gradient: Tensor<3>,
    /// The objective of the clean and of the adversarial run.
    pub(crate) values: [Vec<f32>; 2],
    /// Steps that each example took.
    pub(crate) steps: Vec<usize>,
}

/// An input as an activation `[batch, position, channel]`.
pub(super) fn pixels(input: &Input) -> Tensor<3> {
    let values = input.real();
    let [batch, channels, height, width] = values.dims();
    let maps = values.reshape([batch, channels, height * width]);
    maps.swap_dims(1, 2)
}

/// Integrated gradients (Sundararajan et al. 2017, eq. 1) from the clean to the corrupt run, at a place
/// inside the network (internal influence: Leino et al. 2018; with the path taken there instead of at the
/// input, unlike conductance, Dhamdhere et al. 2018, eq. 3: a path at the place itself needs no derivative of
/// the activation along the input's). By the midpoint rule.
///
/// An example whose error is too large is done again with twice the steps, whatever its company.
pub(crate) fn integrate(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    place: &Place,
    integration: &Integration,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Integrated, CircuitError> {
    if integration.steps == 0 {
        return Err(CircuitError::Steps);
    }
    place.fits(model.spec())?;
    for input in [pair.clean(), pair.corrupt()] {
        model.spec().accepts(input)?;
    }
    let at = |input: &Input| -> Result<Tensor<3>, CircuitError> {
        match place {
            Place::Input => Ok(pixels(input)),
            Place::Site(site) => {
                let (_, cache) = run_with_cache(model, input, &[site])?;
                Ok(cache.get(site)?.clone())
            }
        }
    };
    let value = |input: &Input| -> Result<Vec<f32>, CircuitError> {
        let (values, _) = values_at(model, input, labels, objective, &[])?;
        Ok(floats(values))
    };
    let change = at(pair.corrupt())? - at(pair.clean())?;
    let values = [value(pair.clean())?, value(pair.corrupt())?];
    let batch = pair.clean().batch();
    let whole: Vec<f32> = (0..batch).map(|i| values[1][i] - values[0][i]).collect();
    if let Some(example) = whole.iter().position(|change| !change.is_finite()) {
        return Err(CircuitError::Change {
            example,
            clean: values[0][example],
            corrupt: values[1][example],
        });
    }

    let device = change.device();
    let mut gradient = change.zeros_like();
    let mut taken = vec![0; batch];
    let mut left: Vec<usize> = (0..batch).collect();
    let mut steps = integration.steps;
    while !left.is_empty() {
        progress(batch - left.len(), batch);
        let rows: Vec<i64> = left.iter().map(|&row| row as i64).collect();
        let rows = TensorData::new(rows, [left.len()]);
        let rows = Tensor::<1, Int>::from_data(rows, &device);
        let part = Way {
            model,
            clean: pair.clean().select(rows.clone()),
            change: change.clone().select(0, rows.clone()),
            labels: labels.select(rows.clone()),
            objective,
            place,
        };
        let mean = part.mean_gradient(steps)?;
        let sums = (part.change.clone() * mean.clone()).sum_dim(2).sum_dim(1);
        let sums = floats(sums);
        let old = gradient.clone().select(0, rows.clone());
        gradient = gradient.select_assign(0, rows, mean - old, burn::tensor::IndexingUpdateOp::Add);
        for &row in &left {
            taken[row] = steps;
        }
        let is_last = steps * 2 > integration.most;
        let missed = left.iter().zip(sums).filter(|&(&row, sum)| {
            let error = (sum - whole[row]).abs();
            !is_last && error > integration.tolerance * whole[row].abs()
        });
        left = missed.map(|(&row, _)| row).collect();
        steps *= 2;
    }
    progress(batch, batch);
    Ok(Integrated {
        change,
        gradient,
        values,
        steps: taken,
    })
}

/// The paths of some examples.
struct Way<'a> {
    model: &'a dyn Model,
    clean: Input,
    change: Tensor<3>,
    labels: Labels,
    objective: &'a dyn Objective,
    place: &'a Place,
}

impl Way<'_> {
    fn mean_gradient(&self, steps: usize) -> Result<Tensor<3>, CircuitError> {
        let mut sum = self.change.zeros_like();
        for step in 0..steps {
            let along = (step as f32 + 0.5) / steps as f32;
            sum = sum + self.gradient(along)?;
        }
        Ok(sum / steps as f32)
    }

    /// The gradient at a point of the path: 0 is clean, 1 corrupt.
    fn gradient(&self, along: f32) -> Result<Tensor<3>, CircuitError> {
        let added = self.change.clone() * along;
        let (model, labels, objective) = (self.model, &self.labels, self.objective);
        match self.place {
            Place::Input => {
                let clean = self.clean.real();
                let added = added.swap_dims(1, 2).reshape(clean.dims());
                let input = Input::Real(clean + added);
                let found = value_and_grad_at(model, &input, labels, objective, true, &[])?;
                Ok(pixels(&Input::Real(found.input().clone())))
            }
            Place::Site(site) => {
                let tap = Tap {
                    site: site.clone(),
                    added: Some(added),
                };
                let taps = [tap];
                let found = value_and_grad_at(model, &self.clean, labels, objective, false, &taps)?;
                Ok(found.site(site).clone())
            }
        }
    }
}
