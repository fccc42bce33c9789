//! Adversarial patches: one picture, laid over a part of every image.

use mr_models::{InputKind, Model, ModelSpec, data::Dataset};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::AttackError;
use crate::fit::{Fit, FitConfig, FitProgress, Shared};
use crate::goal::Goal;
use crate::randomness::Draw;
use crate::threat::{Area, Norm, ThreatModel};

/// A picture that is laid over a part of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// Channels, rows and columns.
    pub shape: [usize; 3],
    /// Its values, row-major.
    pub values: Vec<f32>,
    /// Where it lies.
    pub place: PatchPlace,
}

/// Where a patch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PatchPlace {
    /// With its top left corner here.
    At {
        /// The first row.
        top: usize,
        /// The first column.
        left: usize,
    },
    /// Anywhere inside the image, drawn for each example.
    Random,
}

impl Patch {
    /// A patch of this size in the middle of the range of values.
    ///
    /// # Errors
    /// [`AttackError::Setting`] if it is larger than the image, or empty; [`AttackError::Unfit`] for
    /// a model of tokens.
    pub fn blank(
        size: [usize; 2],
        place: PatchPlace,
        spec: &ModelSpec,
    ) -> Result<Self, AttackError> {
        let InputKind::Real { shape } = spec.input else {
            return Err(AttackError::Unfit("tokens take no patch".into()));
        };
        let shape = [shape[0], size[0], size[1]];
        let patch = Self {
            shape,
            values: vec![0.5; shape.iter().product()],
            place,
        };
        patch.fits(spec)?;
        Ok(patch)
    }

    /// Checks that it lies in the model's input.
    ///
    /// # Errors
    /// [`AttackError::Setting`] or [`AttackError::Unfit`].
    pub fn fits(&self, spec: &ModelSpec) -> Result<(), AttackError> {
        let InputKind::Real { shape } = spec.input else {
            return Err(AttackError::Unfit("tokens take no patch".into()));
        };
        let (top, left) = match self.place {
            PatchPlace::At { top, left } => (top, left),
            PatchPlace::Random => (0, 0),
        };
        self.area([shape[1], shape[2]], top, left)
            .fits(spec, &mr_models::Place::Input)?;
        if self.shape[0] != shape[0] {
            let valid = format!("{}, as the model's input", shape[0]);
            return Err(AttackError::setting(
                "the patch's number of channels",
                self.shape[0],
                valid,
            ));
        }
        let count: usize = self.shape.iter().product();
        if self.values.len() != count || self.values.iter().any(|value| !value.is_finite()) {
            return Err(AttackError::setting(
                "the patch's number of values",
                self.values.len(),
                format!("{count}, all finite"),
            ));
        }
        Ok(())
    }

    /// What an attacker who may lay this patch may do: anything inside its area, or, where that is
    /// anywhere, change as many coordinates as it has.
    ///
    /// # Errors
    /// Those of [`Self::fits`].
    pub fn threat(&self, spec: &ModelSpec) -> Result<ThreatModel, AttackError> {
        self.fits(spec)?;
        Ok(match (self.place, spec.input) {
            (PatchPlace::At { top, left }, InputKind::Real { shape }) => {
                ThreatModel::patch(self.area([shape[1], shape[2]], top, left))
            }
            _ => ThreatModel::new(Norm::L0, self.values.len() as f32),
        })
    }

    fn area(&self, picture: [usize; 2], top: usize, left: usize) -> Area {
        Area {
            picture,
            top,
            left,
            height: self.shape[1],
            width: self.shape[2],
        }
    }

    /// The coordinate of an image of this height and width under each value of the patch.
    pub(crate) fn coordinates(
        &self,
        [height, width]: [usize; 2],
        draw: Draw<'_>,
        example: u64,
    ) -> Vec<usize> {
        let [channels, rows, columns] = self.shape;
        let (top, left) = match self.place {
            PatchPlace::At { top, left } => (top, left),
            PatchPlace::Random => {
                let mut rng = draw.rng(example);
                let mut upto = |most: usize| rng.random_range(0..=most as u64) as usize;
                (upto(height - rows), upto(width - columns))
            }
        };
        let mut all = Vec::with_capacity(self.values.len());
        for channel in 0..channels {
            for row in 0..rows {
                let from = (channel * height + top + row) * width + left;
                all.extend(from..from + columns);
            }
        }
        all
    }
}

/// Fits a patch that drives as many examples as it can to the goal, wherever it lies, by ascent of the
/// expected objective over examples and places (Brown et al. 2017, "Adversarial patch", without their
/// rotations and scales). [`LaidPatch`](crate::LaidPatch) lays it, and `evaluate` judges it under
/// [`Patch::threat`]. `start` is where it begins, such as [`Patch::blank`].
///
/// A patch for each example on its own needs none of this: any attack under [`ThreatModel::patch`] is
/// one.
///
/// # Errors
/// [`AttackError`] if patch, goal, objective or data do not fit the model; [`AttackError::Stopped`]
/// where `progress` says `false`.
pub fn fit_patch(
    model: &dyn Model,
    data: &Dataset,
    start: Patch,
    goal: &Goal,
    config: &FitConfig,
    progress: &mut dyn FnMut(FitProgress) -> bool,
) -> Result<Patch, AttackError> {
    let threat = start.threat(model.spec())?;
    let fit = Fit::new(model, data, &threat, goal, config)?;
    let [_, height, width] = data.shape();
    let [low, high] = threat.bounds;
    let first = config.step_size.unwrap_or(0.05 * (high - low));
    let laid = Laid {
        patch: start,
        picture: [height, width],
        seed: config.seed,
        step: 0,
    };
    let count = laid.patch.values.len();
    let found = fit.ascend(count, laid, progress, |mut laid, step, share, gradient| {
        for (value, slope) in laid.patch.values.iter_mut().zip(gradient) {
            let sign = if slope == 0.0 { 0.0 } else { slope.signum() };
            *value = (*value + first * share * sign).clamp(low, high);
        }
        laid.step = step as u32 + 1;
        laid
    })?;
    Ok(found.patch)
}

struct Laid {
    patch: Patch,
    picture: [usize; 2],
    seed: u64,
    step: u32,
}

impl Laid {
    fn coordinates(&self, example: u64) -> Vec<usize> {
        let draw = Draw {
            seed: self.seed,
            attack: "fit-patch",
            restart: 0,
            step: self.step,
        };
        self.patch.coordinates(self.picture, draw, example)
    }
}

impl Shared for Laid {
    fn lay(&self, example: u64, point: &mut [f32]) {
        for (at, value) in self
            .coordinates(example)
            .into_iter()
            .zip(&self.patch.values)
        {
            point[at] = *value;
        }
    }

    fn gather(&self, example: u64, gradient: &[f32], sum: &mut [f32]) {
        for (at, sum) in self.coordinates(example).into_iter().zip(sum) {
            *sum += gradient[at];
        }
    }
}

#[cfg(test)]
mod tests;
