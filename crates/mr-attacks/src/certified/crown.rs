//! CROWN: linear bounds, propagated backward.

use burn::tensor::Tensor;
use mr_models::{Layer, Network, floats};
use serde::{Deserialize, Serialize};

use super::certificate::{Batch, Certificate};
use super::interval::{Interval, Margin, reach, rounding, smallest};
use super::{Certifier, bounds_fit};
use crate::error::AttackError;
use crate::threat::{Norm, ThreatModel};

/// CROWN (Zhang et al. 2018, "Efficient neural network robustness certification with general
/// activation functions") for perceptrons with ReLU: each neuron is held between two lines, and a
/// bound on any linear function of a layer is carried back through the lines to the input, where
/// the ball's dual norm ends it. The lower line's slope is 1 or 0, whichever leaves the smaller
/// triangle (CROWN-Ada). Every hidden layer is bounded in the same way.
///
/// We deviate in three points, all of which tighten: a neuron's bounds are the better ones of these
/// and of the interval step from the layer before, and so are the margin's, so that the result is
/// never looser than interval bound propagation; and the ball is cut by the box of pixels. Rounding
/// is paid for as if each layer added an error of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Crown {}

/// Numbers of the largest tensor of a batch.
const LARGEST: usize = 1 << 23;

impl Certifier for Crown {
    fn name(&self) -> &'static str {
        "crown"
    }

    fn fits(&self, network: &Network, threat: &ThreatModel) -> Result<(), AttackError> {
        bounds_fit("crown", network, threat)?;
        match Perceptron::of(&network.layers()?) {
            Some(_) => Ok(()),
            None => Err(AttackError::Unfit(format!(
                "crown bounds perceptrons (mlp), not a {}; the methods ibp and smoothing know it",
                mr_models::Model::spec(network).name
            ))),
        }
    }

    fn rows(&self, network: &Network, batch_size: usize) -> usize {
        let widest =
            network
                .layers()
                .unwrap_or_default()
                .iter()
                .fold(1, |widest, layer| match layer {
                    Layer::Linear { weight, .. } => widest.max(weight.dims().into_iter().product()),
                    _ => widest,
                });
        (LARGEST / widest).clamp(1, batch_size)
    }

    fn certificates(&self, batch: &Batch<'_>) -> Result<Vec<Certificate>, AttackError> {
        let net = Perceptron::of(&batch.network.layers()?).expect("the method fits");
        let margins = net.margins(batch);
        batch.by_margins(&smallest(floats(margins), &batch.labels))
    }
}

/// `z = W x + b`.
struct Affine {
    /// W `[out, in]`.
    weight: Tensor<2>,
    /// b `[out]`.
    bias: Tensor<1>,
    /// Magnitudes that rounding is measured by: of W `[out, in]` and of what made b `[out]`.
    size: Tensor<2>,
    bias_size: Tensor<1>,
}

/// Affine layers with ReLU between them.
struct Perceptron {
    hidden: Vec<Affine>,
    last: Affine,
}

/// A layer's values before its ReLU, and the lines around each neuron; each `[batch, neuron]`.
struct Neurons {
    lower: Tensor<2>,
    upper: Tensor<2>,
    /// Slope of the lower line, which passes through 0.
    lower_slope: Tensor<2>,
    /// Slope of the upper line, and its value at 0.
    upper_slope: Tensor<2>,
    intercept: Tensor<2>,
    /// What the layer's sums can round.
    error: Tensor<2>,
}

impl Perceptron {
    /// The layers as a perceptron, if they are one.
    fn of(layers: &[Layer]) -> Option<Self> {
        let mut scales = Vec::new();
        let mut affine = Vec::new();
        let mut rest = layers.iter().peekable();
        while let Some(Layer::Scale { scale, shift }) = rest.peek() {
            scales.push((scale.clone(), shift.clone()));
            rest.next();
        }
        while let Some(layer) = rest.next() {
            let Layer::Linear { weight, bias } = layer else {
                return None;
            };
            affine.push(Affine::new(weight, bias.as_ref()));
            match rest.next() {
                Some(Layer::Relu) if rest.peek().is_some() => {}
                None => break,
                _ => return None,
            }
        }
        let first = affine.first_mut()?;
        for (scale, shift) in scales.into_iter().rev() {
            first.after(&scale, shift.as_ref());
        }
        let last = affine.pop()?;
        Some(Self {
            hidden: affine,
            last,
        })
    }

