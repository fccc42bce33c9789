//! Any step with any backward pass.

use std::fmt;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::Transform;
use super::backward::{off_graph, replaced};

type Function = Arc<dyn Fn(Tensor<3>) -> Tensor<3> + Send + Sync>;
type Drawing = Arc<dyn Fn(Tensor<3>, &[u64]) -> Tensor<3> + Send + Sync>;

/// Backward pass differentiable approximation (BPDA; Athalye, Carlini & Wagner 2018, section 4.1): a
/// step f of any kind, whose backward pass is that of another function g of the same values, with
/// g(x) near f(x); the identity unless another is given.
///
/// f is run off the graph, so it may leave the device, call another program, or round. As a
/// [`Transform`] it stands before, in or behind a network like any other defence.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use mr_models::{Architecture, Bpda, Defence, Defended, Input, Labels, Mlp, Network, Place};
/// use mr_models::{Stage, objective, value_and_grad};
///
/// let mlp = Mlp { input: [1, 2, 2], hidden: vec![8], ..Mlp::default() };
/// let net = Network::init(Architecture::Mlp(mlp), 0, &Device::flex())?;
/// let steps = Bpda::new(|values: Tensor<3>| values.mul_scalar(4.0).floor().div_scalar(4.0));
/// let net = Defended::new(net, vec![Defence::new(Stage::Input, steps)])?;
/// let image = Input::Real(Tensor::ones([1, 1, 2, 2], &Device::flex()) * 0.6);
/// let labels = Labels::of_classes(&[0], &Device::flex());
/// let at = value_and_grad(&net, &image, &labels, &objective::Margin, &[Place::Input])?;
/// assert!(at.input().clone().abs().sum().into_scalar::<f32>() > 0.0);
/// # Ok::<(), mr_models::ModelError>(())
/// ```
#[derive(Clone)]
pub struct Bpda {
    forward: Drawing,
    backward: Option<Function>,
    random: bool,
}

impl Bpda {
    /// The step f, its backward pass the identity.
    pub fn new(forward: impl Fn(Tensor<3>) -> Tensor<3> + Send + Sync + 'static) -> Self {
        Self {
            forward: Arc::new(move |values, _| forward(values)),
            backward: None,
            random: false,
        }
    }

    /// The same of a step that draws by the examples' keys.
    pub fn random(
        forward: impl Fn(Tensor<3>, &[u64]) -> Tensor<3> + Send + Sync + 'static,
    ) -> Self {
        Self {
            forward: Arc::new(forward),
            backward: None,
            random: true,
        }
    }

    /// With the backward pass of g.
    pub fn with_backward(
        mut self,
        g: impl Fn(Tensor<3>) -> Tensor<3> + Send + Sync + 'static,
    ) -> Self {
        self.backward = Some(Arc::new(g));
        self
    }
}

impl fmt::Debug for Bpda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bpda")
            .field("identity", &self.backward.is_none())
            .field("random", &self.random)
            .finish_non_exhaustive()
    }
}

impl Transform for Bpda {
    fn apply(&self, values: Tensor<3>, keys: &[u64]) -> Tensor<3> {
        let value = (self.forward)(off_graph(values.clone()), keys);
        if !values.is_autodiff() {
            return value;
        }
        let surrogate = match &self.backward {
            Some(g) => g(values),
            None => values,
        };
        replaced(value, surrogate)
    }

    fn is_random(&self) -> bool {
        self.random
    }
}
