//! Convolutional net.

mod shortcut;
mod windowed;

use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::graph::chain;
use super::head::Head;
use super::layers::{
    Normalization, batch_norm_layers, batch_normalization, convolution, convolution_layer,
    normalization_layer, push_affine, push_batch_norm, rate, setting, sizes,
};
use super::{Definition, Pass, Trace};
use crate::error::ModelError;
use crate::input::Input;
use crate::layer::Layer;
use crate::shortcut::Shortcut;
use crate::site::{InputKind, ModelSpec, Site};
use crate::state::State;
use crate::weights::Weights;
use crate::windowed::Windowed;
use windowed::WindowedConvNet;

/// Stages of convolutions, each ended by a 2x2 max pooling, then linear layers.
///
/// Weights are `conv1`, `conv2`, ... (and `bn1`, ... with BatchNorm), then `linear1`, ...: the
/// names of the MNIST LeNet5 pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConvNet {
    /// Channel, height, width of the input.
    pub input: [usize; 3],
    /// Filters of each stage.
    pub widths: Vec<usize>,
    /// Convolutions per stage.
    pub depth: usize,
    /// Side of the square kernel; odd.
    pub kernel: usize,
    /// Whether convolutions keep height and width.
    pub padding: Padding,
    /// Width of each hidden linear layer.
    pub hidden: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
    /// Whether each convolution is followed by BatchNorm.
    pub batch_norm: bool,
    /// Dropout rate after each hidden linear layer.
    pub dropout: f64,
    /// Normalisation of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
}

/// What lies around a map where a kernel reaches beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Zeros, half a kernel wide: height and width stay.
    #[default]
    Same,
    /// Nothing: the kernel stays inside, and the map shrinks by all of it but one.
    Valid,
}

impl Default for ConvNet {
    fn default() -> Self {
        Self {
            input: [1, 28, 28],
            widths: vec![16, 32],
            depth: 1,
            kernel: 3,
            padding: Padding::Same,
            hidden: vec![128],
            classes: 10,
            batch_norm: false,
            dropout: 0.0,
            normalization: None,
        }
    }
}

impl ConvNet {
    fn head(&self) -> Head<'_> {
        Head {
            hidden: &self.hidden,
            classes: self.classes,
            dropout: self.dropout,
        }
    }

    /// Number of convolutions, each a stage; the linear layers follow.
    fn convolutions(&self) -> usize {
        self.widths.len() * self.depth
    }

    /// Zeros on each side of a map.
    pub(super) fn pad(&self) -> usize {
        match self.padding {
            Padding::Same => self.kernel / 2,
            Padding::Valid => 0,
        }
    }

    /// Height and width after a convolution; 0 where the kernel does not fit.
    fn convolved(&self, size: [usize; 2]) -> [usize; 2] {
        size.map(|side| (side + 2 * self.pad() + 1).saturating_sub(self.kernel))
    }

    /// Height and width after so many stages.
    fn size_after(&self, stages: usize) -> [usize; 2] {
        let mut size = [self.input[1], self.input[2]];
        for _ in 0..stages {
            for _ in 0..self.depth {
                size = self.convolved(size);
            }
            size = size.map(|side| side / 2);
        }
        size
    }

    /// Width of what the first linear layer takes.
    fn flat(&self) -> usize {
        let channels = self.widths.last().copied().unwrap_or(self.input[0]);
        let [height, width] = self.size_after(self.widths.len());
        channels * height * width
    }
}

/// The largest of each cell of 2x2.
fn pool(x: Tensor<4>) -> Tensor<4> {
    max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2]))
}

impl Definition for ConvNet {
    fn validate(&self) -> Result<(), ModelError> {
        sizes("input", &self.input)?;
        sizes("widths", &self.widths)?;
        sizes("hidden", &self.hidden)?;
        sizes("depth", &[self.depth])?;
        sizes("classes", &[self.classes])?;
        rate(self.dropout)?;
        if self.kernel.is_multiple_of(2) {
            return Err(setting("kernel", &self.kernel.to_string(), "odd"));
        }
        if self.flat() == 0 {
            let fits = |stages: &usize| self.size_after(*stages).iter().all(|&side| side > 0);
            let most = (0..self.widths.len()).take_while(fits).last().unwrap_or(0);
            return Err(setting(
                "widths",
                &format!("{:?}", self.widths),
                &format!(
                    "at most {most} stages: each shrinks the {}x{} input",
                    self.input[1], self.input[2]
                ),
            ));
        }
        self.normalization.as_ref().map_or(Ok(()), |normalization| {
            normalization.validate(self.input[0])
        })
    }