    /// Lower bounds on every margin `[batch, class]`.
    fn margins(&self, batch: &Batch<'_>) -> Tensor<2> {
        let count = batch.labels.len();
        let width = batch.input.dims()[1..].iter().product();
        let around = Interval::around(batch.threat, &batch.input);
        let ball = Ball {
            threat: batch.threat,
            clean: batch.input.clone().reshape([count, width]),
            lower: around.lower.reshape([count, width]),
            upper: around.upper.reshape([count, width]),
        };
        let mut below: Vec<Neurons> = Vec::new();
        for layer in &self.hidden {
            let next = self.neurons(layer, &below, &ball);
            below.push(next);
        }
        let (lower, upper) = entering(&below, &ball);
        let truth = batch.truth();
        let margin = Margin::new(&self.last.weight, Some(&self.last.bias), &truth);
        let slack = margin.slack(&lower.clone().abs().max_pair(upper.clone().abs()));
        let by_interval = over_box(&margin.weight, &lower, &upper);
        let by_lines = self.back(margin.weight, &below, &ball);
        by_interval.max_pair(by_lines) + margin.bias - slack
    }

    /// Bounds of a layer above these, and its lines.
    fn neurons(&self, layer: &Affine, below: &[Neurons], ball: &Ball<'_>) -> Neurons {
        let (lower, upper) = entering(below, ball);
        let magnitude = lower.clone().abs().max_pair(upper.clone().abs());
        let error = layer.error(&magnitude);
        let batch = lower.dims()[0];
        let [out, width] = layer.weight.dims();
        let rows = layer.weight.clone().unsqueeze_dim::<3>(0);
        let rows = rows.expand([batch, out, width]);
        let bias = layer.bias.clone().unsqueeze_dim::<2>(0);
        // The highest value of a function is minus the lowest of its negative.
        let bound = |rows: Tensor<3>| {
            let by_interval = over_box(&rows, &lower, &upper);
            if below.is_empty() && ball.threat.norm == Norm::Linf {
                return by_interval;
            }
            by_interval.max_pair(self.back(rows, below, ball))
        };
        let low = bound(rows.clone()) + bias.clone() - error.clone();
        let high = bias - bound(-rows) + error.clone();
        Neurons::new(low, high, error)
    }

    /// Lower bounds `[batch, row]` on `A h`, with A `[batch, row, neuron]` and h what the highest of
    /// these layers passes on; with none, h is the input.
    fn back(&self, mut a: Tensor<3>, below: &[Neurons], ball: &Ball<'_>) -> Tensor<2> {
        let [batch, count, _] = a.dims();
        let mut constant: Tensor<2> = Tensor::zeros([batch, count], &a.device());
        for (neurons, layer) in below.iter().zip(&self.hidden).rev() {
            let up = a.clone().clamp_min(0.0);
            let down = a.clamp_max(0.0);
            let times = |a: &Tensor<3>, column: &Tensor<2>| -> Tensor<2> {
                let column: Tensor<3> = column.clone().unsqueeze_dim(2);
                a.clone().matmul(column).squeeze_dim(2)
            };
            constant = constant + times(&down, &neurons.intercept);
            let row = |values: &Tensor<2>| values.clone().unsqueeze_dim::<3>(1);
            a = up * row(&neurons.lower_slope) + down * row(&neurons.upper_slope);
            let bias = layer.bias.clone().unsqueeze_dim::<2>(0);
            let bias = bias.expand([batch, layer.weight.dims()[0]]);
            constant = constant + times(&a, &bias) - times(&a.clone().abs(), &neurons.error);
            a = a.matmul(layer.weight.clone().unsqueeze());
        }
        constant + ball.lowest(&a)
    }
}

