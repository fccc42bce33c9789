//! A network that is asked at its last position alone.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use mr_models::{Hook, Input, Link, Model, ModelSpec, State};

/// A network that gives the logits of the last position alone, as objectives under `last(...)` read them: of
/// prompts where only the last token is to be foretold. A divergence from it leaves out the other positions, where
/// a network of language guesses, and where every edge is needed to guess just as it does: with them
/// [`acdc`](crate::acdc) and [`learned_masks`](crate::learned_masks) look for a circuit of these guesses too.
#[derive(Debug, Clone)]
pub struct AtLast<M>(pub M);

fn last(logits: Tensor<3>) -> Tensor<3> {
    let positions = logits.dims()[1];
    logits.narrow(1, positions.saturating_sub(1), positions.min(1))
}

impl<M: Model> Model for AtLast<M> {
    fn spec(&self) -> &ModelSpec {
        self.0.spec()
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        last(self.0.run(input, hook))
    }

    fn stages(&self) -> usize {
        self.0.stages()
    }

    fn run_stages(&self, stages: Range<usize>, state: State, hook: &mut dyn Hook) -> State {
        let is_end = stages.end == self.stages() && !stages.is_empty();
        match self.0.run_stages(stages, state, hook) {
            State::Sequence(logits) if is_end => State::Sequence(last(logits)),
            state => state,
        }
    }

    fn is_by_position(&self, stage: usize) -> bool {
        // The last stage gives fewer positions than it takes.
        stage + 1 < self.stages() && self.0.is_by_position(stage)
    }

    fn is_random(&self) -> bool {
        self.0.is_random()
    }

    fn run_drawn(&self, input: &Input, keys: &[u64], hook: &mut dyn Hook) -> Tensor<3> {
        last(self.0.run_drawn(input, keys, hook))
    }

    fn links(&self) -> Vec<Link> {
        self.0.links()
    }
}

#[cfg(test)]
mod tests {
    use mr_models::{Idle, NormKind, floats};

    use super::*;
    use crate::attribution::tests::{net, pair};
    use crate::{Ablation, acdc};

    #[test]
    fn the_last_position_is_what_it_was() {
        let (net, input) = (net(NormKind::Layer), pair().clean().clone());
        let whole = net.logits(&input).narrow(1, 5, 1);
        let at_last = AtLast(&net);
        assert_eq!(floats(at_last.logits(&input)), floats(whole.clone()));
        let begun = at_last.run_stages(0..1, State::Input(input), &mut Idle);
        let ended = at_last.run_stages(1..at_last.stages(), begun, &mut Idle);
        assert_eq!(floats(ended.logits()), floats(whole));
    }

    /// Edges that count elsewhere go, and what is left says at the last position what the network says.
    #[test]
    fn a_circuit_of_the_last_position_is_smaller() {
        let (net, pair) = (net(NormKind::Layer), pair());
        let corrupt = Ablation::Resample(pair.corrupt().clone());
        let found = |at_last: bool| {
            let quiet = &mut |_, _| {};
            if at_last {
                acdc(AtLast(&net), &pair, &corrupt, 1e-4, None, quiet)
            } else {
                acdc(&net, &pair, &corrupt, 1e-4, None, quiet)
            }
        };
        let [all, last] = [false, true].map(|at_last| found(at_last).unwrap().len());
        assert!(0 < last && last < all, "{last} of {all}");
    }
}
