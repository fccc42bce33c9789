//! Intervals that a network's activations stay in.

use burn::tensor::{Int, Tensor};
use mr_models::Layer;

use crate::threat::{TOLERANCE, ThreatModel};

/// A box of activations, `[batch, channel, height, width]`.
#[derive(Debug, Clone)]
pub struct Interval {
    /// Lowest values.
    pub lower: Tensor<4>,
    /// Highest values.
    pub upper: Tensor<4>,
}

/// Products and sums of a sum of n products, at worst, in units of the sum of their magnitudes: twice
/// the textbook bound n u (Higham 2002, eq. 3.5) with u half an epsilon, for the network's rounding,
/// and as much again for that of the bounds themselves.
pub(super) fn rounding(terms: usize) -> f32 {
    2.0 * (terms + 8) as f32 * f32::EPSILON
}

/// How far a point may lie from its origin and still count as inside the threat's ball: what is
/// certified is all that [`evaluate`](crate::evaluate) accepts.
pub(super) fn reach(threat: &ThreatModel) -> f32 {
    threat.epsilon * (1.0 + TOLERANCE) + TOLERANCE
}

impl Interval {
    /// The smallest box around a threat's ball, cut by the threat's own box, both with the 1e-6 that an
    /// evaluation allows for rounding; outside the threat's area, if it has one, nothing else. The ball of L2 and L1 lies
    /// in that of Linf with the same radius.
    pub fn around(threat: &ThreatModel, input: &Tensor<4>) -> Self {
        let [low, high] = [threat.bounds[0] - TOLERANCE, threat.bounds[1] + TOLERANCE];
        let edge = |reach: f32, still: f32| {
            let shape = input.dims();
            let flat: Tensor<2> = input.clone().flatten(1, 3);
            let edge = threat.confined(flat.clone() + reach, flat + still);
            edge.reshape(shape).clamp(low, high)
        };
        let reach = reach(threat);
        Self {
            lower: edge(-reach, -TOLERANCE),
            upper: edge(reach, TOLERANCE),
        }
    }

    /// The box of what a layer makes of points of this box. With `outward` it holds what the layer
    /// gives in single precision, whatever the order of its sums; without, it is the interval of
    /// exact arithmetic, computed in single precision: cheaper, and enough to train on.
    pub fn through(self, layer: &Layer, outward: bool) -> Self {
        match layer {
            Layer::Relu | Layer::MaxPool { .. } => Self {
                lower: layer.apply(self.lower),
                upper: layer.apply(self.upper),
            },
            Layer::Sum { branch, skip } => {
                let all = |layers: &[Layer]| {
                    let pass = |box_: Self, layer| box_.through(layer, outward);
                    layers.iter().fold(self.clone(), pass)
                };
                let (a, b) = (all(branch), all(skip));
                let sum = Self {
                    lower: a.lower + b.lower,
                    upper: a.upper + b.upper,
                };
                if outward {
                    let slack = sum.magnitude() * rounding(1);
                    sum.widened(slack)
                } else {
                    sum
                }
            }
            affine => self.through_affine(affine, outward),
        }
    }

    /// `W c + b` with `|W| r` around it, c the middle and r the radius (Gowal et al. 2018, eq. 6).
    fn through_affine(self, layer: &Layer, outward: bool) -> Self {
        let centre = (self.lower.clone() + self.upper.clone()) * 0.5;
        let radius = (self.upper.clone() - self.lower.clone()) * 0.5;
        let middle = layer.apply(centre);
        let magnitude = layer.magnitude();
        if !outward {
            let reach = magnitude.apply(radius);
            return Self {
                lower: middle.clone() - reach.clone(),
                upper: middle + reach,
            };
        }
        // |W| r and |W| max |x| in one go.
        let batch = radius.dims()[0];
        let both = magnitude.apply(Tensor::cat(vec![radius, self.magnitude()], 0));
        let reach = both.clone().narrow(0, 0, batch);
        let mut size = both.narrow(0, batch, batch);
        let (terms, offset) = terms(layer, self.lower.dims());
        if let Some(offset) = offset {
            let channels = offset.dims()[0];
            size = size + offset.abs().reshape([1, channels, 1, 1]);
        }
        let reach = reach + size * rounding(terms);
        Self {
            lower: middle.clone() - reach.clone(),
            upper: middle + reach,
        }
    }

    /// The largest absolute value of each coordinate.
    pub(super) fn magnitude(&self) -> Tensor<4> {
        self.lower.clone().abs().max_pair(self.upper.clone().abs())
    }

    pub(super) fn widened(self, by: Tensor<4>) -> Self {
        Self {
            lower: self.lower - by.clone(),
            upper: self.upper + by,
        }
    }
}

