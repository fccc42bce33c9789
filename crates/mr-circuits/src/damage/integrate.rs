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

/// A place that a path leads through.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    /// The place.
    pub(crate) place: Place,
    /// How the activation there changes from the path's begin to its end `[batch, position, channel]`.
    pub(crate) change: Tensor<3>,
}

/// The path of each example: how activations change along it, and the mean gradients on the way. Their
/// product, summed, is the change of the objective.
#[derive(Debug)]
pub(crate) struct Integrated {
    /// By place, adversarial minus clean activation.
    pub(crate) moved: Vec<Moved>,
    /// By place, the mean gradient of the objective `[batch, position, channel]`.
    pub(crate) gradients: Vec<Tensor<3>>,
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

/// How the activation at a place changes from the clean to the corrupt run.
pub(crate) fn moved(model: &dyn Model, pair: &Pair, place: &Place) -> Result<Moved, CircuitError> {
    place.fits(model.spec())?;
    let at = |input: &Input| -> Result<Tensor<3>, CircuitError> {
        model.spec().accepts(input)?;
        match place {
            Place::Input => Ok(pixels(input)),
            Place::Site(site) => {
                let (_, cache) = run_with_cache(model, input, &[site])?;
                Ok(cache.get(site)?.clone())
            }
        }
    };
    Ok(Moved {
        place: place.clone(),
        change: at(pair.corrupt())? - at(pair.clean())?,
    })
}

/// Integrated gradients (Sundararajan et al. 2017, eq. 1) from the clean to the corrupt run, at places
/// inside the network through which, together, everything passes (internal influence: Leino et al. 2018; with
/// the path taken there instead of at the input, unlike conductance, Dhamdhere et al. 2018, eq. 3: a path at the
/// place itself needs no derivative of the activation along the input's). By the midpoint rule.
///
/// An example whose error is too large is done again with twice the steps, whatever its company.
pub(crate) fn integrate(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    moved: Vec<Moved>,
    integration: &Integration,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Integrated, CircuitError> {
    if integration.steps == 0 {
        return Err(CircuitError::Steps);
    }
    let value = |input: &Input| -> Result<Vec<f32>, CircuitError> {
        let (values, _) = values_at(model, input, labels, objective, &[])?;
        Ok(floats(values))
    };
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

    let device = model.device();
    let zeros = moved.iter().map(|moved| moved.change.zeros_like());
    let mut gradients: Vec<Tensor<3>> = zeros.collect();
    let mut taken = vec![0; batch];
    let mut left: Vec<usize> = (0..batch).collect();
    let mut steps = integration.steps;
    while !left.is_empty() {
        progress(batch - left.len(), batch);
        let rows: Vec<i64> = left.iter().map(|&row| row as i64).collect();
        let rows = TensorData::new(rows, [left.len()]);
        let rows = Tensor::<1, Int>::from_data(rows, &device);
        let of_rows = moved.iter().map(|moved| Moved {
            place: moved.place.clone(),
            change: moved.change.clone().select(0, rows.clone()),
        });
        let part = Way {
            model,
            clean: pair.clean().select(rows.clone()),
            moved: of_rows.collect(),
            labels: labels.select(rows.clone()),
            objective,
        };
        let means = part.mean_gradients(steps)?;
        let mut sums = vec![0.0; left.len()];
        for ((moved, mean), gradient) in part.moved.iter().zip(means).zip(&mut gradients) {
            let along = (moved.change.clone() * mean.clone()).sum_dim(2).sum_dim(1);
            for (sum, along) in sums.iter_mut().zip(floats(along)) {
                *sum += along;
            }
            let old = gradient.clone().select(0, rows.clone());
            let add = burn::tensor::IndexingUpdateOp::Add;
            *gradient = gradient
                .clone()
                .select_assign(0, rows.clone(), mean - old, add);
        }
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
        moved,
        gradients,
        values,
        steps: taken,
    })
}

/// The paths of some examples.
struct Way<'a> {
    model: &'a dyn Model,
    clean: Input,
    moved: Vec<Moved>,
    labels: Labels,
    objective: &'a dyn Objective,
}

impl Way<'_> {
    fn mean_gradients(&self, steps: usize) -> Result<Vec<Tensor<3>>, CircuitError> {
        let zeros = self.moved.iter().map(|moved| moved.change.zeros_like());
        let mut sums: Vec<Tensor<3>> = zeros.collect();
        for step in 0..steps {
            let along = (step as f32 + 0.5) / steps as f32;
            for (sum, more) in sums.iter_mut().zip(self.gradients(along)?) {
                *sum = sum.clone() + more;
            }
        }
        let means = sums.into_iter().map(|sum| sum / steps as f32);
        Ok(means.collect())
    }

    /// By place, the gradient at a point of the path: 0 is clean, 1 corrupt.
    fn gradients(&self, along: f32) -> Result<Vec<Tensor<3>>, CircuitError> {
        let mut input = self.clean.clone();
        let (mut taps, mut at_input) = (Vec::new(), false);
        for Moved { place, change } in &self.moved {
            let added = change.clone() * along;
            match place {
                Place::Input => {
                    let clean = self.clean.real();
                    let added = added.swap_dims(1, 2).reshape(clean.dims());
                    input = Input::Real(clean + added);
                    at_input = true;
                }
                Place::Site(site) => taps.push(Tap {
                    site: site.clone(),
                    added: Some(added),
                }),
            }
        }
        let (model, labels, objective) = (self.model, &self.labels, self.objective);
        let found = value_and_grad_at(model, &input, labels, objective, at_input, &taps)?;
        let gradients = self.moved.iter().map(|moved| match &moved.place {
            Place::Input => pixels(&Input::Real(found.input().clone())),
            Place::Site(site) => found.site(site).clone(),
        });
        Ok(gradients.collect())
    }
}
