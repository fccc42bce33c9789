//! What is studied: networks that run past named sites, where a hook may read or rewrite what
//! passes.
//!
//! Mechanistic interpretability and adversarial robustness climb or attribute *one scalar per
//! example, computed from a network's activations*. So this crate has one trait that runs a network
//! past its sites ([`Model`]), one interface to what passes there ([`Hook`]), one kind of scalar
//! ([`Objective`]) and one gradient ([`value_and_grad`]), at the input and at any sites, in one
//! backward pass. Attacks climb the objective, circuits attribute it, dictionaries splice into it,
//! training descends it. Rewrites of a site are values ([`Edit`]); a network with edits
//! ([`Intervened`]) is again a [`Model`], so whatever works on a network works on an edited one.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use mr_models::{Architecture, Input, Labels, Network, Place, objective, value_and_grad};
//!
//! let device = Device::flex();
//! let net = Network::init(Architecture::lenet5(), 0, &device)?;
//! let images = Input::Real(Tensor::ones([2, 1, 28, 28], &device) * 0.5);
//! let labels = Labels::of_classes(&[3, 7], &device);
//! let places = [Place::Input, Place::site("conv2.hook_out")];
//! let at = value_and_grad(&net, &images, &labels, &objective::CrossEntropy, &places)?;
//! assert_eq!(at.values.dims(), [2]);
//! assert_eq!(at.input().dims(), [2, 1, 28, 28]);
//! assert_eq!(at.site("conv2.hook_out").dims(), [2, 14 * 14, 64]);
//! # Ok::<(), mr_models::ModelError>(())
//! ```

mod arch;
pub mod compiled;
pub mod data;
mod defence;
mod edit;
mod error;
mod factor;
mod file;
mod gradient;
mod hook;
mod host;
pub mod hugging_face;
mod input;
mod intervened;
mod layer;
mod link;
mod model;
mod network;
pub mod objective;
mod of_length;
mod shortcut;
mod site;
mod state;
mod tokenizer;
mod weights;
mod windowed;
mod wiring;
mod workers;

pub use arch::{
    Activation, Architecture, ConvNet, HeadKind, Mlp, NormKind, Normalization, Padding, Pass,
    Placement, Positions, ResNet, Rnn, Toy, ToyActivation, Transformer, TransformerInput,
    Unembedding,
};
pub use defence::{
    Backward, Bits, Bpda, Defence, DefenceConfig, Defended, Noise, Quantize, RoundLogits,
    Smoothing, Softmax, Stage, Temperature, Transform,
};
pub use edit::{Edit, Region, Rewrite};
pub use error::{ModelError, hint};
pub use factor::{Factor, Normed};
pub use file::{Saved, Tensors, load, read_tensors, save, write_tensors};
pub use gradient::{
    Place, Tap, ValueAndGrad, value_and_grad, value_and_grad_at, value_and_grad_reading, values_at,
};
pub use hook::{Cache, Hook, Idle, run_with_cache};
pub use host::{floats, integers, write_atomic};
pub use input::{Input, Labels, class_tensor};
pub use intervened::Intervened;
pub use layer::Layer;
pub use link::Link;
pub use model::{Model, predictions};
pub use network::Network;
pub use objective::Objective;
pub use of_length::OfLength;
pub use shortcut::{Shortcut, WayBack};
pub use site::{InputKind, ModelSpec, Site};
pub use state::State;
pub use tokenizer::Tokenizer;
pub use weights::{Entry, Weights};
pub use windowed::{Change, Windowed};
pub use wiring::{Edge, Joined, Joint, Port, Slot, Wiring};
pub use workers::Workers;
