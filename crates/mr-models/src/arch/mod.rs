//! The architectures: each one file, registered in [`Architecture`].

mod convnet;
mod graph;
mod head;
mod layers;
mod mlp;
mod pass;
mod resnet;
mod rnn;
mod toy;
mod trace;
mod transformer;

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use convnet::{ConvNet, Padding};
pub use layers::Normalization;
pub(crate) use layers::product;
pub use mlp::Mlp;
pub use pass::Pass;
pub use resnet::ResNet;
pub use rnn::Rnn;
pub use toy::{Toy, ToyActivation};
pub(crate) use trace::Trace;
pub use transformer::{
    Activation, HeadKind, NormKind, Placement, Positions, Transformer, TransformerInput,
    Unembedding,
};

use crate::error::ModelError;
use crate::input::Input;
use crate::layer::Layer;
use crate::shortcut::Shortcut;
use crate::site::ModelSpec;
use crate::state::State;
use crate::weights::Weights;
use crate::windowed::Windowed;

/// What a network is made as; in TOML a table whose `type` names the architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Architecture {
    /// Multilayer perceptron.
    Mlp(Mlp),
    /// Convolutions, pooling and linear layers.
    Convnet(ConvNet),
    /// CIFAR-style residual network.
    Resnet(ResNet),
    /// Recurrent network over tokens.
    Rnn(Rnn),
    /// Toy model of superposition.
    Toy(Toy),
    /// Transformer: decoder, encoder or vision transformer.
    Transformer(Transformer),
}

impl Architecture {
    /// The names that `type` may have.
    pub const NAMES: [&str; 6] = ["mlp", "convnet", "resnet", "rnn", "toy", "transformer"];

    /// The net of the MNIST LeNet5 pair (advertorch): 32 and 64 filters of 3x3, 200 hidden units.
    pub fn lenet5() -> Self {
        Self::Convnet(ConvNet {
            input: [1, 28, 28],
            widths: vec![32, 64],
            hidden: vec![200],
            ..ConvNet::default()
        })
    }

    /// The CIFAR-10 net that comes with captum: 6 and 16 filters of 5x5 without padding, 120 and 84
    /// hidden units.
    pub fn cifar_lenet() -> Self {
        Self::Convnet(ConvNet {
            input: [3, 32, 32],
            widths: vec![6, 16],
            kernel: 5,
            padding: Padding::Valid,
            hidden: vec![120, 84],
            normalization: Some(Normalization {
                mean: vec![0.5; 3],
                std: vec![0.5; 3],
            }),
            ..ConvNet::default()
        })
    }

    pub(crate) fn definition(&self) -> &dyn Definition {
        match self {
            Self::Mlp(mlp) => mlp,
            Self::Convnet(convnet) => convnet,
            Self::Resnet(resnet) => resnet,
            Self::Rnn(rnn) => rnn,
            Self::Toy(toy) => toy,
            Self::Transformer(transformer) => transformer,
        }
    }
}

/// What an architecture's file gives.
pub(crate) trait Definition {
    /// Checks every setting.
    fn validate(&self) -> Result<(), ModelError>;

    /// Input, classes and sites in the order in which the stages reach them; the last stage reaches the
    /// last site.
    fn spec(&self) -> ModelSpec;

    /// Random weights in definition order.
    fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Weights;

    /// The weights together with what is made of them once for all passes, where there is such.
    fn prepare(&self, _weights: &Weights) -> Option<Weights> {
        None
    }

    /// Runs one stage, counted from 0, on what the one before it passed on. The first takes the input,
    /// the last gives logits `[batch, position, class]`; a forward pass is all of them.
    fn stage(
        &self,
        stage: usize,
        weights: &Weights,
        state: State,
        trace: &mut Trace<'_>,
        pass: &mut Pass,
    ) -> State;

    /// Whether a stage treats every position by itself.
    fn is_by_position(&self, _stage: usize) -> bool {
        false
    }

    /// What a change of these channels of a site adds to the state after the site's stage, where that is
    /// linear.
    fn carried(
        &self,
        _weights: &Weights,
        _site: &str,
        _channels: Range<usize>,
        _change: Tensor<3>,
    ) -> Option<Tensor<3>> {
        None
    }

    /// What a part of the last residual stream adds to the logits, the final norm's scale given.
    fn direct(
        &self,
        _weights: &Weights,
        _part: Tensor<3>,
        _scale: Option<&Tensor<3>>,
    ) -> Option<Tensor<3>> {
        None
    }

    /// Its operations in evaluation mode, in their order, where they are a chain.
    fn layers(&self, weights: &Weights) -> Option<Vec<Layer>>;

    /// A pass whose way back the architecture knows itself, where it does.
    fn shortcut<'a>(
        &'a self,
        _spec: &'a ModelSpec,
        _weights: &'a Weights,
        _input: &Input,
    ) -> Option<Shortcut<'a>> {
        None
    }

    /// A batch that recomputes only what a changed window reaches, where the architecture can.
    fn windowed<'a>(
        &'a self,
        _spec: &'a ModelSpec,
        _weights: &'a Weights,
        _input: &Input,
    ) -> Option<Box<dyn Windowed + 'a>> {
        None
    }
}
