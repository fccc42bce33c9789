//! The one concrete network: an architecture and its weights.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::arch::{Architecture, Pass, Trace};
use crate::error::ModelError;
use crate::factor::Factor;
use crate::hook::Hook;
use crate::input::Input;
use crate::layer::Layer;
use crate::link::Link;
use crate::model::Model;
use crate::shortcut::Shortcut;
use crate::site::ModelSpec;
use crate::state::State;
use crate::weights::Weights;
use crate::windowed::Windowed;
use crate::wiring::Joined;

/// An [`Architecture`] with its [`Weights`].
///
/// As a [`Model`] it is in evaluation mode, whatever its input. Training goes through
/// [`run_training`](Self::run_training), which says what it draws and what it updates.
#[derive(Debug, Clone)]
pub struct Network {
    architecture: Architecture,
    /// Shared: a step of training makes several networks of one.
    spec: Arc<ModelSpec>,
    weights: Weights,
    /// The weights as a pass reads them, made at the first one.
    prepared: OnceLock<Option<Weights>>,
}

impl Network {
    /// A network with random weights, drawn on the host from `seed`.
    ///
    /// # Errors
    /// [`ModelError::Setting`] if a setting of the architecture is outside its range.
    pub fn init(
        architecture: Architecture,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let definition = architecture.definition();
        definition.validate()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let spec = Arc::new(definition.spec());
        let weights = definition.init(&mut rng, device);
        Ok(Self {
            architecture,
            spec,
            weights,
            prepared: OnceLock::new(),
        })
    }

    /// A network with these weights, which must be exactly the architecture's.
    ///
    /// # Errors
    /// Those of [`init`](Self::init) and [`Weights::replaced_by`].
    pub fn with_weights(
        architecture: Architecture,
        named: Vec<(String, Vec<usize>, Vec<f32>)>,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let mut network = Self::init(architecture, 0, device)?;
        let named = network.in_our_words(named);
        network.weights = network.weights.replaced_by(named, device)?;
        Ok(network)
    }

    /// Linear layers that a file calls `fc1`, `fc2`, ... under the names that they have here, and a
    /// transformer's weights as it has them.
    fn in_our_words(
        &self,
        named: Vec<(String, Vec<usize>, Vec<f32>)>,
    ) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        if let Architecture::Transformer(net) = &self.architecture {
            return net.of_lens(named);
        }
        let ours = |name: String| match name.strip_prefix("fc") {
            Some(rest) if self.weights.contains(&format!("linear{rest}")) => {
                format!("linear{rest}")
            }
            _ => name,
        };
        let named = named.into_iter();
        named
            .map(|(name, shape, values)| (ours(name), shape, values))
            .collect()
    }

    /// What it is made as.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Its weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Its weights, to be changed.
    pub fn weights_mut(&mut self) -> &mut Weights {
        self.prepared = OnceLock::new();
        &mut self.weights
    }

    /// Its operations in evaluation mode, in their order: from an input
    /// `[batch, channel, height, width]` to logits `[batch, class, 1, 1]`.
    ///
    /// # Errors
    /// [`ModelError::Unfit`] for an architecture that is no chain of such operations.
    pub fn layers(&self) -> Result<Vec<Layer>, ModelError> {
        let layers = self.architecture.definition().layers(&self.weights);
        layers.ok_or_else(|| {
            ModelError::Unfit(format!(
                "a {} is no chain of linear maps, convolutions, ReLU and pooling",
                self.spec.name
            ))
        })
    }

    /// The same network with every trainable weight a leaf of the gradient.
    pub fn tracked(&self) -> Self {
        self.of(self.weights.tracked())
    }

    /// The same network on another device.
    pub fn to_device(&self, device: &Device) -> Self {
        self.of(self.weights.to_device(device))
    }

    fn of(&self, weights: Weights) -> Self {
        Self {
            architecture: self.architecture.clone(),
            spec: Arc::clone(&self.spec),
            weights,
            prepared: OnceLock::new(),
        }
    }

    /// The weights as a pass reads them. Those whose gradients are wanted are made anew for each pass:
    /// a graph can be walked back only once.
    fn prepared(&self) -> Cow<'_, Weights> {
        let prepare = || self.architecture.definition().prepare(&self.weights);
        if self.weights.are_tracked() {
            return prepare().map_or(Cow::Borrowed(&self.weights), Cow::Owned);
        }
        let prepared = self.prepared.get_or_init(prepare);
        Cow::Borrowed(prepared.as_ref().unwrap_or(&self.weights))
    }

    fn through(
        &self,
        stages: Range<usize>,
        state: State,
        hook: &mut dyn Hook,
        pass: &mut Pass,
    ) -> State {
        assert!(
            stages.end <= self.spec.stages(),
            "stages {stages:?} of {}",
            self.spec.stages()
        );
        let definition = self.architecture.definition();
        let weights = self.prepared();
        let mut trace = Trace::from(&self.spec, stages.start, hook);
        stages.into_iter().fold(state, |state, stage| {
            definition.stage(stage, &weights, state, &mut trace, pass)
        })
    }

    /// A forward pass in training mode: dropout draws from the pass, BatchNorm normalises with the
    /// batch's statistics and leaves its running ones in the pass. Logits are
    /// `[batch, position, class]`.
    pub fn run_training(&self, input: &Input, hook: &mut dyn Hook, pass: &mut Pass) -> Tensor<3> {
        let input = State::Input(input.clone());
        self.through(0..self.spec.stages(), input, hook, pass)
            .logits()
    }

    /// Stores the running statistics that a training pass left.
    pub fn absorb(&mut self, pass: &mut Pass) {
        for (name, values) in pass.take_updates() {
            self.weights_mut().set(&name, values);
        }
    }
}

