//! Linear layers with ReLU between them, up to the logits: what a perceptron is and a convolutional
//! net ends in.

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use super::layers::{linear, linear_layer, push_affine};
use super::{Pass, Trace};
use crate::layer::Layer;
use crate::site::Site;
use crate::state::State;
use crate::weights::Weights;

/// Layers `linear1`, `linear2`, ...: one of each hidden width, and the logits.
pub(super) struct Head<'a> {
    pub(super) hidden: &'a [usize],
    pub(super) classes: usize,
    /// Dropout rate after each hidden layer.
    pub(super) dropout: f64,
}

impl Head<'_> {
    /// Number of layers, each a stage.
    pub(super) fn stages(&self) -> usize {
        self.hidden.len() + 1
    }

    /// Its sites, appended; the first layer is this stage of the network.
    pub(super) fn push_sites(&self, stage: usize, sites: &mut Vec<Site>) {
        for (i, &width) in self.hidden.iter().enumerate() {
            for part in ["hook_pre", "hook_out"] {
                let site = Site::vector(format!("linear{}.{part}", i + 1), width);
                sites.push(site.in_stage(stage + i));
            }
        }
        let last = Site::vector(format!("linear{}.hook_out", self.stages()), self.classes);
        sites.push(last.in_stage(stage + self.hidden.len()));
    }

    /// Weights that take vectors of this width.
    pub(super) fn push_weights(
        &self,
        mut width: usize,
        weights: &mut Weights,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) {
        for (i, &out) in self.hidden.iter().chain([&self.classes]).enumerate() {
            let name = format!("linear{}", i + 1);
            push_affine(weights, &name, &[out, width], true, rng, device);
            width = out;
        }
    }

    /// Its operations, appended.
    pub(super) fn push_layers(&self, weights: &Weights, layers: &mut Vec<Layer>) {
        for i in 1..=self.hidden.len() {
            layers.push(linear_layer(weights, &format!("linear{i}")));
            layers.push(Layer::Relu);
        }
        let last = self.hidden.len() + 1;
        layers.push(linear_layer(weights, &format!("linear{last}")));
    }

    /// One layer, counted from 0, of a vector `[batch, in]`; the last gives the logits.
    pub(super) fn stage(
        &self,
        stage: usize,
        h: Tensor<2>,
        weights: &Weights,
        trace: &mut Trace<'_>,
        pass: &mut Pass,
    ) -> State {
        let name = format!("linear{}", stage + 1);
        let h = linear(weights, &name, h);
        if stage == self.hidden.len() {
            let logits = trace.vector(&format!("{name}.hook_out"), h);
            return State::Sequence(logits.unsqueeze_dim(1));
        }
        let h = trace.vector(&format!("{name}.hook_pre"), h);
        let h = trace.vector(&format!("{name}.hook_out"), relu(h));
        State::Vector(pass.dropout(h, self.dropout))
    }

    /// From `[batch, in]` to logits `[batch, 1, class]`.
    pub(super) fn forward(
        &self,
        h: Tensor<2>,
        weights: &Weights,
        trace: &mut Trace<'_>,
        pass: &mut Pass,
    ) -> Tensor<3> {
        let through = |state: State, stage| self.stage(stage, state.vector(), weights, trace, pass);
        (0..self.stages()).fold(State::Vector(h), through).logits()
    }
}
