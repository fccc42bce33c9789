//! A convolutional net that recomputes what a window of its input can reach.
//!
//! Maps lie channels last, so that a patch is a few runs of memory and a convolution one product of a
//! matrix of patches with the kernel. A window grows by half a kernel at each convolution and halves
//! at each pooling; only there are patches taken. The linear layers take everything.

use burn::tensor::{Tensor, TensorData};

use super::ConvNet;
use crate::arch::Pass;
use crate::arch::Trace;
use crate::arch::layers::product_of_rows;
use crate::hook::Idle;
use crate::host::floats;
use crate::input::Input;
use crate::site::ModelSpec;
use crate::weights::Weights;
use crate::windowed::{Change, Windowed};

/// Examples whose patches are in memory at a time: few enough that they stay in the cache.
const CHUNK: usize = 16;

/// A part of a map: rows and columns from, and up to but without.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rect {
    rows: [usize; 2],
    columns: [usize; 2],
}

impl Rect {
    /// All of a map of this size.
    pub(super) fn whole([height, width]: [usize; 2]) -> Self {
        Self {
            rows: [0, height],
            columns: [0, width],
        }
    }

    /// The outputs, in a map of this size, of the kernels that see something of this.
    fn reached(self, kernel: usize, pad: usize, [height, width]: [usize; 2]) -> Self {
        let grow = |[from, to]: [usize; 2], end: usize| {
            let to = (to + pad).min(end);
            [(from + pad).saturating_sub(kernel - 1).min(to), to]
        };
        Self {
            rows: grow(self.rows, height),
            columns: grow(self.columns, width),
        }
    }

    /// The cells of a 2x2 pooling that this touches; the last odd row or column belongs to none.
    fn pooled(self, [height, width]: [usize; 2]) -> Self {
        let halve = |[from, to]: [usize; 2], size: usize| {
            let to = to.div_ceil(2).min(size / 2);
            [(from / 2).min(to), to]
        };
        Self {
            rows: halve(self.rows, height),
            columns: halve(self.columns, width),
        }
    }

    fn doubled(self) -> Self {
        let double = |[from, to]: [usize; 2]| [2 * from, 2 * to];
        Self {
            rows: double(self.rows),
            columns: double(self.columns),
        }
    }

    fn height(self) -> usize {
        self.rows[1] - self.rows[0]
    }

    fn width(self) -> usize {
        self.columns[1] - self.columns[0]
    }
}

/// Maps of every example `[example, row, column, channel]`.
#[derive(Debug)]
pub(super) struct Maps {
    size: [usize; 2],
    channels: usize,
    values: Vec<f32>,
}

impl Maps {
    pub(super) fn of(size: [usize; 2], channels: usize, values: Vec<f32>) -> Self {
        Self {
            size,
            channels,
            values,
        }
    }

    fn zeros(examples: usize, size: [usize; 2], channels: usize) -> Self {
        Self {
            size,
            channels,
            values: vec![0.0; examples * size[0] * size[1] * channels],
        }
    }

    fn each(&self) -> usize {
        self.size[0] * self.size[1] * self.channels
    }

    /// Where a run of columns of one row begins.
    fn at(&self, example: usize, row: usize, column: usize) -> usize {
        example * self.each() + (row * self.size[1] + column) * self.channels
    }

    /// Puts values `[row, column, channel]` into a part, and gives what was there.
    fn swap(&mut self, example: usize, part: Rect, values: &[f32]) -> Vec<f32> {
        let run = part.width() * self.channels;
        let mut before = Vec::with_capacity(values.len());
        for (i, row) in (part.rows[0]..part.rows[1]).enumerate() {
            let at = self.at(example, row, part.columns[0]);
            let there = &mut self.values[at..at + run];
            before.extend_from_slice(there);
            there.copy_from_slice(&values[i * run..(i + 1) * run]);
        }
        before
    }

    fn select(&mut self, rows: &[usize]) {
        let each = self.each();
        let old = std::mem::take(&mut self.values);
        for &row in rows {
            self.values
                .extend_from_slice(&old[row * each..(row + 1) * each]);
        }
    }
}

/// A convolution with what follows it: normalisation, ReLU, pooling.
pub(super) struct Layer {
    pub(super) kernel: usize,
    /// `[1, row of the kernel * column * channel in, channel out]`.
    pub(super) matrix: Tensor<3>,
    /// Factor of each channel: BatchNorm's, or 1.
    pub(super) scale: Vec<f32>,
    /// What is added to each channel.
    pub(super) shift: Vec<f32>,
    pub(super) pad: usize,
    /// Height and width of what it gives, before it pools.
    pub(super) size: [usize; 2],
    pub(super) pools: bool,
}

