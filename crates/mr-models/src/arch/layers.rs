//! The layers that architectures share, and the walk past their sites.

use burn::tensor::module::{batch_norm, batch_norm_train, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Pass;
use crate::error::ModelError;
use crate::host::floats;
use crate::layer::Layer;
use crate::weights::Weights;

/// Per-channel normalisation that a model applies to its own input: `(x - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// One mean per channel, in pixel units.
    pub mean: Vec<f32>,
    /// One standard deviation per channel, in pixel units.
    pub std: Vec<f32>,
}

impl Normalization {
    pub(crate) fn validate(&self, channels: usize) -> Result<(), ModelError> {
        for (what, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != channels || values.iter().any(|value| !value.is_finite()) {
                return Err(setting(
                    &format!("normalization.{what}"),
                    &format!("{values:?}"),
                    &format!("{channels} finite numbers, one per channel"),
                ));
            }
        }
        if self.std.iter().any(|&std| std <= 0.0) {
            return Err(setting(
                "normalization.std",
                &format!("{:?}", self.std),
                "above 0",
            ));
        }
        Ok(())
    }

    pub(crate) fn apply(this: Option<&Self>, x: Tensor<4>) -> Tensor<4> {
        let Some(this) = this else { return x };
        let device = x.device().inner();
        let channels = this.mean.len();
        let row = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, channels, 1, 1]);
            Tensor::<4>::from_data(data, &device)
        };
        (x - row(&this.mean)) / row(&this.std)
    }
}

/// The normalisation of an input as a layer, if there is one.
pub(crate) fn normalization_layer(this: Option<&Normalization>, device: &Device) -> Option<Layer> {
    let this = this?;
    let device = device.clone().inner();
    let row = |values: Vec<f32>| Tensor::<1>::from_floats(values.as_slice(), &device);
    let pairs = this.mean.iter().zip(&this.std);
    Some(Layer::Scale {
        scale: row(this.std.iter().map(|std| 1.0 / std).collect()),
        shift: Some(row(pairs.map(|(mean, std)| -mean / std).collect())),
    })
}

pub(crate) fn setting(what: &str, value: &str, valid: &str) -> ModelError {
    ModelError::Setting {
        what: what.into(),
        value: value.into(),
        valid: valid.into(),
    }
}

/// Largest width, side or count of an architecture: a slip of the keyboard is an error, not the end of
/// the machine's memory.
const LARGEST: usize = 1 << 16;

/// Every number of `values` is a size: from 1 to [`LARGEST`].
pub(crate) fn sizes(what: &str, values: &[usize]) -> Result<(), ModelError> {
    if values.iter().all(|size| (1..=LARGEST).contains(size)) {
        return Ok(());
    }
    let valid = format!("from 1 to {LARGEST} each");
    Err(setting(what, &format!("{values:?}"), &valid))
}

/// A dropout rate.
pub(crate) fn rate(value: f64) -> Result<(), ModelError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(setting("dropout", &value.to_string(), "in [0, 1)"))
}

/// Values drawn from U(-bound, bound).
pub(crate) fn uniform(rng: &mut ChaCha8Rng, count: usize, bound: f32) -> Vec<f32> {
    (0..count)
        .map(|_| rng.random_range(-bound..=bound))
        .collect()
}

/// Weight and bias of a linear layer or a convolution, U(±1/sqrt(fan in)): PyTorch's default
/// (Kaiming uniform with a = sqrt 5, He et al. 2015).
pub(crate) fn push_affine(
    weights: &mut Weights,
    name: &str,
    shape: &[usize],
    bias: bool,
    rng: &mut ChaCha8Rng,
    device: &Device,
) {
    let fan_in: usize = shape[1..].iter().product();
    let bound = (1.0 / fan_in as f32).sqrt();
    let values = uniform(rng, shape.iter().product(), bound);
    weights.push(&format!("{name}.weight"), shape, values, true, device);
    if bias {
        let values = uniform(rng, shape[0], bound);
        weights.push(&format!("{name}.bias"), &shape[..1], values, true, device);
    }
}

/// A BatchNorm's scale, shift and running statistics.
pub(crate) fn push_batch_norm(weights: &mut Weights, name: &str, channels: usize, device: &Device) {
    for (part, value, trainable) in [
        ("weight", 1.0, true),
        ("bias", 0.0, true),
        ("running_mean", 0.0, false),
        ("running_var", 1.0, false),
    ] {
        let values = vec![value; channels];
        weights.push(
            &format!("{name}.{part}"),
            &[channels],
            values,
            trainable,
            device,
        );
    }
}

/// Rows that one product of constant weights takes: a matrix kernel adds in an order that depends on
/// how many rows there are, and an example's logits must not depend on its company.
pub(crate) const ROWS: usize = 32;

