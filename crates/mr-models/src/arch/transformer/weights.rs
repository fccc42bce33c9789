//! A transformer's weights: which there are, how they are drawn, and as what they are read.

use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use super::config::{
    HeadKind, NormKind, Placement, Positions, Transformer, TransformerInput, Unembedding,
};
use crate::weights::Weights;

/// How a weight begins.
#[derive(Clone, Copy)]
enum Start {
    /// Drawn from a normal distribution.
    Drawn,
    Ones,
    Zeros,
}

/// Every weight's name, shape and start, in definition order.
struct Plan<'a> {
    net: &'a Transformer,
    all: Vec<(String, Vec<usize>, Start)>,
}

impl Plan<'_> {
    fn push(&mut self, name: String, shape: &[usize], start: Start) {
        self.all.push((name, shape.to_vec(), start));
    }

    fn matrix(&mut self, name: String, shape: &[usize]) {
        self.push(name, shape, Start::Drawn);
    }

    fn term(&mut self, name: String, shape: &[usize]) {
        if self.net.biases {
            self.push(name, shape, Start::Zeros);
        }
    }

    fn norm(&mut self, name: &str) {
        let width = [self.net.d_model];
        if self.net.norm != NormKind::None {
            self.push(format!("{name}.w"), &width, Start::Ones);
        }
        if self.net.norm == NormKind::Layer {
            self.term(format!("{name}.b"), &width);
        }
    }

    fn embedding(&mut self) {
        let width = self.net.d_model;
        let at = |name: &str| format!("{}{name}", self.net.embedding());
        match &self.net.input {
            TransformerInput::Tokens {
                vocabulary,
                token_types,
                ..
            } => {
                self.matrix(at("embed.W_E"), &[*vocabulary, width]);
                if *token_types > 0 {
                    let name = at("token_type_embed.W_token_type");
                    self.matrix(name, &[*token_types, width]);
                }
            }
            TransformerInput::Image {
                shape,
                patch,
                class_token,
                ..
            } => {
                let pixels = shape[0] * patch * patch;
                self.matrix(at("embed.W_patch"), &[pixels, width]);
                self.term(at("embed.b_patch"), &[width]);
                if *class_token {
                    self.matrix(at("class_token"), &[width]);
                }
            }
        }
        if self.net.positions == Positions::Learned {
            self.matrix(at("pos_embed.W_pos"), &[self.net.context(), width]);
        }
        if self.net.embedding_norm {
            self.norm("embed.ln");
        }
    }

    fn block(&mut self, layer: usize) {
        let net = self.net;
        let at = |name: &str| format!("blocks.{layer}.{name}");
        let (model, width) = (net.d_model, net.d_head());
        if net.placement == Placement::Pre || net.has_mlp() {
            self.norm(&at("ln1"));
        }
        for (slot, heads) in [
            ("Q", net.heads),
            ("K", net.key_value_heads()),
            ("V", net.key_value_heads()),
        ] {
            self.matrix(at(&format!("attn.W_{slot}")), &[heads, model, width]);
            self.term(at(&format!("attn.b_{slot}")), &[heads, width]);
        }
        self.matrix(at("attn.W_O"), &[net.heads, width, model]);
        self.term(at("attn.b_O"), &[model]);
        if !net.has_mlp() {
            return;
        }
        self.norm(&at("ln2"));
        if net.gated {
            self.matrix(at("mlp.W_gate"), &[model, net.d_mlp]);
        }
        self.matrix(at("mlp.W_in"), &[model, net.d_mlp]);
        self.term(at("mlp.b_in"), &[net.d_mlp]);
        self.matrix(at("mlp.W_out"), &[net.d_mlp, model]);
        self.term(at("mlp.b_out"), &[model]);
    }

    fn head(&mut self) {
        let (net, width) = (self.net, self.net.d_model);
        if net.final_norm {
            self.norm("ln_final");
        }
        if net.head == HeadKind::MaskedTokens {
            self.matrix("mlm_head.W".into(), &[width, width]);
            self.term("mlm_head.b".into(), &[width]);
            self.norm("mlm_head.ln");
        }
        if net.unembedding == Unembedding::Own {
            self.matrix("unembed.W_U".into(), &[width, net.logits()]);
        }
        if net.unembedding != Unembedding::None {
            self.term("unembed.b_U".into(), &[net.logits()]);
        }
    }
}

/// Random weights as TransformerLens draws them: normal with deviation .8 / sqrt(d_model), terms 0.
pub(super) fn draw(net: &Transformer, rng: &mut ChaCha8Rng, device: &Device) -> Weights {
    let mut plan = Plan {
        net,
        all: Vec::new(),
    };
    plan.embedding();
    for layer in 0..net.layers {
        plan.block(layer);
    }
    plan.head();
    let deviation = 0.8 / (net.d_model as f32).sqrt();
    let normal = Normal::new(0.0, deviation).expect("the deviation is finite");
    let mut weights = Weights::default();
    for (name, shape, start) in plan.all {
        let count = shape.iter().product();
        let values = match start {
            Start::Drawn => normal.sample_iter(&mut *rng).take(count).collect(),
            Start::Ones => vec![1.0; count],
            Start::Zeros => vec![0.0; count],
        };
        weights.push(&name, &shape, values, true, device);
    }
    weights
}

/// The weights with those of queries, keys and values of each block side by side as well, which one
/// product takes: `attn.W_QKV` `[in, head * channel]` and `attn.b_QKV`.
pub(super) fn side_by_side(net: &Transformer, weights: &Weights) -> Weights {
    let mut all = weights.clone();
    for layer in 0..net.layers {
        let at = |name: &str| format!("blocks.{layer}.attn.{name}");
        let columns = ["W_Q", "W_K", "W_V"].map(|name| {
            let w = weights.get::<3>(&at(name));
            let [heads, model, width] = w.dims();
            w.swap_dims(0, 1).reshape([model, heads * width])
        });
        let w = Tensor::cat(columns.to_vec(), 1);
        let [model, channels] = w.dims();
        let flat = w.reshape([model * channels]);
        all.append(&at("W_QKV"), &[model, channels], flat);
        if net.biases {
            let terms = ["b_Q", "b_K", "b_V"].map(|name| {
                let b = weights.get::<2>(&at(name));
                let [heads, width] = b.dims();
                b.reshape([heads * width])
            });
            let b = Tensor::cat(terms.to_vec(), 0);
            all.append(&at("b_QKV"), &b.dims(), b);
        }
    }
    all
}
