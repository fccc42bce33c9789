//! What an attacker may change.

mod area;
mod l0;
mod l1;
mod radius;

use burn::tensor::{Bool, Tensor, TensorData};
use mr_models::{ModelSpec, Place};
use rand::Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};
use serde::{Deserialize, Serialize};

pub use area::Area;
pub(crate) use l1::project_row as project_l1;

use crate::error::AttackError;
use crate::randomness::{Draw, rows, uniform};

/// The norm that measures a perturbation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Norm {
    /// The largest change of any coordinate.
    Linf,
    /// Euclidean length.
    L2,
    /// The sum of absolute changes.
    L1,
    /// How many coordinates change.
    L0,
}

impl Norm {
    /// Every norm's name.
    pub const NAMES: [&str; 4] = ["Linf", "L2", "L1", "L0"];
}

impl std::str::FromStr for Norm {
    type Err = AttackError;

    fn from_str(name: &str) -> Result<Self, AttackError> {
        match name.to_ascii_lowercase().as_str() {
            "linf" => Ok(Self::Linf),
            "l2" => Ok(Self::L2),
            "l1" => Ok(Self::L1),
            "l0" => Ok(Self::L0),
            _ => Err(AttackError::unknown("norm", name, Self::NAMES)),
        }
    }
}

impl std::fmt::Display for Norm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// What an attacker may change, and by how much: a ball of a norm around the clean example, inside a
/// box, at a place.
///
/// Where the place is the input, a *point* is a perturbed input, flattened to `[batch, coordinate]`,
/// in pixel units; at a site it is what is added to the activation, around 0 and in no box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreatModel {
    /// The norm.
    pub norm: Norm,
    /// The ball's radius, in pixel units for the input; 0 allows nothing, infinity whatever the box
    /// does: then attacks look for the smallest perturbation. In files a number or `"inf"`.
    #[serde(with = "radius")]
    pub epsilon: f32,
    /// Lowest and highest value of an input coordinate.
    #[serde(default = "unit_box")]
    pub bounds: [f32; 2],
    /// Where the perturbation lives.
    #[serde(default)]
    pub place: Place,
    /// The part of the input that may change; all of it where there is none. With an epsilon of 1 or
    /// more in Linf, a patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Area>,
}

fn unit_box() -> [f32; 2] {
    [0.0, 1.0]
}

/// How far outside ball and box rounding may carry a point that still counts as inside.
pub(crate) const TOLERANCE: f32 = 1e-6;

impl ThreatModel {
    /// A ball around the input, inside the box `[0, 1]`.
    pub fn new(norm: Norm, epsilon: f32) -> Self {
        Self {
            norm,
            epsilon,
            bounds: unit_box(),
            place: Place::Input,
            area: None,
        }
    }

    /// Anything inside a part of the input, and nothing outside: the threat of a patch.
    pub fn patch(area: Area) -> Self {
        Self::new(Norm::Linf, 1.0).within(area)
    }

    /// The same, confined to a part of the input.
    pub fn within(mut self, area: Area) -> Self {
        self.area = Some(area);
        self
    }

    /// No ball, only the box `[0, 1]`: attacks look for the smallest perturbation.
    pub fn unbounded(norm: Norm) -> Self {
        Self::new(norm, f32::INFINITY)
    }

    /// Whether there is no ball.
    pub fn is_unbounded(&self) -> bool {
        self.epsilon == f32::INFINITY
    }

    /// The same ball at another place.
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// The same with another radius.
    pub fn with_epsilon(&self, epsilon: f32) -> Self {
        Self {
            epsilon,
            ..self.clone()
        }
    }

