//! Toy model of superposition (Elhage et al. 2022, "Toy Models of Superposition"): n sparse
//! features through m < n hidden units and back.

use burn::tensor::Device;
use burn::tensor::activation::relu;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::layers::{linear, linear_layer, product, push_affine, sizes, uniform};
use super::{Definition, Pass, Trace};
use crate::error::ModelError;
use crate::layer::Layer;
use crate::site::{InputKind, ModelSpec, Site};
use crate::state::State;
use crate::weights::Weights;
use crate::wiring::Wiring;

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
            for name in ["hook_pre", "hook_out"] {
                sites.push(Site::vector(name, self.features).in_stage(1));
            }
        } else {
            sites.push(Site::vector("head.hook_out", self.classes).in_stage(1));
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
            wiring: Wiring::default(),
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

    fn stage(
        &self,
        stage: usize,
        weights: &Weights,
        state: State,
        trace: &mut Trace<'_>,
        _pass: &mut Pass,
    ) -> State {
        let w = weights.get::<2>("W");
        if stage == 0 {
            let x = state.input().real();
            let x = x.clone().reshape([x.dims()[0], self.features]);
            let h = product(x, w.unsqueeze::<3>().transpose());
            return State::Vector(trace.vector("hook_hidden", h));
        }
        let h = state.vector();
        if self.classes > 0 {
            let logits = trace.vector("head.hook_out", linear(weights, "head", h));
            return State::Sequence(logits.unsqueeze_dim(1));
        }
        let pre = trace.vector(
            "hook_pre",
            product(h, w.unsqueeze()) + weights.get::<1>("b").unsqueeze(),
        );
        let out = match self.activation {
            ToyActivation::Relu => relu(pre),
            ToyActivation::Linear => pre,
        };
        State::Sequence(trace.vector("hook_out", out).unsqueeze_dim(1))
    }

    fn layers(&self, weights: &Weights) -> Option<Vec<Layer>> {
        let w = weights.get::<2>("W");
        let mut layers = vec![Layer::Linear {
            weight: w.clone(),
            bias: None,
        }];
        if self.classes > 0 {
            layers.push(linear_layer(weights, "head"));
            return Some(layers);
        }
        layers.push(Layer::Linear {
            weight: w.transpose(),
            bias: Some(weights.get("b")),
        });
        if self.activation == ToyActivation::Relu {
            layers.push(Layer::Relu);
        }
        Some(layers)
    }
}