impl Affine {
    fn new(weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Self {
        let bias = match bias {
            Some(bias) => bias.clone(),
            None => Tensor::zeros([weight.dims()[0]], &weight.device()),
        };
        Self {
            size: weight.clone().abs(),
            bias_size: bias.clone().abs(),
            weight: weight.clone(),
            bias,
        }
    }

    /// Takes up a scaling of its input, channel by channel.
    fn after(&mut self, scale: &Tensor<1>, shift: Option<&Tensor<1>>) {
        let width = self.weight.dims()[1];
        let each = |values: &Tensor<1>| -> Tensor<2> {
            let channels = values.dims()[0];
            let rows = values.clone().reshape([channels, 1]);
            rows.repeat_dim(1, width / channels).reshape([1, width])
        };
        if let Some(shift) = shift {
            let shift = each(shift);
            let moved = (self.weight.clone() * shift.clone()).sum_dim(1);
            let moved_size = (self.size.clone() * shift.abs()).sum_dim(1);
            self.bias = self.bias.clone() + moved.squeeze_dim(1);
            self.bias_size = self.bias_size.clone() + moved_size.squeeze_dim(1);
        }
        self.weight = self.weight.clone() * each(scale);
        self.size = self.size.clone() * each(scale).abs();
    }

    /// What single precision can round in each output `[batch, out]`, forward or backward, where the
    /// inputs have these magnitudes `[batch, in]`.
    fn error(&self, magnitude: &Tensor<2>) -> Tensor<2> {
        let [out, width] = self.weight.dims();
        let column: Tensor<3> = magnitude.clone().unsqueeze_dim(2);
        let size: Tensor<3> = self.size.clone().unsqueeze_dim(0);
        let size: Tensor<2> = size.matmul(column).squeeze_dim(2);
        (size + self.bias_size.clone().unsqueeze()) * rounding(width + out)
    }
}

impl Neurons {
    fn new(lower: Tensor<2>, upper: Tensor<2>, error: Tensor<2>) -> Self {
        let neurons = lower.dims()[1];
        let dead = upper.clone().lower_equal_elem(0.0);
        let live = lower.clone().greater_equal_elem(0.0);
        let length = (upper.clone() - lower.clone()).clamp_min(f32::MIN_POSITIVE);
        let between = upper.clone() / length;
        let upper_slope = between.mask_fill(live.clone(), 1.0);
        let upper_slope = upper_slope.mask_fill(dead.clone(), 0.0);
        // The line through (l, 0) and (u, u), lifted by what its slope may have been rounded and by
        // what sums of its intercepts may.
        let size = lower.clone().abs().max_pair(upper.clone().abs());
        let intercept = -(upper_slope.clone() * lower.clone()) * (1.0 + rounding(neurons))
            + size * (4.0 * f32::EPSILON);
        let intercept = intercept.mask_fill(live, 0.0).mask_fill(dead, 0.0);
        let steep = (upper.clone() + lower.clone()).greater_equal_elem(0.0);
        Self {
            lower_slope: steep.float(),
            lower,
            upper,
            upper_slope,
            intercept,
            error,
        }
    }
}

/// What enters the layer above these: their values after the ReLU, or the input's box.
fn entering(below: &[Neurons], ball: &Ball<'_>) -> (Tensor<2>, Tensor<2>) {
    match below.last() {
        Some(neurons) => (
            neurons.lower.clone().clamp_min(0.0),
            neurons.upper.clone().clamp_min(0.0),
        ),
        None => (ball.lower.clone(), ball.upper.clone()),
    }
}

/// The lowest values `[batch, row]` of `A x` over boxes, A `[batch, row, in]`.
fn over_box(a: &Tensor<3>, lower: &Tensor<2>, upper: &Tensor<2>) -> Tensor<2> {
    let centre: Tensor<3> = ((lower.clone() + upper.clone()) * 0.5).unsqueeze_dim(2);
    let radius: Tensor<3> = ((upper.clone() - lower.clone()) * 0.5).unsqueeze_dim(2);
    let middle = a.clone().matmul(centre);
    (middle - a.clone().abs().matmul(radius)).squeeze_dim(2)
}

/// The inputs of a threat, each `[batch, coordinate]`.
struct Ball<'a> {
    threat: &'a ThreatModel,
    clean: Tensor<2>,
    lower: Tensor<2>,
    upper: Tensor<2>,
}

impl Ball<'_> {
    /// The lowest values `[batch, row]` of `A x`, A `[batch, row, coordinate]`: over the box, or over
    /// the ball by the dual norm, whichever proves more.
    fn lowest(&self, a: &Tensor<3>) -> Tensor<2> {
        let by_box = over_box(a, &self.lower, &self.upper);
        let dual: Tensor<3> = match self.threat.norm {
            Norm::L2 => a.clone().square().sum_dim(2).sqrt(),
            Norm::L1 => a.clone().abs().max_dim(2),
            Norm::Linf | Norm::L0 => return self.rounded(a, by_box),
        };
        let clean: Tensor<3> = self.clean.clone().unsqueeze_dim(2);
        let reach = dual * (reach(self.threat) * (1.0 + rounding(self.clean.dims()[1])));
        let by_ball = (a.clone().matmul(clean) - reach).squeeze_dim(2);
        self.rounded(a, by_box.max_pair(by_ball))
    }

    /// Less what the products with the input can round.
    fn rounded(&self, a: &Tensor<3>, bound: Tensor<2>) -> Tensor<2> {
        let size = self.lower.clone().abs().max_pair(self.upper.clone().abs());
        let terms = size.dims()[1];
        let size: Tensor<3> = size.unsqueeze_dim(2);
        let size: Tensor<2> = a.clone().abs().matmul(size).squeeze_dim(2);
        bound - size * rounding(terms)
    }
}