impl Layer {
    pub(super) fn of(
        net: &ConvNet,
        weights: &Weights,
        i: usize,
        size: [usize; 2],
        pools: bool,
    ) -> Self {
        let kernel = weights.get::<4>(&format!("conv{i}.weight"));
        let [out, channels, side, _] = kernel.dims();
        let matrix = kernel
            .permute([2, 3, 1, 0])
            .reshape([1, side * side * channels, out]);
        let bias = floats(weights.get::<1>(&format!("conv{i}.bias")));
        let part = |part: &str| floats(weights.get::<1>(&format!("bn{i}.{part}")));
        let (scale, shift) = if weights.contains(&format!("bn{i}.weight")) {
            let (gain, offset) = (part("weight"), part("bias"));
            let (mean, variance) = (part("running_mean"), part("running_var"));
            let scale: Vec<f32> = gain
                .iter()
                .zip(variance)
                .map(|(gain, variance)| gain / (variance + 1e-5).sqrt())
                .collect();
            let shift = (0..out).map(|c| (bias[c] - mean[c]) * scale[c] + offset[c]);
            (scale.clone(), shift.collect())
        } else {
            (vec![1.0; out], bias)
        };
        Self {
            kernel: side,
            matrix,
            scale,
            shift,
            pad: net.pad(),
            size,
            pools,
        }
    }

    /// The patches of a part of the output, one row each, appended to `patches`.
    pub(super) fn gather(&self, maps: &Maps, example: usize, part: Rect, patches: &mut Vec<f32>) {
        let width = self.kernel * self.kernel * maps.channels;
        let at = patches.len();
        patches.resize(at + part.height() * part.width() * width, 0.0);
        let rows = patches[at..].chunks_exact_mut((part.width() * width).max(1));
        for (row, patches) in (part.rows[0]..part.rows[1]).zip(rows) {
            for y in 0..self.kernel {
                let from = (row + y).checked_sub(self.pad);
                let Some(from) = from.filter(|&from| from < maps.size[0]) else {
                    continue;
                };
                let at = maps.at(example, from, 0);
                let line = &maps.values[at..at + maps.size[1] * maps.channels];
                let patches = patches.chunks_exact_mut(width);
                for (column, patch) in (part.columns[0]..).zip(patches) {
                    let [before, after] = self.outside(column, maps.size[1]);
                    let run = self.kernel * maps.channels;
                    let into =
                        y * run + before * maps.channels..(y + 1) * run - after * maps.channels;
                    let from = (column + before - self.pad) * maps.channels;
                    copy(&mut patch[into], &line[from..]);
                }
            }
        }
    }

    /// How many columns of the kernel at this column lie left and right of a map.
    pub(super) fn outside(&self, column: usize, width: usize) -> [usize; 2] {
        let before = self.pad.saturating_sub(column);
        let after = (column + self.kernel).saturating_sub(width + self.pad);
        [before, after]
    }

    /// Normalises, cuts off below 0 and, where it pools, keeps the largest of each cell: from the
    /// convolution's `[position, channel]` over a part to `[row, column, channel]` of what follows.
    fn finish(&self, part: Rect, values: &[f32]) -> Vec<f32> {
        let channels = self.shift.len();
        let value = |position: usize, c: usize| {
            let value = values[position * channels + c];
            (value * self.scale[c] + self.shift[c]).max(0.0)
        };
        let width = part.width();
        let mut out = Vec::with_capacity(values.len());
        if !self.pools {
            for position in 0..part.height() * width {
                out.extend((0..channels).map(|c| value(position, c)));
            }
            return out;
        }
        for row in (0..part.height()).step_by(2) {
            for column in (0..width).step_by(2) {
                let first = row * width + column;
                out.extend((0..channels).map(|c| {
                    let upper = value(first, c).max(value(first + 1, c));
                    let lower = value(first + width, c).max(value(first + width + 1, c));
                    upper.max(lower)
                }));
            }
        }
        out
    }
}

/// Copies as much as there is room for; a call to copy three values takes longer than the copy.
fn copy(into: &mut [f32], from: &[f32]) {
    match into {
        [a, b, c] => [*a, *b, *c] = [from[0], from[1], from[2]],
        [a, b, c, d, e] => [*a, *b, *c, *d, *e] = [from[0], from[1], from[2], from[3], from[4]],
        into => into.copy_from_slice(&from[..into.len()]),
    }
}

/// What a proposal replaced in one map of one example.
struct Undo {
    example: usize,
    map: usize,
    part: Rect,
    values: Vec<f32>,
}

/// See the [module](self).
pub(super) struct WindowedConvNet<'a> {
    net: &'a ConvNet,
    spec: &'a ModelSpec,
    weights: &'a Weights,
    layers: Vec<Layer>,
    /// What goes into each convolution, and last what goes into the linear layers.
    maps: Vec<Maps>,
    undo: Vec<Undo>,
    examples: usize,
}

