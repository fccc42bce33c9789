//! Multilayer perceptron.

use burn::tensor::Device;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::graph::chain;
use super::head::Head;
use super::layers::{Normalization, normalization_layer, rate, sizes};
use super::{Definition, Pass, Trace};
use crate::error::ModelError;
use crate::layer::Layer;
use crate::site::{InputKind, ModelSpec};
use crate::state::State;
use crate::weights::Weights;

/// Linear layers with ReLU between them, each a stage. Weights are `linear1`, `linear2`, ...
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

impl Mlp {
    fn head(&self) -> Head<'_> {
        Head {
            hidden: &self.hidden,
            classes: self.classes,
            dropout: self.dropout,
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
        self.head().push_sites(0, &mut sites);
        let wiring = chain(self.input[0], &sites);
        ModelSpec {
            name: "mlp".into(),
            input: InputKind::Real { shape: self.input },
            classes: self.classes,
            sites,
            wiring,
        }
    }

    fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Weights {
        let mut weights = Weights::default();
        let width = self.input.iter().product();
        self.head().push_weights(width, &mut weights, rng, device);
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
        let h = if stage == 0 {
            let input = state.input();
            let x = Normalization::apply(self.normalization.as_ref(), input.real());
            let batch = x.dims()[0];
            x.reshape([batch, self.input.iter().product()])
        } else {
            state.vector()
        };
        self.head().stage(stage, h, weights, trace, pass)
    }

    fn layers(&self, weights: &Weights) -> Option<Vec<Layer>> {
        let normalization = normalization_layer(self.normalization.as_ref(), &weights.device());
        let mut layers: Vec<Layer> = normalization.into_iter().collect();
        self.head().push_layers(weights, &mut layers);
        Some(layers)
    }
}
