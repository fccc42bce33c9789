//! Transformers: decoders, encoders and vision transformers, past the sites of TransformerLens.

mod attention;
mod carried;
mod config;
mod embed;
mod factor;
mod head;
mod lens;
mod mlp;
mod norm;
mod part;
mod rotary;
mod sites;
mod weights;
mod wiring;

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

pub use config::{
    Activation, HeadKind, NormKind, Placement, Positions, Transformer, TransformerInput,
    Unembedding,
};

use self::attention::attention;
use self::mlp::mlp;
use self::norm::norm;
use self::part::Part;
use super::{Definition, Pass, Trace};
use crate::error::ModelError;
use crate::layer::Layer;
use crate::site::{InputKind, ModelSpec};
use crate::state::State;
use crate::weights::Weights;

impl Transformer {
    /// The first stage of a block, or all of it where attention and MLP are parallel or there is no
    /// MLP.
    fn attend(&self, part: &Part<'_>, x: Tensor<3>, trace: &mut Trace<'_>) -> Tensor<3> {
        let x = trace.sequence("hook_resid_pre", x);
        let attended = x.clone() + attention(self, part, x.clone(), trace);
        if self.is_sequential() {
            return trace.sequence("hook_resid_mid", attended);
        }
        let out = if self.has_mlp() {
            let read = trace.sequence("hook_mlp_in", x);
            let read = norm(self, part, "ln2", read, trace);
            attended + mlp(self, part, read, trace)
        } else {
            attended
        };
        trace.sequence("hook_resid_post", out)
    }

    /// The second stage of a block where attention and MLP follow each other.
    fn think(&self, part: &Part<'_>, x: Tensor<3>, trace: &mut Trace<'_>) -> Tensor<3> {
        let read = trace.sequence("hook_mlp_in", x.clone());
        if self.placement == Placement::Pre {
            let read = norm(self, part, "ln2", read, trace);
            let out = x + mlp(self, part, read, trace);
            return trace.sequence("hook_resid_post", out);
        }
        // The normalised stream is what goes on, not only what the MLP reads.
        let x = norm(self, part, "ln1", read, trace);
        let out = x.clone() + mlp(self, part, x, trace);
        let out = trace.sequence("hook_resid_post", out);
        let out = norm(self, part, "ln2", out, trace);
        trace.sequence("hook_normalized_resid_post", out)
    }
}

impl Definition for Transformer {
    fn validate(&self) -> Result<(), ModelError> {
        self.check()
    }

    fn spec(&self) -> ModelSpec {
        ModelSpec {
            name: "transformer".into(),
            input: match self.input {
                TransformerInput::Tokens {
                    vocabulary,
                    context,
                    ..
                } => InputKind::Tokens {
                    vocabulary,
                    positions: context,
                },
                TransformerInput::Image { shape, .. } => InputKind::Real { shape },
            },
            classes: self.logits(),
            sites: sites::sites(self),
            wiring: wiring::wiring(self),
        }
    }

    fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Weights {
        weights::draw(self, rng, device)
    }

    fn prepare(&self, weights: &Weights) -> Option<Weights> {
        Some(weights::side_by_side(self, weights))
    }

    fn stage(
        &self,
        stage: usize,
        weights: &Weights,
        state: State,
        trace: &mut Trace<'_>,
        _pass: &mut Pass,
    ) -> State {
        if stage == 0 {
            let input = state.input();
            return State::Sequence(embed::embed(self, weights, &input, trace));
        }
        let x = state.sequence();
        let (layer, second) = (
            (stage - 1) / self.stages_of_block(),
            (stage - 1) % self.stages_of_block() == 1,
        );
        if layer == self.layers {
            return State::Sequence(head::head(self, weights, x, trace));
        }
        let part = Part::new(weights, format!("blocks.{layer}."));
        State::Sequence(if second {
            self.think(&part, x, trace)
        } else {
            self.attend(&part, x, trace)
        })
    }

    /// The MLP of a block where it is a stage of its own, and the head of a sequence.
    fn is_by_position(&self, stage: usize) -> bool {
        let blocks = self.layers * self.stages_of_block();
        if stage > blocks {
            return matches!(self.input, TransformerInput::Tokens { .. });
        }
        self.is_sequential() && stage > 0 && stage.is_multiple_of(2)
    }

    fn carried(
        &self,
        weights: &Weights,
        site: &str,
        channels: Range<usize>,
        change: Tensor<3>,
    ) -> Option<Tensor<3>> {
        carried::carried(self, weights, site, channels, change)
    }

    fn direct(
        &self,
        weights: &Weights,
        part: Tensor<3>,
        scale: Option<&Tensor<3>>,
    ) -> Option<Tensor<3>> {
        head::direct(self, weights, part, scale)
    }

    fn layers(&self, _weights: &Weights) -> Option<Vec<Layer>> {
        None
    }
}