    /// Checks radius and box, and that the model has the place.
    ///
    /// # Errors
    /// [`AttackError::Setting`], or [`AttackError::Model`] for an unknown site.
    pub fn fits(&self, spec: &ModelSpec) -> Result<(), AttackError> {
        if self.epsilon.is_nan() || self.epsilon < 0.0 {
            return Err(AttackError::setting(
                "epsilon",
                self.epsilon,
                "a number, at least 0 (inf for the smallest perturbation that does)",
            ));
        }
        let [low, high] = self.bounds;
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(AttackError::setting(
                "bounds",
                format!("{:?}", self.bounds),
                "two finite numbers, the lower first",
            ));
        }
        self.place.fits(spec)?;
        match &self.area {
            Some(area) => area.fits(spec, &self.place),
            None => Ok(()),
        }
    }

    /// `points` where they may differ, and `others` elsewhere; each `[batch, coordinate]`.
    pub(crate) fn confined(&self, points: Tensor<2>, others: Tensor<2>) -> Tensor<2> {
        let Some(area) = &self.area else {
            return points;
        };
        let [batch, width] = points.dims();
        let outside: Vec<bool> = (0..width).map(|at| !area.has(at)).collect();
        let outside = TensorData::new(outside, [1, width]);
        let outside = Tensor::<2, Bool>::from_data(outside, &points.device());
        points.mask_where(outside.expand([batch, width]), others)
    }

    /// The box, where the place has one.
    pub(crate) fn in_box(&self) -> Option<[f32; 2]> {
        (self.place == Place::Input).then_some(self.bounds)
    }

    /// The distance of each point from its origin `[batch]`; both `[batch, coordinate]`.
    pub fn distance(&self, origin: &Tensor<2>, point: &Tensor<2>) -> Tensor<1> {
        self.length(point.clone() - origin.clone())
    }

    fn length(&self, change: Tensor<2>) -> Tensor<1> {
        match self.norm {
            Norm::Linf => change.abs().max_dim(1),
            Norm::L2 => change.square().sum_dim(1).sqrt(),
            Norm::L1 => change.abs().sum_dim(1),
            Norm::L0 => change.not_equal_elem(0.0).float().sum_dim(1),
        }
        .squeeze_dim(1)
    }

    /// Brings each point back into ball and box; both `[batch, coordinate]`. The nearest point for
    /// Linf and L1 (Croce & Hein 2021); for L2 the nearest in the ball, then the nearest to that in
    /// the box, which is in both as the origin is in the box. Points inside stay what they are.
    /// Outside the area, if there is one, the origin.
    pub fn project(&self, origin: &Tensor<2>, point: Tensor<2>) -> Tensor<2> {
        let point = self.confined(point, origin.clone());
        let boxed = |point: Tensor<2>| match self.in_box() {
            Some([low, high]) => point.clamp(low, high),
            None => point,
        };
        if self.is_unbounded() {
            return boxed(point);
        }
        match self.norm {
            Norm::Linf => {
                let low = origin.clone() - self.epsilon;
                let high = origin.clone() + self.epsilon;
                boxed(point.max_pair(low).min_pair(high))
            }
            Norm::L2 => {
                let change = point.clone() - origin.clone();
                let length = change.clone().square().sum_dim(1).sqrt();
                // A point inside is not touched: scaling by 1 and adding back would round it.
                let outside = length.clone().greater_elem(self.epsilon);
                let factor = length.clamp_min(f32::MIN_POSITIVE).recip() * self.epsilon;
                let shrunk = origin.clone() + change * factor;
                let outside = outside.expand([point.dims()[0], point.dims()[1]]);
                boxed(point.mask_where(outside, shrunk))
            }
            Norm::L1 => l1::project(origin, point, self.epsilon, self.in_box()),
            Norm::L0 => l0::project(origin, boxed(point), self.epsilon),
        }
    }

    /// The direction of length 1 along which a linear function with this gradient grows most, each
    /// `[batch, coordinate]`: the signs for Linf, the gradient itself for L2, and for L1 the signs
    /// of the steepest coordinates that the box leaves free to move (SLIDE, Tramer & Boneh 2019,
    /// with the top 1 %), and for L0 the gradient scaled to L1 length 1. Zero where the gradient is,
    /// and outside the area, if there is one.
    pub fn steepest(&self, point: &Tensor<2>, gradient: Tensor<2>) -> Tensor<2> {
        let zero = gradient.zeros_like();
        let gradient = self.confined(gradient, zero);
        match self.norm {
            Norm::Linf => gradient.sign(),
            Norm::L2 => unit(gradient),
            Norm::L1 => l1::steepest(point, gradient, self.in_box()),
            Norm::L0 => l0::steepest(gradient),
        }
    }

    /// A random point of each example's ball, uniform by volume, then projected into box and area:
    /// `[example, coordinate]`. L1 and L2 points: Barthe et al. 2005, "A probabilistic approach to
    /// the geometry of the l_p^n ball".
    pub fn random_point(&self, draw: Draw<'_>, examples: &[u64], origin: &Tensor<2>) -> Tensor<2> {
        let width = origin.dims()[1];
        let device = origin.device();
        let unit = match self.norm {
            Norm::Linf => uniform(draw, examples, width, &device),
            Norm::L2 => rows(draw, examples, width, &device, |rng, values| {
                let start = values.len();
                let gaussian: &mut dyn Iterator<Item = f32> =
                    &mut (0..width).map(|_| StandardNormal.sample(rng));
                values.extend(gaussian);
                let square: f32 = values[start..].iter().map(|v| v * v).sum();
                let rest: f32 = Exp1.sample(rng);
                let scale = (square + 2.0 * rest).sqrt().recip();
                values[start..].iter_mut().for_each(|v| *v *= scale);
            }),
            Norm::L0 => rows(draw, examples, width, &device, |rng, values| {
                l0::random(rng, values, width, self.epsilon);
            }),
            Norm::L1 => rows(draw, examples, width, &device, |rng, values| {
                let magnitudes: Vec<f32> = (0..width).map(|_| Exp1.sample(rng)).collect();
                let rest: f32 = Exp1.sample(rng);
                let scale = (magnitudes.iter().sum::<f32>() + rest).recip();
                values.extend(magnitudes.into_iter().map(|magnitude| {
                    if rng.random_bool(0.5) {
                        magnitude * scale
                    } else {
                        -magnitude * scale
                    }
                }));
            }),
        };
        // A change of one coordinate counts 1, whatever its size.
        let size = if self.norm == Norm::L0 {
            1.0
        } else {
            self.epsilon
        };
        self.project(origin, origin.clone() + unit * size)
    }

    /// Whether each point lies in ball, box and area, up to rounding of 1e-6.
    pub(crate) fn contains(&self, origin: &Tensor<2>, point: &Tensor<2>) -> Vec<bool> {
        let [batch, width] = point.dims();
        let near = mr_models::floats(self.distance(origin, point));
        let reach = self.epsilon * (1.0 + TOLERANCE) + TOLERANCE;
        let [low, high] = self.in_box().unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
        let values = mr_models::floats(point.clone());
        let pinned = self.confined(point.clone(), origin.clone());
        let strayed = mr_models::floats((point.clone() - pinned).abs().max_dim(1));
        (0..batch)
            .map(|i| {
                near[i] <= reach
                    && strayed[i] <= TOLERANCE
                    && values[i * width..(i + 1) * width]
                        .iter()
                        .all(|&v| v >= low - TOLERANCE && v <= high + TOLERANCE)
            })
            .collect()
    }
}

