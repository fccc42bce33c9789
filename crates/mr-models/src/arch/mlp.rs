//! Multilayer perceptron.

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::layers::{Normalization, Trace, linear, push_affine, rate, sizes};
use super::{Definition, Pass};
use crate::error::ModelError;
use crate::hook::Hook;
use crate::input::Input;
use crate::site::{InputKind, ModelSpec, Site};
use crate::weights::Weights;

/// Linear layers with ReLU between them. Weights are `linear1`, `linear2`, ...
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mlp {
    /// Channel, height, width of the input.
    pub input: [usize; 3],
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
    /// Dropout rate after each hidden layer.
    pub dropout: f64,
    /// Normalisation of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
}

impl Default for Mlp {
    fn default() -> Self {
        Self {
            input: [1, 28, 28],
            hidden: vec![128],
            classes: 10,
            dropout: 0.0,
            normalization: None,
        }
    }
}

impl Definition for Mlp {
    fn validate(&self) -> Result<(), ModelError> {
        sizes("input", &self.input)?;
        sizes("hidden", &self.hidden)?;
        sizes("classes", &[self.classes])?;
        rate(self.dropout)?;
        self.normalization.as_ref().map_or(Ok(()), |normalization| {
            normalization.validate(self.input[0])
        })
    }

    fn spec(&self) -> ModelSpec {
        let mut sites = Vec::new();
        for (i, &width) in self.hidden.iter().enumerate() {
            sites.push(Site::vector(format!("linear{}.hook_pre", i + 1), width));
            sites.push(Site::vector(format!("linear{}.hook_out", i + 1), width));
        }
        let last = self.hidden.len() + 1;
        sites.push(Site::vector(format!("linear{last}.hook_out"), self.classes));
        ModelSpec {
            name: "mlp".into(),
            input: InputKind::Real { shape: self.input },
            classes: self.classes,
            sites,
        }
    }

    fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Weights {
        let mut weights = Weights::default();
        let mut width = self.input.iter().product();
        for (i, &out) in self.hidden.iter().chain([&self.classes]).enumerate() {
            let name = format!("linear{}", i + 1);
            push_affine(&mut weights, &name, &[out, width], true, rng, device);
            width = out;
        }
        weights
    }

    fn forward(
        &self,
        spec: &ModelSpec,
        weights: &Weights,
        input: &Input,
        hook: &mut dyn Hook,
        pass: &mut Pass,
    ) -> Tensor<3> {
        let x = Normalization::apply(self.normalization.as_ref(), input.real());
        let batch = x.dims()[0];
        let mut trace = Trace::new(spec, hook);
        let h = x.reshape([batch, self.input.iter().product()]);
        let logits = head(h, &self.hidden, self.dropout, weights, &mut trace, pass);
        logits.reshape([batch, 1, self.classes])
    }
}

/// Hidden linear layers with ReLU and dropout, then the logits: `[batch, in]` to
/// `[batch, classes]`.
pub(super) fn head(
    mut h: Tensor<2>,
    hidden: &[usize],
    dropout: f64,
    weights: &Weights,
    trace: &mut Trace<'_>,
    pass: &mut Pass,
) -> Tensor<2> {
    for i in 1..=hidden.len() {
        let name = format!("linear{i}");
        h = trace.vector(&format!("{name}.hook_pre"), linear(weights, &name, h));
        h = trace.vector(&format!("{name}.hook_out"), relu(h));
        h = pass.dropout(h, dropout);
    }
    let name = format!("linear{}", hidden.len() + 1);
    trace.vector(&format!("{name}.hook_out"), linear(weights, &name, h))
}
