//! Universal perturbations: one for all examples.

use burn::tensor::{Tensor, TensorData};
use mr_models::{Model, Place, data::Dataset, floats};

use crate::attack::{bounded, coordinates};
use crate::error::AttackError;
use crate::fit::{Fit, FitConfig, FitProgress, Shared};
use crate::goal::Goal;
use crate::threat::{Norm, ThreatModel};

/// Fits one perturbation inside the threat's ball that drives as many examples as it can to the goal
/// (Moosavi-Dezfooli et al. 2017), by ascent of the clipped objective over minibatches (Shafahi et al.
/// 2020, their algorithm 2, with steepest steps in the threat's norm and a falling length). Gives
/// `[coordinate]`; [`Fixed`](crate::Fixed) adds it, and `evaluate` judges it, best on other examples.
///
/// # Errors
/// [`AttackError`] if threat, goal, objective or data do not fit the model, or the threat is
/// unbounded; [`AttackError::Stopped`] where `progress` says `false`.
pub fn fit_universal(
    model: &dyn Model,
    data: &Dataset,
    threat: &ThreatModel,
    goal: &Goal,
    config: &FitConfig,
    progress: &mut dyn FnMut(FitProgress) -> bool,
) -> Result<Vec<f32>, AttackError> {
    bounded("a universal perturbation", threat)?;
    let fit = Fit::new(model, data, threat, goal, config)?;
    let width = coordinates(model.spec(), threat)?;
    let [low, high] = threat.bounds;
    // The ball around nothing: every example's own box is for `lay` and for the evaluation.
    let ball = ThreatModel {
        bounds: [low - high, high - low],
        ..threat.clone()
    };
    let boxed = (threat.place == Place::Input).then_some([low, high]);
    let radius = match threat.norm {
        Norm::L0 => 1.0,
        _ => threat.epsilon,
    };
    let first = config.step_size.unwrap_or(0.1 * radius);
    let device = model.device();
    let row = |values: Vec<f32>| -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, [1, width]), &device)
    };
    let none = row(vec![0.0; width]);
    let start = Universal {
        added: vec![0.0; width],
        boxed,
    };
    let found = fit.ascend(width, start, progress, |state, _, share, gradient| {
        let at = row(state.added);
        let step = ball.steepest(&at, row(gradient)) * (first * share);
        Universal {
            added: floats(ball.project(&none, at + step)),
            boxed,
        }
    })?;
    Ok(found.added)
}

struct Universal {
    added: Vec<f32>,
    boxed: Option<[f32; 2]>,
}

impl Shared for Universal {
    fn lay(&self, _example: u64, point: &mut [f32]) {
        for (value, added) in point.iter_mut().zip(&self.added) {
            *value += added;
            if let Some([low, high]) = self.boxed {
                *value = value.clamp(low, high);
            }
        }
    }

    fn gather(&self, _example: u64, gradient: &[f32], sum: &mut [f32]) {
        for (sum, gradient) in sum.iter_mut().zip(gradient) {
            *sum += gradient;
        }
    }
}

#[cfg(test)]
mod tests;
