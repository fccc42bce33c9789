//! CIFAR-style residual network (He et al. 2016): a 3x3 stem without pooling, four stages of basic
//! blocks, the width doubled and the map halved at each stage after the first.

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::graph::{Graph, Source};
use super::layers::{
    Normalization, batch_norm_layers, batch_normalization, convolution, convolution_layer, linear,
    linear_layer, normalization_layer, push_affine, push_batch_norm, setting, sizes,
};
use super::{Definition, Pass, Trace};
use crate::error::ModelError;
use crate::layer::Layer;
use crate::site::{InputKind, ModelSpec, Site};
use crate::state::State;
use crate::weights::Weights;
use crate::wiring::Wiring;

/// A residual network of basic blocks. Weights have torchvision's names: `conv1`, `bn1`,
/// `layer1.0.conv1`, ..., `layer2.0.downsample.0`, ..., `fc`. What a block and its skip sum to is at
/// `layer1.0.hook_pre`, what it passes on, after the last ReLU, at `layer1.0.hook_out`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResNet {
    /// Channel, height, width of the input.
    pub input: [usize; 3],
    /// Channels of the first stage; each further one has twice as many.
    pub width: usize,
    /// Layers: 2 + 2 x blocks. 18 is four stages of two blocks.
    pub depth: usize,
    /// Number of stages.
    pub stages: usize,
    /// Number of classes.
    pub classes: usize,
    /// Normalisation of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
}

impl Default for ResNet {
    fn default() -> Self {
        Self {
            input: [3, 32, 32],
            width: 64,
            depth: 18,
            stages: 4,
            classes: 10,
            normalization: None,
        }
    }
}

/// One basic block: its name, channels in and out, and stride.
struct Block {
    name: String,
    from: usize,
    to: usize,
    stride: usize,
}

impl Block {
    fn reshapes(&self) -> bool {
        self.stride != 1 || self.from != self.to
    }

    fn forward(
        &self,
        x: Tensor<4>,
        weights: &Weights,
        trace: &mut Trace<'_>,
        pass: &mut Pass,
    ) -> Tensor<4> {
        let at = |part: &str| format!("{}.{part}", self.name);
        let h = convolution(weights, &at("conv1"), x.clone(), self.stride, 1);
        let h = trace.map(&at("conv1.hook_pre"), h);
        let h = relu(batch_normalization(weights, &at("bn1"), h, pass));
        let h = trace.map(&at("conv1.hook_out"), h);
        let h = convolution(weights, &at("conv2"), h, 1, 1);
        let h = trace.map(&at("conv2.hook_pre"), h);
        let h = batch_normalization(weights, &at("bn2"), h, pass);
        let h = trace.map(&at("conv2.hook_out"), h);
        let skip = if self.reshapes() {
            let skip = convolution(weights, &at("downsample.0"), x, self.stride, 0);
            batch_normalization(weights, &at("downsample.1"), skip, pass)
        } else {
            x
        };
        let h = trace.map(&at("hook_pre"), h + skip);
        trace.map(&at("hook_out"), relu(h))
    }
}

impl ResNet {
    fn blocks(&self) -> Vec<Block> {
        let per_stage = (self.depth - 2) / (2 * self.stages);
        let mut from = self.width;
        let mut blocks = Vec::new();
        for stage in 0..self.stages {
            let to = self.width << stage;
            for i in 0..per_stage {
                blocks.push(Block {
                    name: format!("layer{}.{i}", stage + 1),
                    from,
                    to,
                    stride: if stage > 0 && i == 0 { 2 } else { 1 },
                });
                from = to;
            }
        }
        blocks
    }

    fn features(&self) -> usize {
        self.width << (self.stages - 1)
    }

    /// Nodes are the channels of the stem (`conv1.c0`), of the inner convolution of each block
    /// (`layer1.0.conv1.c0`), and of the block itself (`layer1.0.c0`), which reads the sum of what its second
    /// convolution and its skip make.
    fn wiring(&self, sites: &[Site]) -> Wiring {
        let (mut graph, input) = Graph::from_input(self.input[0], sites);
        let mut held = graph.layer("conv1", vec![Source::all(input)]);
        for block in self.blocks() {
            let conv = format!("{}.conv1", block.name);
            let inner = graph.layer(&conv, vec![Source::all(held.clone())]);
            let skip = if block.reshapes() {
                Source::all(held)
            } else {
                Source::own(held)
            };
            held = graph.layer(&block.name, vec![Source::all(inner), skip]);
        }
        graph.logits(held)
    }
}

