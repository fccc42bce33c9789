//! Toy model of superposition (Elhage et al. 2022, "Toy Models of Superposition"): n sparse
//! features through m < n hidden units and back.

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::layers::{Trace, linear, linear_layer, product, push_affine, sizes, uniform};
use super::{Definition, Pass};
use crate::error::ModelError;
use crate::hook::Hook;
use crate::input::Input;
use crate::layer::Layer;
use crate::site::{InputKind, ModelSpec, Site};
use crate::weights::Weights;

/// What the toy applies to its reconstruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToyActivation {
    /// `x' = ReLU(W^T W x + b)`.
    #[default]
    Relu,
    /// `x' = W^T W x + b`: learns principal components, cannot use superposition; a control.
    Linear,
}

/// `h = W x`, then `x' = f(W^T h + b)`, or with a classification head `logits = V h + c`.
///
/// Weights: `W` `[hidden, features]`; `b` `[features]` without a head, `head.weight`
/// `[classes, hidden]` and `head.bias` with one. Its "logits" without a head are the
/// reconstruction `[batch, 1, features]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Toy {
    /// n, the number of features.
    pub features: usize,
    /// m, the number of hidden units.
    pub hidden: usize,
    /// What is applied to the reconstruction.
    pub activation: ToyActivation,
    /// Classes of the head; 0 for none, which is an autoencoder.
    pub classes: usize,
}

impl Default for Toy {
    fn default() -> Self {
        Self {
            features: 50,
            hidden: 10,
            activation: ToyActivation::Relu,
            classes: 0,
        }
    }
}

impl Definition for Toy {
    fn validate(&self) -> Result<(), ModelError> {
        sizes("features", &[self.features])?;
        sizes("hidden", &[self.hidden])
    }

    fn spec(&self) -> ModelSpec {
        let mut sites = vec![Site::vector("hook_hidden", self.hidden)];
        if self.classes == 0 {
            sites.push(Site::vector("hook_pre", self.features));
            sites.push(Site::vector("hook_out", self.features));
        } else {
            sites.push(Site::vector("head.hook_out", self.classes));
        }
        ModelSpec {
            name: "toy".into(),
            input: InputKind::Real {
                shape: [self.features, 1, 1],
            },
            classes: if self.classes == 0 {
                self.features
            } else {
                self.classes
            },
            sites,
        }
    }

    fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Weights {
        let mut weights = Weights::default();
        // Xavier uniform (Glorot & Bengio 2010).
        let bound = (6.0 / (self.features + self.hidden) as f32).sqrt();
        let values = uniform(rng, self.hidden * self.features, bound);
        let shape = [self.hidden, self.features];
        weights.push("W", &shape, values, true, device);
        if self.classes == 0 {
            let zeros = vec![0.0; self.features];
            weights.push("b", &[self.features], zeros, true, device);
        } else {
            let shape = [self.classes, self.hidden];
            push_affine(&mut weights, "head", &shape, true, rng, device);
        }
        weights
    }

    fn forward(
        &self,
        spec: &ModelSpec,
        weights: &Weights,
        input: &Input,
        hook: &mut dyn Hook,
        _pass: &mut Pass,
    ) -> Tensor<3> {
        let mut trace = Trace::new(spec, hook);
        let x = input.real();
        let batch = x.dims()[0];
        let w = weights.get::<2>("W");
        let h = product(
            x.reshape([batch, self.features]),
            w.clone().unsqueeze::<3>().transpose(),
        );
        let h = trace.vector("hook_hidden", h);
        if self.classes > 0 {
            let logits = trace.vector("head.hook_out", linear(weights, "head", h));
            return logits.reshape([batch, 1, self.classes]);
        }
        let pre = trace.vector(
            "hook_pre",
            product(h, w.unsqueeze()) + weights.get::<1>("b").unsqueeze(),
        );
        let out = match self.activation {
            ToyActivation::Relu => relu(pre),
            ToyActivation::Linear => pre,
        };
        trace
            .vector("hook_out", out)
            .reshape([batch, 1, self.features])
    }

    fn layers(&self, weights: &Weights) -> Vec<Layer> {
        let w = weights.get::<2>("W");
        let mut layers = vec![Layer::Linear {
            weight: w.clone(),
            bias: None,
        }];
        if self.classes > 0 {
            layers.push(linear_layer(weights, "head"));
            return layers;
        }
        layers.push(Layer::Linear {
            weight: w.transpose(),
            bias: Some(weights.get("b")),
        });
        if self.activation == ToyActivation::Relu {
            layers.push(Layer::Relu);
        }
        layers
    }
}