/// `x w`, x `[batch, in]` and w `[1, in, out]`, to `[batch, out]`. With constant weights each row comes
/// out the same to the last bit, whatever the batch; tracked weights take the batch at once.
///
/// w has its third axis already since burn copies a transposed view that is given one.
pub(crate) fn product(x: Tensor<2>, w: Tensor<3>) -> Tensor<2> {
    let [batch, width] = x.dims();
    let out = w.dims()[2];
    if w.is_autodiff() {
        return x.unsqueeze::<3>().matmul(w).reshape([batch, out]);
    }
    let blocks = batch.div_ceil(ROWS);
    let missing = blocks * ROWS - batch;
    let x = if missing > 0 {
        let device = x.device().inner();
        Tensor::cat(vec![x, Tensor::zeros([missing, width], &device)], 0)
    } else {
        x
    };
    x.reshape([blocks, ROWS, width])
        .matmul(w)
        .reshape([blocks * ROWS, out])
        .narrow(0, 0, batch)
}

/// The same for rows in the host's memory and constant weights.
pub(crate) fn product_of_rows(mut rows: Vec<f32>, w: &Tensor<3>) -> Vec<f32> {
    let [_, width, out] = w.dims();
    if rows.is_empty() {
        return rows;
    }
    let count = rows.len() / width;
    let blocks = count.div_ceil(ROWS);
    rows.resize(blocks * ROWS * width, 0.0);
    let rows = TensorData::new(rows, [blocks, ROWS, width]);
    let mut found = floats(Tensor::<3>::from_data(rows, &w.device()).matmul(w.clone()));
    found.truncate(count * out);
    found
}

/// `x W^T + b` with W `[out, in]`: x `[batch, in]` to `[batch, out]`.
pub(crate) fn linear(weights: &Weights, name: &str, x: Tensor<2>) -> Tensor<2> {
    let w = weights.get::<2>(&format!("{name}.weight"));
    let y = product(x, w.unsqueeze::<3>().transpose());
    let bias = format!("{name}.bias");
    y + weights.get::<1>(&bias).unsqueeze()
}

/// A square convolution: x `[batch, in, height, width]` to `[batch, out, height', width']`.
pub(crate) fn convolution(
    weights: &Weights,
    name: &str,
    x: Tensor<4>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let bias = format!("{name}.bias");
    let bias = weights.contains(&bias).then(|| weights.get::<1>(&bias));
    let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
    conv2d(
        x,
        weights.get::<4>(&format!("{name}.weight")),
        bias,
        options,
    )
}

/// Share of a batch's statistics that enters the running ones: PyTorch's default.
const MOMENTUM: f32 = 0.1;
const EPSILON: f64 = 1e-5;

/// BatchNorm (Ioffe & Szegedy 2015) over batch, height and width.
pub(crate) fn batch_normalization(
    weights: &Weights,
    name: &str,
    x: Tensor<4>,
    pass: &mut Pass,
) -> Tensor<4> {
    let part = |part: &str| weights.get::<1>(&format!("{name}.{part}"));
    let (scale, shift) = (part("weight"), part("bias"));
    let (mean, variance) = (part("running_mean"), part("running_var"));
    if !pass.is_training() {
        return batch_norm(x, scale, shift, mean, variance, EPSILON);
    }
    let [batch, _, height, width] = x.dims();
    let count = (batch * height * width) as f32;
    let out = batch_norm_train(x, scale, shift, EPSILON);
    // The running variance is the unbiased one, as in PyTorch.
    let unbiased = plain(out.variance) * (count / (count - 1.0).max(1.0));
    let mix = |old: Tensor<1>, new: Tensor<1>| old * (1.0 - MOMENTUM) + new * MOMENTUM;
    pass.update(format!("{name}.running_mean"), mix(mean, plain(out.mean)));
    pass.update(format!("{name}.running_var"), mix(variance, unbiased));
    out.output
}

fn plain(values: Tensor<1>) -> Tensor<1> {
    if values.is_autodiff() {
        values.inner()
    } else {
        values
    }
}

/// A linear layer's operation.
pub(crate) fn linear_layer(weights: &Weights, name: &str) -> Layer {
    Layer::Linear {
        weight: weights.get(&format!("{name}.weight")),
        bias: bias(weights, name),
    }
}

/// A square convolution's operation.
pub(crate) fn convolution_layer(
    weights: &Weights,
    name: &str,
    stride: usize,
    padding: usize,
) -> Layer {
    Layer::Convolution {
        weight: weights.get(&format!("{name}.weight")),
        bias: bias(weights, name),
        stride,
        padding,
    }
}

fn bias(weights: &Weights, name: &str) -> Option<Tensor<1>> {
    let name = format!("{name}.bias");
    weights.contains(&name).then(|| weights.get(&name))
}

/// A BatchNorm's operations in evaluation mode: with the running statistics, then scale and shift.
pub(crate) fn batch_norm_layers(weights: &Weights, name: &str) -> [Layer; 2] {
    let part = |part: &str| weights.get::<1>(&format!("{name}.{part}"));
    let scale = (part("running_var") + EPSILON).sqrt().recip();
    let shift = -(part("running_mean") * scale.clone());
    [
        Layer::Scale {
            scale,
            shift: Some(shift),
        },
        Layer::Scale {
            scale: part("weight"),
            shift: Some(part("bias")),
        },
    ]
}
