//! A convolutional net whose convolutions go forward and back without the graph.
//!
//! As in [`windowed`](super::windowed), a convolution is one product of patches with the kernel; the way
//! back is the product with its transpose, each row added where its patch was taken. Of ReLU and pooling
//! it keeps which value went through.

use burn::tensor::{Tensor, TensorData};

use super::ConvNet;
use super::windowed::{Layer, Maps, Rect};
use crate::arch::Pass;
use crate::arch::Trace;
use crate::arch::layers::product_of_rows;
use crate::hook::Idle;
use crate::host::floats;
use crate::input::Input;
use crate::shortcut::Shortcut;
use crate::site::ModelSpec;
use crate::weights::Weights;

/// Examples whose patches are in memory at a time: few enough that they stay in the cache.
const CHUNK: usize = 4;

/// What no value went through: all were below 0.
const NONE: u32 = 4;

/// A layer with the size of its input and what went through.
struct Passed {
    layer: Layer,
    /// The kernel, transposed: `[1, channel out, row of the kernel * column * channel in]`.
    transposed: Tensor<3>,
    size: [usize; 2],
    channels: usize,
    /// Which of the (one or four) values of each output went through, `[example, output, channel]`.
    choices: Vec<u32>,
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

    /// The outputs of the convolution `[position, channel]` of one example to what follows it.
    fn choose(&mut self, values: &[f32], out: &mut Vec<f32>) {
        let channels = self.layer.shift.len();
        let (at, first) = (out.len(), self.choices.len());
        let [height, width] = self.out();
        out.resize(at + height * width * channels, 0.0);
        self.choices.resize(first + height * width * channels, NONE);
        let outputs = out[at..].chunks_exact_mut(channels);
        let choices = self.choices[first..].chunks_exact_mut(channels);
        let (scale, shift) = (&self.layer.scale[..channels], &self.layer.shift[..channels]);
        for (output, (best, choice)) in outputs.zip(choices).enumerate() {
            let row = |position: usize| &values[position * channels..(position + 1) * channels];
            if self.layer.pools {
                let cell = cell(self.layer.size[1], output).map(row);
                for c in 0..channels {
                    let value = |member: usize| cell[member][c] * scale[c] + shift[c];
                    (best[c], choice[c]) = largest([value(0), value(1), value(2), value(3)]);
                }
            } else {
                let row = row(output);
                for c in 0..channels {
                    let value = row[c] * scale[c] + shift[c];
                    (best[c], choice[c]) = if value > 0.0 { (value, 0) } else { (0.0, NONE) };
                }
            }
        }
    }

    /// The gradient at the outputs of one example to that at the convolution's values.
    fn unchoose(&self, example: usize, gradient: &[f32], values: &mut Vec<f32>) {
        let channels = self.layer.scale.len();
        let at = values.len();
        let positions = self.layer.size[0] * self.layer.size[1];
        values.resize(at + positions * channels, 0.0);
        let values = &mut values[at..];
        let choices = &self.choices[example * gradient.len()..(example + 1) * gradient.len()];
        let scale = &self.layer.scale[..channels];
        let outputs = gradient
            .chunks_exact(channels)
            .zip(choices.chunks_exact(channels));
        for (output, (gradient, choice)) in outputs.enumerate() {
            let mut into = |position: usize, member: u32| {
                let row = &mut values[position * channels..(position + 1) * channels];
                for c in 0..channels {
                    let value = gradient[c] * scale[c];
                    row[c] = if choice[c] == member { value } else { 0.0 };
                }
            };
            if self.layer.pools {
                for (position, member) in cell(self.layer.size[1], output).into_iter().zip(0..) {
                    into(position, member);
                }
            } else {
                into(output, 0);
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
            let [before, after] = self.layer.outside(column, width);
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

/// Where the four values of an output of the pooling lie in a map of this width.
fn cell(width: usize, output: usize) -> [usize; 4] {
    let cells = width / 2;
    let first = 2 * (output / cells) * width + 2 * (output % cells);
    [first, first + 1, first + width, first + width + 1]
}

/// The largest of the values of a cell and which it is, the first of equal ones; 0 where none is above.
fn largest(values: [f32; 4]) -> (f32, u32) {
    let (mut best, mut choice) = (0.0, NONE);
    for (value, member) in values.into_iter().zip(0..) {
        // Not `if`: the compiler takes several channels at a time only where nothing branches.
        let better = value > best;
        best = if better { value } else { best };
        choice = if better { member } else { choice };
    }
    (best, choice)
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
    let [height, width] = net.size_after(net.widths.len());
    let positions = height * width;
    let channels = net.flat() / positions.max(1);
    let mut features = Vec::with_capacity(examples * net.flat());
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
            let found = product_of_rows(patches, &passed.layer.matrix);
            values = Vec::new();
            for example in found.chunks(found.len() / count) {
                let mut out = Vec::new();
                passed.choose(example, &mut out);
                values.append(&mut out);
            }
        }
        // The linear layers take one channel after the other.
        for values in values.chunks_exact(positions * channels) {
            transposed(values, channels, &mut features);
        }
    }
    let leaf = Tensor::from_data(TensorData::new(features, [examples, net.flat()]), &device)
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
        let planes = floats(gradient);
        let mut gradient = Vec::with_capacity(planes.len());
        for planes in planes.chunks_exact(positions * channels) {
            transposed(planes, positions, &mut gradient);
        }
        let gradient = back(&layers, &gradient, examples);
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
            let patches = product_of_rows(values, &passed.transposed);
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

/// Appends the columns of a matrix with so many of them.
fn transposed(matrix: &[f32], columns: usize, into: &mut Vec<f32>) {
    for column in 0..columns {
        into.extend(matrix[column..].iter().step_by(columns));
    }
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