impl<'a> WindowedConvNet<'a> {
    pub(super) fn new(
        net: &'a ConvNet,
        spec: &'a ModelSpec,
        weights: &'a Weights,
        input: &Input,
    ) -> Self {
        let [channels, height, width] = net.input;
        let examples = input.batch();
        let mut size = [height, width];
        let mut maps = vec![Maps::zeros(examples, size, channels)];
        let mut layers = Vec::new();
        for &filters in &net.widths {
            for i in 1..=net.depth {
                let pools = i == net.depth;
                size = net.convolved(size);
                let number = layers.len() + 1;
                layers.push(Layer::of(net, weights, number, size, pools));
                if pools {
                    size = size.map(|side| side / 2);
                }
                maps.push(Maps::zeros(examples, size, filters));
            }
        }
        let mut this = Self {
            net,
            spec,
            weights,
            layers,
            maps,
            undo: Vec::new(),
            examples,
        };
        let all = floats(input.real());
        let changes: Vec<Change> = all
            .chunks(channels * height * width)
            .map(|values| Change {
                top: 0,
                left: 0,
                height,
                width,
                values: values.to_vec(),
            })
            .collect();
        this.change(&changes);
        this.undo.clear();
        this
    }

    fn change(&mut self, changes: &[Change]) {
        assert_eq!(changes.len(), self.examples, "one change for each example");
        self.undo.clear();
        for first in (0..changes.len()).step_by(CHUNK) {
            let last = changes.len().min(first + CHUNK);
            let mut parts: Vec<Rect> = (first..last)
                .map(|example| self.enter(example, &changes[example]))
                .collect();
            for layer in 0..self.layers.len() {
                self.convolve(layer, first, &mut parts);
            }
        }
    }

    /// Puts a change into the input's map, normalised.
    fn enter(&mut self, example: usize, change: &Change) -> Rect {
        let [channels, height, width] = self.net.input;
        let (rows, columns) = (change.top + change.height, change.left + change.width);
        assert!(
            rows <= height && columns <= width,
            "a change inside the input"
        );
        let pixels = change.height * change.width;
        assert_eq!(
            change.values.len(),
            pixels * channels,
            "values for the window"
        );
        let part = Rect {
            rows: [change.top, rows],
            columns: [change.left, columns],
        };
        let mut values = Vec::with_capacity(change.values.len());
        for pixel in 0..pixels {
            for channel in 0..channels {
                let value = change.values[channel * pixels + pixel];
                values.push(match &self.net.normalization {
                    Some(normal) => (value - normal.mean[channel]) / normal.std[channel],
                    None => value,
                });
            }
        }
        self.replace(example, 0, part, &values);
        part
    }

    fn replace(&mut self, example: usize, map: usize, part: Rect, values: &[f32]) {
        let values = self.maps[map].swap(example, part, values);
        self.undo.push(Undo {
            example,
            map,
            part,
            values,
        });
    }

    /// One layer's outputs where these parts of its input can reach; the parts become those of the
    /// output.
    fn convolve(&mut self, layer: usize, first: usize, parts: &mut [Rect]) {
        let maps = &self.maps[layer];
        let here = &self.layers[layer];
        let mut patches = Vec::new();
        for (i, part) in parts.iter_mut().enumerate() {
            *part = part.reached(here.kernel, here.pad, here.size);
            if here.pools {
                *part = part.pooled(here.size).doubled();
            }
            here.gather(maps, first + i, *part, &mut patches);
        }
        let channels = here.shift.len();
        let values = product_of_rows(patches, &here.matrix);
        let mut at = 0;
        for (i, part) in parts.iter_mut().enumerate() {
            let here = &self.layers[layer];
            let size = part.height() * part.width() * channels;
            let finished = here.finish(*part, &values[at..at + size]);
            at += size;
            if here.pools {
                *part = part.pooled(here.size);
            }
            self.replace(first + i, layer + 1, *part, &finished);
        }
    }

    /// The logits of what the maps hold.
    fn logits(&self) -> Tensor<3> {
        let last = self.maps.last().expect("the input at least");
        let [height, width] = last.size;
        let device = self.weights.device();
        let shape = [self.examples, height, width, last.channels];
        // The linear layers take one channel after the other.
        let h = Tensor::<4>::from_data(TensorData::new(last.values.clone(), shape), &device)
            .permute([0, 3, 1, 2])
            .reshape([self.examples, last.each()]);
        let mut idle = Idle;
        let sites = &self.spec.sites[2 * self.layers.len()..];
        let mut trace = Trace::over(sites, &mut idle);
        let mut pass = Pass::evaluation();
        self.net
            .head()
            .forward(h, self.weights, &mut trace, &mut pass)
    }
}

impl Windowed for WindowedConvNet<'_> {
    fn propose(&mut self, changes: &[Change]) -> Tensor<3> {
        self.change(changes);
        self.logits()
    }

    fn settle(&mut self, keep: &[bool]) {
        for undo in std::mem::take(&mut self.undo) {
            if !keep[undo.example] {
                self.maps[undo.map].swap(undo.example, undo.part, &undo.values);
            }
        }
    }

    fn select(&mut self, rows: &[usize]) {
        self.undo.clear();
        self.examples = rows.len();
        for maps in &mut self.maps {
            maps.select(rows);
        }
    }
}
