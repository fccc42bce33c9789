//! Writes a transformer's weights by named directions of its residual stream.

use std::collections::BTreeMap;

use burn::tensor::Device;

use crate::arch::{Activation, Architecture, NormKind, Transformer, TransformerInput};
use crate::network::Network;

/// How much more a key that is meant scores than one that is not: softmax gives the others e^-40.
pub(super) const SHARP: f32 = 40.0;

/// Sizes of what is assembled.
pub(super) struct Size {
    pub(super) vocabulary: usize,
    pub(super) context: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) d_head: usize,
    /// Neurons of each MLP; 0 for attention alone.
    pub(super) d_mlp: usize,
    pub(super) classes: usize,
    pub(super) causal: bool,
}

/// A transformer in the making: no norm, ReLU, learned positions, and every weight 0 that is not set. Each
/// direction of the residual stream has a name and an axis of its own.
pub(super) struct Assembler {
    net: Transformer,
    directions: Vec<String>,
    /// Shape and values by name.
    weights: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// By block, how many neurons are in use.
    neurons: Vec<usize>,
    device: Device,
}

impl Assembler {
    /// A transformer of this size, whose stream has these directions.
    pub(super) fn new(size: &Size, directions: Vec<String>, device: &Device) -> Self {
        let net = Transformer {
            input: TransformerInput::Tokens {
                vocabulary: size.vocabulary,
                context: size.context,
                token_types: 0,
            },
            layers: size.layers,
            d_model: directions.len(),
            heads: size.heads,
            d_head: size.d_head,
            d_mlp: size.d_mlp,
            activation: Activation::Relu,
            norm: NormKind::None,
            final_norm: false,
            causal: size.causal,
            classes: size.classes,
            ..Transformer::default()
        };
        let drawn = Network::init(Architecture::Transformer(net.clone()), 0, device);
        let drawn = drawn.expect("the sizes of a program are valid");
        let weights = drawn.weights().to_host().into_iter();
        Self {
            weights: weights
                .map(|(name, shape, values)| (name, (shape, vec![0.0; values.len()])))
                .collect(),
            neurons: vec![0; net.layers],
            net,
            directions,
            device: device.clone(),
        }
    }

    fn direction(&self, name: &str) -> usize {
        let mut all = self.directions.iter();
        let found = all.position(|direction| direction == name);
        found.unwrap_or_else(|| panic!("no direction is called {name}"))
    }

    fn set(&mut self, name: &str, at: &[usize], value: f32) {
        let (shape, values) = self.weights.get_mut(name).expect("a weight has this name");
        let index = at.iter().zip(&*shape).fold(0, |all, (at, size)| {
            assert!(at < size, "{name} is {shape:?}");
            all * size + at
        });
        values[index] = value;
    }

    /// What a token writes along a direction.
    pub(super) fn token(&mut self, token: usize, direction: &str, value: f32) {
        let axis = self.direction(direction);
        self.set("embed.W_E", &[token, axis], value);
    }

    /// What a position writes along a direction.
    pub(super) fn position(&mut self, position: usize, direction: &str, value: f32) {
        let axis = self.direction(direction);
        self.set("pos_embed.W_pos", &[position, axis], value);
    }

    /// A head.
    pub(super) fn head(&mut self, layer: usize, head: usize) -> Head<'_> {
        Head {
            of: self,
            layer,
            number: head,
        }
    }

    /// A neuron of a block: ReLU of a weighted sum of directions and a term, times what it writes.
    pub(super) fn neuron(
        &mut self,
        layer: usize,
        reads: &[(&str, f32)],
        term: f32,
        writes: &[(&str, f32)],
    ) {
        let neuron = self.neurons[layer];
        self.neurons[layer] += 1;
        let at = |name: &str| format!("blocks.{layer}.mlp.{name}");
        for &(direction, weight) in reads {
            let axis = self.direction(direction);
            self.set(&at("W_in"), &[axis, neuron], weight);
        }
        self.set(&at("b_in"), &[neuron], term);
        for &(direction, weight) in writes {
            let axis = self.direction(direction);
            self.set(&at("W_out"), &[neuron, axis], weight);
        }
    }

    /// What a direction adds to the logit of a class.
    pub(super) fn unembed(&mut self, direction: &str, class: usize, value: f32) {
        let axis = self.direction(direction);
        self.set("unembed.W_U", &[axis, class], value);
    }

    /// The network.
    pub(super) fn assembled(self) -> Network {
        let named = self.weights.into_iter();
        let named = named.map(|(name, (shape, values))| (name, shape, values));
        let architecture = Architecture::Transformer(self.net);
        Network::with_weights(architecture, named.collect(), &self.device)
            .expect("the weights are those of the architecture")
    }
}

/// A head in the making. Its channels have numbers.
pub(super) struct Head<'a> {
    of: &'a mut Assembler,
    layer: usize,
    number: usize,
}

impl Head<'_> {
    fn read(&mut self, slot: &str, direction: &str, channel: usize, value: f32) -> &mut Self {
        let axis = self.of.direction(direction);
        let name = format!("blocks.{}.attn.W_{slot}", self.layer);
        self.of.set(&name, &[self.number, axis, channel], value);
        self
    }

    /// A query asks along a channel where it reads this direction: a key that answers by 1 scores
    /// [`SHARP`] times the strength.
    pub(super) fn asks(&mut self, direction: &str, channel: usize, strength: f32) -> &mut Self {
        let scale = SHARP * (self.of.net.d_head() as f32).sqrt();
        self.read("Q", direction, channel, strength * scale)
    }

    /// Every query asks along a channel.
    pub(super) fn always_asks(&mut self, channel: usize) -> &mut Self {
        let scale = SHARP * (self.of.net.d_head() as f32).sqrt();
        let name = format!("blocks.{}.attn.b_Q", self.layer);
        self.of.set(&name, &[self.number, channel], scale);
        self
    }

    /// A key answers along a channel where it reads this direction.
    pub(super) fn answers(&mut self, direction: &str, channel: usize, value: f32) -> &mut Self {
        self.read("K", direction, channel, value)
    }

    /// What stands along one direction where the head looks, it writes along another.
    pub(super) fn moves(&mut self, from: &str, channel: usize, to: &str) -> &mut Self {
        self.read("V", from, channel, 1.0);
        let axis = self.of.direction(to);
        let name = format!("blocks.{}.attn.W_O", self.layer);
        self.of.set(&name, &[self.number, channel, axis], 1.0);
        self
    }
}

/// Directions of one kind: `token:1`, `token:2`, ...
pub(super) fn named(kind: &str, numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    let numbers = numbers.into_iter();
    numbers.map(|number| format!("{kind}:{number}")).collect()
}
