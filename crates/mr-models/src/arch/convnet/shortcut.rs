//! A convolutional net whose convolutions go forward and back without the graph.
//!
//! As in [`windowed`](super::windowed), a convolution is one product of patches with the kernel; the way
//! back is the product with its transpose, each row added where its patch was taken. Of ReLU and pooling
//! it keeps which value went through.

use burn::tensor::{Tensor, TensorData};

use super::ConvNet;
use super::windowed::{Layer, Maps, Rect};
use crate::arch::Pass;
use crate::arch::layers::{Trace, product};
use crate::hook::Idle;
use crate::host::floats;
use crate::input::Input;
use crate::shortcut::Shortcut;
use crate::site::ModelSpec;
use crate::weights::Weights;

/// Examples whose patches are in memory at a time: few enough that they stay in the cache.
const CHUNK: usize = 4;

/// What no value went through: all were below 0.
const NONE: u8 = 4;

/// A layer with the size of its input and what went through.
struct Passed {
    layer: Layer,
    /// The kernel, transposed: `[channel out, row of the kernel * column * channel in]`.
    transposed: Tensor<2>,
    size: [usize; 2],
    channels: usize,
    /// Which of the (one or four) values of each output went through, `[example, output, channel]`.
    choices: Vec<u8>,
}

impl Passed {
    fn whole(&self) -> Rect {
        Rect::whole(self.layer.size)
    }

    /// Height and width of what it gives.
    fn out(&self) -> [usize; 2] {
        if self.layer.pools {
            self.layer.size.map(|side| side / 2)
        } else {
            self.layer.size
        }
    }

    /// Where the values of an output lie among the convolution's.
    fn members(&self, output: usize) -> ([usize; 4], usize) {
        let width = self.layer.size[1];
        if !self.layer.pools {
            return ([output; 4], 1);
        }
        let [_, cells] = self.out();
        let first = 2 * (output / cells) * width + 2 * (output % cells);
        ([first, first + 1, first + width, first + width + 1], 4)
    }

    /// The outputs of the convolution `[position, channel]` of one example to what follows it.
    fn choose(&mut self, values: &[f32], out: &mut Vec<f32>) {
        let channels = self.layer.shift.len();
        let [height, width] = self.out();
        for output in 0..height * width {
            let (members, count) = self.members(output);
            let at = out.len();
            out.resize(at + channels, f32::NEG_INFINITY);
            self.choices.resize(at.max(self.choices.len()), NONE);
            let first = self.choices.len();
            self.choices.resize(first + channels, NONE);
            let (best, choice) = (&mut out[at..], &mut self.choices[first..]);
            for (member, &position) in (0_u8..).zip(&members[..count]) {
                let row = &values[position * channels..(position + 1) * channels];
                for c in 0..channels {
                    let value = self.layer.affine(row[c], c);
                    if value > best[c] {
                        best[c] = value;
                        choice[c] = member;
                    }
                }
            }
            for (best, choice) in best.iter_mut().zip(choice) {
                if *best <= 0.0 {
                    (*best, *choice) = (0.0, NONE);
                }
            }
        }
    }

    /// The gradient at the outputs of one example to that at the convolution's values.
    fn unchoose(&self, example: usize, gradient: &[f32], values: &mut Vec<f32>) {
        let channels = self.layer.shift.len();
        let at = values.len();
        let positions = self.layer.size[0] * self.layer.size[1];
        values.resize(at + positions * channels, 0.0);
        let values = &mut values[at..];
        let outputs = gradient.len() / channels;
        let choices = &self.choices[example * gradient.len()..(example + 1) * gradient.len()];
        for output in 0..outputs {
            let (members, _) = self.members(output);
            for c in 0..channels {
                let choice = choices[output * channels + c];
                if choice != NONE {
                    let value = self.layer.slope(gradient[output * channels + c], c);
                    values[members[usize::from(choice)] * channels + c] = value;
                }
            }
        }
    }

    /// Adds the gradients of patches where they were taken.
    fn scatter(&self, patches: &[f32], into: &mut [f32]) {
        let [height, width] = self.size;
        let (side, pad, channels) = (self.layer.kernel, self.layer.pad, self.channels);
        let run = side * channels;
        let columns = self.layer.size[1];
        for (position, patch) in patches.chunks(side * run).enumerate() {
            let (row, column) = (position / columns, position % columns);
            let before = pad.saturating_sub(column);
            let after = (column + side).saturating_sub(width + pad);
            for (y, patch) in patch.chunks(run).enumerate() {
                let Some(row) = (row + y).checked_sub(pad).filter(|&row| row < height) else {
                    continue;
                };
                let at = (row * width + column + before - pad) * channels;
                let patch = &patch[before * channels..run - after * channels];
                for (into, value) in into[at..at + patch.len()].iter_mut().zip(patch) {
                    *into += value;
                }
            }
        }
    }
}