impl Model for Network {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn device(&self) -> Device {
        self.weights.device()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        self.run_training(input, hook, &mut Pass::evaluation())
    }

    fn stages(&self) -> usize {
        self.spec.stages()
    }

    fn run_stages(&self, stages: Range<usize>, state: State, hook: &mut dyn Hook) -> State {
        self.through(stages, state, hook, &mut Pass::evaluation())
    }

    fn is_by_position(&self, stage: usize) -> bool {
        self.architecture.definition().is_by_position(stage)
    }

    fn carried(&self, site: &str, channels: Range<usize>, change: Tensor<3>) -> Option<Tensor<3>> {
        let definition = self.architecture.definition();
        definition.carried(&self.weights, site, channels, change)
    }

    fn direct(&self, part: Tensor<3>, scale: Option<&Tensor<3>>) -> Option<Tensor<3>> {
        let definition = self.architecture.definition();
        definition.direct(&self.weights, part, scale)
    }

    fn shortcut(&self, input: &Input) -> Option<Shortcut<'_>> {
        let definition = self.architecture.definition();
        definition.shortcut(&self.spec, &self.weights, input)
    }

    fn windowed(&self, input: &Input) -> Option<Box<dyn Windowed + '_>> {
        let definition = self.architecture.definition();
        definition.windowed(&self.spec, &self.weights, input)
    }

    fn factor(&self, site: &str) -> Option<Factor> {
        match &self.architecture {
            Architecture::Transformer(net) => net.factor(&self.weights, site),
            _ => None,
        }
    }

    fn links(&self) -> Vec<Link> {
        match &self.spec.wiring.joined {
            Joined::Stream => Vec::new(),
            Joined::Layers(_) => match self.layers() {
                Ok(layers) => Link::of_layers(layers, &self.device()),
                Err(_) => Vec::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{ConvNet, Mlp};

    #[test]
    fn settings_outside_their_range_are_named() {
        let refuse = |architecture| {
            let made = Network::init(architecture, 0, &Device::flex());
            made.unwrap_err().to_string()
        };
        let mlp = |hidden| {
            Architecture::Mlp(Mlp {
                hidden,
                ..Mlp::default()
            })
        };
        let error = refuse(mlp(vec![8, 0]));
        assert_eq!(error, "hidden is [8, 0], must be from 1 to 65536 each");
        assert!(refuse(mlp(vec![1 << 40])).contains("from 1 to 65536"));
        let convnet = ConvNet {
            widths: vec![2; 5],
            ..ConvNet::default()
        };
        let error = refuse(Architecture::Convnet(convnet));
        assert!(error.contains("at most 4 stages"), "{error}");
    }
}