/// How many products an output of an affine layer sums, and the terms that it adds.
fn terms(layer: &Layer, shape: [usize; 4]) -> (usize, Option<Tensor<1>>) {
    match layer {
        Layer::Scale { shift, .. } => (1, shift.clone()),
        Layer::Linear { weight, bias } => (weight.dims()[1], bias.clone()),
        Layer::Convolution { weight, bias, .. } => {
            let [_, channels, height, width] = weight.dims();
            (channels * height * width, bias.clone())
        }
        // A mean; the layers that are not affine are treated by themselves.
        _ => (shape[2] * shape[3], None),
    }
}

/// Lower bounds of how far the logit of the true class exceeds each other, over a box of inputs, by
/// interval bound propagation (Gowal et al. 2018): `[batch, class]`, 0 at the true class. The last
/// layer's rows are subtracted before they are bounded, so that the bound is on the margin itself.
///
/// `truth` is `[batch]`; `outward` as in [`Interval::through`].
///
/// # Panics
/// If the last layer is not linear.
pub fn worst_margins(
    layers: &[Layer],
    input: Interval,
    truth: &Tensor<1, Int>,
    outward: bool,
) -> Tensor<2> {
    let (last, before) = layers.split_last().expect("a network has layers");
    let Layer::Linear { weight, bias } = last else {
        panic!("margins are bounded at a linear layer, not at {last:?}");
    };
    let hidden = before
        .iter()
        .fold(input, |box_, layer| box_.through(layer, outward));
    let margin = Margin::new(weight, bias.as_ref(), truth);
    margin.over(&hidden, outward)
}

/// `z_y - z_i` as a linear function of the last hidden layer.
pub(super) struct Margin {
    /// `[batch, class, in]`.
    pub(super) weight: Tensor<3>,
    /// `[batch, class]`.
    pub(super) bias: Tensor<2>,
    /// Magnitudes of both rows, whose rounding adds up: `[batch, class, in]`.
    size: Tensor<3>,
    /// `[batch, class]`.
    bias_size: Tensor<2>,
}

impl Margin {
    pub(super) fn new(
        weight: &Tensor<2>,
        bias: Option<&Tensor<1>>,
        truth: &Tensor<1, Int>,
    ) -> Self {
        let [classes, _] = weight.dims();
        let bias = match bias {
            Some(bias) => bias.clone(),
            None => Tensor::zeros([classes], &weight.device().inner()),
        };
        let own = weight
            .clone()
            .select(0, truth.clone())
            .unsqueeze_dim::<3>(1);
        let every = weight.clone().unsqueeze_dim::<3>(0);
        let own_bias = bias.clone().select(0, truth.clone()).unsqueeze_dim::<2>(1);
        let every_bias = bias.unsqueeze_dim::<2>(0);
        Self {
            weight: own.clone() - every.clone(),
            bias: own_bias.clone() - every_bias.clone(),
            size: own.abs() + every.abs(),
            bias_size: own_bias.abs() + every_bias.abs(),
        }
    }

    /// Lower bounds `[batch, class]` over a box.
    fn over(&self, hidden: &Interval, outward: bool) -> Tensor<2> {
        let [batch, _, width] = self.weight.dims();
        let flat = |x: Tensor<4>| x.reshape([batch, width, 1]);
        let lower = flat(hidden.lower.clone());
        let upper = flat(hidden.upper.clone());
        let centre = (lower.clone() + upper.clone()) * 0.5;
        let radius = (upper - lower) * 0.5;
        let middle = self.weight.clone().matmul(centre).squeeze_dim::<2>(2);
        let reach = self.weight.clone().abs().matmul(radius).squeeze_dim::<2>(2);
        let bound = middle + self.bias.clone() - reach;
        if outward {
            bound - self.slack(&hidden.magnitude().reshape([batch, width]))
        } else {
            bound
        }
    }

    /// What rounding can take from a margin, where the hidden layer has these magnitudes
    /// `[batch, in]`: `[batch, class]`.
    pub(super) fn slack(&self, magnitude: &Tensor<2>) -> Tensor<2> {
        let width = self.weight.dims()[2];
        let size = self.size.clone().matmul(magnitude.clone().unsqueeze_dim(2));
        (size.squeeze_dim::<2>(2) + self.bias_size.clone()) * rounding(width)
    }
}

/// The smallest margin over the other classes of each row `[batch, class]`, on the host.
pub(super) fn smallest(margins: Vec<f32>, labels: &[usize]) -> Vec<f32> {
    let classes = margins.len() / labels.len();
    let rows = margins.chunks(classes).zip(labels);
    rows.map(|(row, &label)| {
        let others = row.iter().enumerate().filter(|(class, _)| *class != label);
        // A NaN proves nothing.
        others.fold(f32::INFINITY, |least, (_, &margin)| {
            if margin.is_nan() {
                f32::NEG_INFINITY
            } else {
                least.min(margin)
            }
        })
    })
    .collect()
}