impl Definition for ResNet {
    fn validate(&self) -> Result<(), ModelError> {
        sizes("input", &self.input)?;
        sizes("width", &[self.width])?;
        sizes("classes", &[self.classes])?;
        if !(1..=8).contains(&self.stages) {
            return Err(setting("stages", &self.stages.to_string(), "in 1..=8"));
        }
        let unit = 2 * self.stages;
        if self.depth < 2 + unit || !(self.depth - 2).is_multiple_of(unit) {
            return Err(setting(
                "depth",
                &self.depth.to_string(),
                &format!("2 + {unit} x blocks per stage, such as {}", 2 + 2 * unit),
            ));
        }
        self.normalization.as_ref().map_or(Ok(()), |normalization| {
            normalization.validate(self.input[0])
        })
    }

    fn spec(&self) -> ModelSpec {
        let [_, mut height, mut width] = self.input;
        let mut sites = vec![
            Site::map("conv1.hook_pre", self.width, height, width),
            Site::map("conv1.hook_out", self.width, height, width),
        ];
        let blocks = self.blocks();
        for (i, block) in blocks.iter().enumerate() {
            height = height.div_ceil(block.stride);
            width = width.div_ceil(block.stride);
            for part in [
                "conv1.hook_pre",
                "conv1.hook_out",
                "conv2.hook_pre",
                "conv2.hook_out",
                "hook_pre",
                "hook_out",
            ] {
                let name = format!("{}.{part}", block.name);
                sites.push(Site::map(name, block.to, height, width).in_stage(i + 1));
            }
        }
        let last = blocks.len() + 1;
        sites.push(Site::vector("avgpool.hook_out", self.features()).in_stage(last));
        sites.push(Site::vector("fc.hook_out", self.classes).in_stage(last));
        let wiring = self.wiring(&sites);
        ModelSpec {
            name: "resnet".into(),
            input: InputKind::Real { shape: self.input },
            classes: self.classes,
            sites,
            wiring,
        }
    }

    fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Weights {
        let mut weights = Weights::default();
        let mut convolution = |name: &str, norm: &str, shape: [usize; 4]| {
            push_affine(&mut weights, name, &shape, false, rng, device);
            push_batch_norm(&mut weights, norm, shape[0], device);
        };
        convolution("conv1", "bn1", [self.width, self.input[0], 3, 3]);
        for Block {
            name,
            from,
            to,
            stride,
        } in self.blocks()
        {
            convolution(
                &format!("{name}.conv1"),
                &format!("{name}.bn1"),
                [to, from, 3, 3],
            );
            convolution(
                &format!("{name}.conv2"),
                &format!("{name}.bn2"),
                [to, to, 3, 3],
            );
            if stride != 1 || from != to {
                convolution(
                    &format!("{name}.downsample.0"),
                    &format!("{name}.downsample.1"),
                    [to, from, 1, 1],
                );
            }
        }
        let shape = [self.classes, self.features()];
        push_affine(&mut weights, "fc", &shape, true, rng, device);
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
        if stage == 0 {
            let input = state.input().real();
            let x = Normalization::apply(self.normalization.as_ref(), input);
            let x = trace.map("conv1.hook_pre", convolution(weights, "conv1", x, 1, 1));
            let x = relu(batch_normalization(weights, "bn1", x, pass));
            return State::Map(trace.map("conv1.hook_out", x));
        }
        let x = state.map();
        if let Some(block) = self.blocks().get(stage - 1) {
            return State::Map(block.forward(x, weights, trace, pass));
        }
        let [batch, channels, height, width] = x.dims();
        let pooled: Tensor<3> = x.reshape([batch, channels, height * width]).mean_dim(2);
        let h = trace.vector("avgpool.hook_out", pooled.reshape([batch, channels]));
        let logits = trace.vector("fc.hook_out", linear(weights, "fc", h));
        State::Sequence(logits.unsqueeze_dim(1))
    }

    fn layers(&self, weights: &Weights) -> Option<Vec<Layer>> {
        let normalization = normalization_layer(self.normalization.as_ref(), &weights.device());
        let mut layers: Vec<Layer> = normalization.into_iter().collect();
        let normalized = |conv: &str, norm: &str, stride: usize, padding: usize| {
            let mut layers = vec![convolution_layer(weights, conv, stride, padding)];
            layers.extend(batch_norm_layers(weights, norm));
            layers
        };
        layers.extend(normalized("conv1", "bn1", 1, 1));
        layers.push(Layer::Relu);
        for block in self.blocks() {
            let at = |part: &str| format!("{}.{part}", block.name);
            let mut branch = normalized(&at("conv1"), &at("bn1"), block.stride, 1);
            branch.push(Layer::Relu);
            branch.extend(normalized(&at("conv2"), &at("bn2"), 1, 1));
            let skip = if block.reshapes() {
                normalized(&at("downsample.0"), &at("downsample.1"), block.stride, 0)
            } else {
                Vec::new()
            };
            layers.push(Layer::Sum { branch, skip });
            layers.push(Layer::Relu);
        }
        layers.push(Layer::MeanPool);
        layers.push(linear_layer(weights, "fc"));
        Some(layers)
    }
}
