//! Linear layers with ReLU between them, up to the logits: what a perceptron is and a convolutional
//! net ends in.

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use super::Pass;
use super::layers::{Trace, linear, linear_layer, push_affine};
use crate::layer::Layer;
use crate::site::Site;
use crate::weights::Weights;

/// Layers `linear1`, `linear2`, ...: one of each hidden width, and the logits.
pub(super) struct Head<'a> {
    pub(super) hidden: &'a [usize],
    pub(super) classes: usize,
    /// Dropout rate after each hidden layer.
    pub(super) dropout: f64,
}

impl Head<'_> {
    pub(super) fn push_sites(&self, sites: &mut Vec<Site>) {
        for (i, &width) in self.hidden.iter().enumerate() {
            sites.push(Site::vector(format!("linear{}.hook_pre", i + 1), width));
            sites.push(Site::vector(format!("linear{}.hook_out", i + 1), width));
        }
        let last = self.hidden.len() + 1;
        sites.push(Site::vector(format!("linear{last}.hook_out"), self.classes));
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

    /// From `[batch, in]` to logits `[batch, 1, class]`.
    pub(super) fn forward(
        &self,
        mut h: Tensor<2>,
        weights: &Weights,
        trace: &mut Trace<'_>,
        pass: &mut Pass,
    ) -> Tensor<3> {
        for i in 1..=self.hidden.len() {
            let name = format!("linear{i}");
            h = trace.vector(&format!("{name}.hook_pre"), linear(weights, &name, h));
            h = trace.vector(&format!("{name}.hook_out"), relu(h));
            h = pass.dropout(h, self.dropout);
        }
        let name = format!("linear{}", self.hidden.len() + 1);
        trace
            .vector(&format!("{name}.hook_out"), linear(weights, &name, h))
            .unsqueeze_dim(1)
    }
}