/// Rows scaled to L2 length 1; rows of 0 stay 0. Very small and very large ones, of which the squares are
/// no floats, are scaled by their largest coordinate first: a saturated softmax has gradients of 1e-30,
/// which lead as well as any.
pub(crate) fn unit(rows: Tensor<2>) -> Tensor<2> {
    let largest = rows.clone().abs().max_dim(1).clamp_min(f32::MIN_POSITIVE);
    let small = largest.clone().lower_elem(1e-12);
    let large = largest.clone().greater_elem(1e12);
    let rows = rows / largest.mask_fill(small.bool_or(large).bool_not(), 1.0);
    let length = rows.clone().square().sum_dim(1).sqrt();
    rows / length.clamp_min(f32::MIN_POSITIVE)
}

/// Host rows as a tensor `[batch, width]` on the device of `like`.
fn from_rows(values: Vec<f32>, like: &Tensor<2>) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, like.dims()), &like.device())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::floats;

    use super::*;

    #[test]
    fn directions_have_length_1_however_long_the_gradient() {
        for scale in [1e-30f32, 1e-20, 1.0, 1e30] {
            let rows = [[3.0 * scale, -4.0 * scale], [0.0, 0.0]];
            let found = floats(unit(Tensor::from_floats(rows, &Device::flex())));
            let off = found.iter().zip([0.6, -0.8, 0.0, 0.0]);
            let off = off.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-6, "{scale}: {found:?}");
        }
    }
}
