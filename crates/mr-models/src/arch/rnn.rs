//! Recurrent network over tokens.

use burn::tensor::activation::relu;
use burn::tensor::module::embedding;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::layers::{linear, product, push_affine, sizes, uniform};
use super::{Definition, Pass, Trace};
use crate::error::ModelError;
use crate::input::Input;
use crate::layer::Layer;
use crate::site::{InputKind, ModelSpec, Site};
use crate::state::State;
use crate::weights::Weights;
use crate::wiring::Wiring;

/// Elman's network (1990) with ReLU: `h_t = relu(W_in[x_t] + h_{t-1} W + b)`, from a start that is learned
/// too, and logits of every `h_t`. It is one stage, and has a site for each step, so that what is patched
/// at one step goes on through those after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rnn {
    /// Number of different tokens.
    pub vocabulary: usize,
    /// The longest sequence.
    pub context: usize,
    /// Width of the hidden state.
    pub hidden: usize,
    /// Number of classes; 0 for the vocabulary.
    pub classes: usize,
}

impl Default for Rnn {
    fn default() -> Self {
        Self {
            vocabulary: 64,
            context: 32,
            hidden: 64,
            classes: 0,
        }
    }
}

impl Rnn {
    fn logits(&self) -> usize {
        match self.classes {
            0 => self.vocabulary,
            classes => classes,
        }
    }
}

impl Definition for Rnn {
    fn validate(&self) -> Result<(), ModelError> {
        sizes("vocabulary", &[self.vocabulary])?;
        sizes("context", &[self.context])?;
        sizes("hidden", &[self.hidden])?;
        sizes("classes", &[self.logits()])
    }

    fn spec(&self) -> ModelSpec {
        let steps = 0..self.context;
        let step = |step| Site::vector(format!("steps.{step}.hook_hidden"), self.hidden);
        let mut sites: Vec<Site> = steps.map(step).collect();
        sites.push(Site::sequence("hook_out", self.context, self.logits()));
        ModelSpec {
            name: "rnn".into(),
            input: InputKind::Tokens {
                vocabulary: self.vocabulary,
                positions: self.context,
            },
            classes: self.logits(),
            sites,
            wiring: Wiring::default(),
        }
    }

    fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Weights {
        let mut weights = Weights::default();
        let hidden = self.hidden;
        let bound = (1.0 / hidden as f32).sqrt();
        for (name, shape) in [
            ("W_in", vec![self.vocabulary, hidden]),
            ("W", vec![hidden, hidden]),
            ("b", vec![hidden]),
            ("start", vec![hidden]),
        ] {
            let values = uniform(rng, shape.iter().product(), bound);
            weights.push(name, &shape, values, true, device);
        }
        let shape = [self.logits(), hidden];
        push_affine(&mut weights, "out", &shape, true, rng, device);
        weights
    }

    fn stage(
        &self,
        _stage: usize,
        weights: &Weights,
        state: State,
        trace: &mut Trace<'_>,
        _pass: &mut Pass,
    ) -> State {
        let Input::Tokens(tokens) = state.input() else {
            panic!("this model takes tokens, not real values");
        };
        let [batch, steps] = tokens.dims();
        let read = embedding(weights.get("W_in"), tokens);
        let w: Tensor<3> = weights.get::<2>("W").unsqueeze();
        let b: Tensor<2> = weights.get::<1>("b").unsqueeze();
        let start: Tensor<2> = weights.get::<1>("start").unsqueeze();
        let mut h = start.expand([batch, self.hidden]);
        let mut all = Vec::with_capacity(steps);
        for step in 0..steps {
            let x = read.clone().narrow(1, step, 1);
            let x = x.reshape([batch, self.hidden]);
            h = relu(x + product(h, w.clone()) + b.clone());
            h = trace.vector("hook_hidden", h);
            all.push(h.clone());
        }
        for _ in steps..self.context {
            trace.absent("hook_hidden");
        }
        let logits = all
            .into_iter()
            .map(|h| linear(weights, "out", h).unsqueeze_dim(1));
        let logits = Tensor::cat(logits.collect(), 1);
        State::Sequence(trace.sequence("hook_out", logits))
    }

    fn layers(&self, _weights: &Weights) -> Option<Vec<Layer>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Architecture;
    use crate::hook::run_with_cache;
    use crate::host::floats;
    use crate::model::Model;
    use crate::network::Network;

    fn net() -> Network {
        let rnn = Rnn {
            vocabulary: 2,
            context: 3,
            hidden: 1,
            classes: 1,
        };
        let weights = [
            ("W_in", vec![2, 1], vec![1.0, 3.0]),
            ("W", vec![1, 1], vec![2.0]),
            ("b", vec![1], vec![-4.0]),
            ("start", vec![1], vec![2.0]),
            ("out.weight", vec![1, 1], vec![10.0]),
            ("out.bias", vec![1], vec![0.5]),
        ];
        let named = weights.map(|(name, shape, values)| (name.to_string(), shape, values));
        Network::with_weights(Architecture::Rnn(rnn), named.to_vec(), &Device::flex()).unwrap()
    }

    #[test]
    fn every_step_is_a_site() {
        let (net, device) = (net(), Device::flex());
        let input = Input::of_tokens(&[vec![0, 1, 0], vec![1, 1, 1]], &device).unwrap();
        let (logits, cache) = run_with_cache(&net, &input, &["steps.1.hook_hidden"]).unwrap();
        // 1 + 4 - 4 = 1, 3 + 2 - 4 = 1, 1 + 2 - 4 < 0; 3, 5, 9.
        assert_eq!(floats(logits), [10.5, 10.5, 0.5, 30.5, 50.5, 90.5]);
        let hidden = cache.get("steps.1.hook_hidden").unwrap().clone();
        assert_eq!(floats(hidden), [1.0, 5.0]);
        let shorter = Input::of_tokens(&[vec![0, 1]], &device).unwrap();
        assert_eq!(floats(net.logits(&shorter)), [10.5, 10.5]);
        let spec = net.spec().of_length(2).unwrap();
        let positions: Vec<usize> = spec.sites.iter().map(|site| site.positions).collect();
        assert_eq!(positions, [1, 1, 1, 2]);
    }
}