/// The pass: see [`Shortcut`].
pub(super) fn shortcut<'a>(
    net: &'a ConvNet,
    spec: &'a ModelSpec,
    weights: &'a Weights,
    input: &Input,
) -> Shortcut<'a> {
    let examples = input.batch();
    let device = weights.device();
    let mut layers = layers(net, weights);
    let images = interleaved(net, &floats(input.real()));
    let mut features = Vec::new();
    let each = images.len() / examples.max(1);
    for chunk in images.chunks(CHUNK * each) {
        let mut values = chunk.to_vec();
        for passed in &mut layers {
            let count = chunk.len() / each;
            let maps = Maps::of(passed.size, passed.channels, values);
            let mut patches = Vec::new();
            for example in 0..count {
                passed
                    .layer
                    .gather(&maps, example, passed.whole(), &mut patches);
            }
            let found = multiplied(patches, &passed.layer.matrix);
            values = Vec::new();
            for example in found.chunks(found.len() / count) {
                let mut out = Vec::new();
                passed.choose(example, &mut out);
                values.append(&mut out);
            }
        }
        features.append(&mut values);
    }
    let [height, width] = net.size_after(net.widths.len());
    let channels = net.widths.last().copied().unwrap_or(net.input[0]);
    let shape = [examples, height, width, channels];
    // The linear layers take one channel after the other.
    let leaf = Tensor::<4>::from_data(TensorData::new(features, shape), &device)
        .permute([0, 3, 1, 2])
        .reshape([examples, net.flat()])
        .autodiff()
        .require_grad();
    let mut idle = Idle;
    let sites = &spec.sites[2 * layers.len()..];
    let mut trace = Trace::over(sites, &mut idle);
    let mut pass = Pass::evaluation();
    let logits = net
        .head()
        .forward(leaf.clone(), weights, &mut trace, &mut pass);
    let back = move |gradient: Tensor<2>| {
        let gradient = gradient
            .reshape([examples, channels, height, width])
            .permute([0, 2, 3, 1]);
        let gradient = back(&layers, &floats(gradient), examples);
        let [channels, height, width] = net.input;
        let gradient = planar(net, &gradient);
        let shape = [examples, channels, height, width];
        Tensor::from_data(TensorData::new(gradient, shape), &device)
    };
    Shortcut {
        logits,
        leaf,
        back: Box::new(back),
    }
}

fn layers(net: &ConvNet, weights: &Weights) -> Vec<Passed> {
    let mut size = [net.input[1], net.input[2]];
    let mut channels = net.input[0];
    let mut layers = Vec::new();
    for &filters in &net.widths {
        for i in 1..=net.depth {
            let out = net.convolved(size);
            let layer = Layer::of(net, weights, layers.len() + 1, out, i == net.depth);
            let passed = Passed {
                transposed: layer.matrix.clone().transpose(),
                layer,
                size,
                channels,
                choices: Vec::new(),
            };
            (size, channels) = (passed.out(), filters);
            layers.push(passed);
        }
    }
    layers
}

/// The gradient at the last maps to that at the input, both channels last.
fn back(layers: &[Passed], gradient: &[f32], examples: usize) -> Vec<f32> {
    let each = gradient.len() / examples.max(1);
    let mut all = Vec::new();
    for (number, chunk) in gradient.chunks(CHUNK * each.max(1)).enumerate() {
        let count = chunk.len() / each;
        let mut gradient = chunk.to_vec();
        for passed in layers.iter().rev() {
            let mut values = Vec::new();
            for (i, gradient) in gradient.chunks(gradient.len() / count).enumerate() {
                passed.unchoose(number * CHUNK + i, gradient, &mut values);
            }
            let patches = multiplied(values, &passed.transposed);
            let size = passed.size[0] * passed.size[1] * passed.channels;
            gradient = vec![0.0; count * size];
            let each = patches.len() / count;
            for (patches, into) in patches.chunks(each).zip(gradient.chunks_mut(size)) {
                passed.scatter(patches, into);
            }
        }
        all.append(&mut gradient);
    }
    all
}

/// Rows `[row, in]` times `[in, out]`, each row the same in any company.
fn multiplied(rows: Vec<f32>, by: &Tensor<2>) -> Vec<f32> {
    let width = by.dims()[0];
    let count = rows.len() / width;
    let rows = Tensor::from_data(TensorData::new(rows, [count, width]), &by.device());
    floats(product(rows, by.clone()))
}

/// `[example, channel, pixel]` to `[example, pixel, channel]`, normalised.
fn interleaved(net: &ConvNet, images: &[f32]) -> Vec<f32> {
    let [channels, height, width] = net.input;
    let pixels = height * width;
    let mut values = Vec::with_capacity(images.len());
    for image in images.chunks(channels * pixels) {
        for pixel in 0..pixels {
            values.extend((0..channels).map(|c| {
                let value = image[c * pixels + pixel];
                match &net.normalization {
                    Some(normal) => (value - normal.mean[c]) / normal.std[c],
                    None => value,
                }
            }));
        }
    }
    values
}

/// A gradient `[example, pixel, channel]` to `[example, channel, pixel]`, before the normalisation.
fn planar(net: &ConvNet, gradient: &[f32]) -> Vec<f32> {
    let [channels, height, width] = net.input;
    let pixels = height * width;
    let mut values = Vec::with_capacity(gradient.len());
    for image in gradient.chunks(channels * pixels) {
        for c in 0..channels {
            let scale = net
                .normalization
                .as_ref()
                .map_or(1.0, |normal| normal.std[c]);
            values.extend((0..pixels).map(|pixel| image[pixel * channels + c] / scale));
        }
    }
    values
}