    fn spec(&self) -> ModelSpec {
        let [_, height, width] = self.input;
        let mut size = [height, width];
        let mut sites = Vec::new();
        let mut i = 0;
        for &filters in &self.widths {
            for _ in 0..self.depth {
                i += 1;
                size = self.convolved(size);
                for part in ["hook_pre", "hook_out"] {
                    let name = format!("conv{i}.{part}");
                    sites.push(Site::map(name, filters, size[0], size[1]).in_stage(i - 1));
                }
            }
            size = size.map(|side| side / 2);
        }
        self.head().push_sites(i, &mut sites);
        let wiring = chain(self.input[0], &sites);
        ModelSpec {
            name: "convnet".into(),
            input: InputKind::Real { shape: self.input },
            classes: self.classes,
            sites,
            wiring,
        }
    }

    fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Weights {
        let mut weights = Weights::default();
        let mut channels = self.input[0];
        let mut i = 0;
        for &filters in &self.widths {
            for _ in 0..self.depth {
                i += 1;
                let shape = [filters, channels, self.kernel, self.kernel];
                push_affine(&mut weights, &format!("conv{i}"), &shape, true, rng, device);
                if self.batch_norm {
                    push_batch_norm(&mut weights, &format!("bn{i}"), filters, device);
                }
                channels = filters;
            }
        }
        self.head()
            .push_weights(self.flat(), &mut weights, rng, device);
        weights
    }

    fn stage(
        &self,
        stage: usize,
        weights: &Weights,
        state: State,
        trace: &mut Trace<'_>,
        pass: &mut Pass,
    ) -> State {
        let x = match state {
            State::Input(input) => Normalization::apply(self.normalization.as_ref(), input.real()),
            State::Vector(h) => {
                let layer = stage - self.convolutions();
                return self.head().stage(layer, h, weights, trace, pass);
            }
            state => state.map(),
        };
        if stage >= self.convolutions() {
            let h = x.clone().reshape([x.dims()[0], self.flat()]);
            return self.head().stage(0, h, weights, trace, pass);
        }
        let i = stage + 1;
        let name = format!("conv{i}");
        let x = convolution(weights, &name, x, 1, self.pad());
        let mut x = trace.map(&format!("{name}.hook_pre"), x);
        if self.batch_norm {
            x = batch_normalization(weights, &format!("bn{i}"), x, pass);
        }
        let out = format!("{name}.hook_out");
        if !i.is_multiple_of(self.depth) {
            State::Map(trace.map(&out, relu(x)))
        } else if trace.skips(&out) {
            // ReLU keeps order: after the pooling it has a quarter of the work.
            State::Map(relu(pool(x)))
        } else {
            State::Map(pool(trace.map(&out, relu(x))))
        }
    }

    fn layers(&self, weights: &Weights) -> Option<Vec<Layer>> {
        let normalization = normalization_layer(self.normalization.as_ref(), &weights.device());
        let mut layers: Vec<Layer> = normalization.into_iter().collect();
        for stage in 0..self.widths.len() {
            for i in stage * self.depth + 1..=(stage + 1) * self.depth {
                let padding = self.pad();
                layers.push(convolution_layer(weights, &format!("conv{i}"), 1, padding));
                if self.batch_norm {
                    layers.extend(batch_norm_layers(weights, &format!("bn{i}")));
                }
                layers.push(Layer::Relu);
            }
            layers.push(Layer::MaxPool { side: 2 });
        }
        self.head().push_layers(weights, &mut layers);
        Some(layers)
    }

    fn shortcut<'a>(
        &'a self,
        spec: &'a ModelSpec,
        weights: &'a Weights,
        input: &Input,
    ) -> Option<Shortcut<'a>> {
        (!self.widths.is_empty()).then(|| shortcut::shortcut(self, spec, weights, input))
    }

    fn windowed<'a>(
        &'a self,
        spec: &'a ModelSpec,
        weights: &'a Weights,
        input: &Input,
    ) -> Option<Box<dyn Windowed + 'a>> {
        let windowed = WindowedConvNet::new(self, spec, weights, input);
        Some(Box::new(windowed))
    }
}
