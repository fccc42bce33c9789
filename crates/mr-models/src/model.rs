//! The trait that everything which runs is reached through.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use crate::factor::Factor;
use crate::hook::{Hook, Idle};
use crate::input::Input;
use crate::link::Link;
use crate::shortcut::Shortcut;
use crate::site::ModelSpec;
use crate::state::State;
use crate::windowed::Windowed;

/// A network that runs past named sites, always in evaluation mode.
///
/// Its weights are constants: gradients flow to the input and to sites, never to weights.
pub trait Model: Send + Sync {
    /// Its input, classes and sites.
    fn spec(&self) -> &ModelSpec;

    /// Where its weights lie, and its input has to.
    fn device(&self) -> Device;

    /// Runs a batch past the sites. Logits are `[batch, position, class]`, with one position for
    /// images.
    ///
    /// # Panics
    /// If the input is not of the kind and shape that the spec names.
    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3>;

    /// Number of stages that [`run_stages`](Self::run_stages) can begin and end between: those of the
    /// spec, or 1 where the model runs only as a whole.
    fn stages(&self) -> usize {
        1
    }

    /// Runs these stages from the state before them to that after them. The first stage takes the
    /// input, the last gives the logits, and a whole run in pieces has the bits of a run in one. What
    /// an edit leaves as it was, need not be run again: a sweep over sites begins at their stages.
    ///
    /// # Panics
    /// If the model has no such stages, or the state is not what the first of them takes.
    fn run_stages(&self, stages: Range<usize>, state: State, hook: &mut dyn Hook) -> State {
        assert_eq!(stages, 0..1, "this model runs only as a whole");
        State::Sequence(self.run(&state.input(), hook))
    }

    /// Whether this stage treats every position by itself: of a state with fewer positions it gives what
    /// it gives of all, at these.
    fn is_by_position(&self, stage: usize) -> bool {
        let _ = stage;
        false
    }

    /// What a change of these channels of a site, `[batch, position, channel]`, adds to the state after
    /// the site's stage, where the state is linear in the site: what heads and MLPs write to a residual
    /// stream. Whoever knows it need not run the stage again. `None` where the state is not, or the model
    /// does not know.
    fn carried(&self, site: &str, channels: Range<usize>, change: Tensor<3>) -> Option<Tensor<3>> {
        let _ = (site, channels, change);
        None
    }

    /// What a part of the last residual stream `[batch, position, channel]` adds to the logits by itself,
    /// where the final norm, if there is one, divides by this scale `[batch, position, 1]`: logits
    /// without their terms. `None` where logits are not linear in the stream even then.
    fn direct(&self, part: Tensor<3>, scale: Option<&Tensor<3>>) -> Option<Tensor<3>> {
        let _ = (part, scale);
        None
    }

    /// Whether two passes over the same input may differ: a defence that draws random numbers.
    fn is_random(&self) -> bool {
        false
    }

    /// As [`run`](Self::run), with what is random drawn by these keys, one per example: equal keys
    /// give equal passes, whatever else is in the batch. A model that is not random ignores them.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    fn run_drawn(&self, input: &Input, keys: &[u64], hook: &mut dyn Hook) -> Tensor<3> {
        let _ = keys;
        self.run(input, hook)
    }

    /// A pass whose way back to the input the model knows itself, faster than by the graph, where it
    /// does.
    fn shortcut(&self, input: &Input) -> Option<Shortcut<'_>> {
        let _ = input;
        None
    }

    /// A batch whose logits are asked for again and again while only a window of it changes, where the
    /// model can do that in less than full passes.
    fn windowed(&self, input: &Input) -> Option<Box<dyn Windowed + '_>> {
        let _ = input;
        None
    }

    /// The linear maps between layers, one for each of [`Wiring::joints`](crate::Wiring::joints): what the
    /// edges of such a wiring carry. None where edges are those of a residual stream, or where there are no
    /// edges.
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    /// Of a site that single heads read or write, the narrower one that they do it through, where the
    /// model knows it.
    fn factor(&self, site: &str) -> Option<Factor> {
        let _ = site;
        None
    }

    /// Runs a batch with no hook.
    fn logits(&self, input: &Input) -> Tensor<3> {
        self.run(input, &mut Idle)
    }
}

/// What points at a model is that model.
macro_rules! forwarded {
    ($($pointer:ty),*) => { $(
        impl<M: Model + ?Sized> Model for $pointer {
            fn spec(&self) -> &ModelSpec {
                (**self).spec()
            }

            fn device(&self) -> Device {
                (**self).device()
            }

            fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
                (**self).run(input, hook)
            }

            fn stages(&self) -> usize {
                (**self).stages()
            }

            fn run_stages(&self, stages: Range<usize>, state: State, hook: &mut dyn Hook) -> State {
                (**self).run_stages(stages, state, hook)
            }

            fn is_by_position(&self, stage: usize) -> bool {
                (**self).is_by_position(stage)
            }

            fn carried(
                &self,
                site: &str,
                channels: Range<usize>,
                change: Tensor<3>,
            ) -> Option<Tensor<3>> {
                (**self).carried(site, channels, change)
            }

            fn direct(&self, part: Tensor<3>, scale: Option<&Tensor<3>>) -> Option<Tensor<3>> {
                (**self).direct(part, scale)
            }

            fn is_random(&self) -> bool {
                (**self).is_random()
            }

            fn run_drawn(&self, input: &Input, keys: &[u64], hook: &mut dyn Hook) -> Tensor<3> {
                (**self).run_drawn(input, keys, hook)
            }

            fn shortcut(&self, input: &Input) -> Option<Shortcut<'_>> {
                (**self).shortcut(input)
            }

            fn windowed(&self, input: &Input) -> Option<Box<dyn Windowed + '_>> {
                (**self).windowed(input)
            }

            fn links(&self) -> Vec<Link> {
                (**self).links()
            }

            fn factor(&self, site: &str) -> Option<Factor> {
                (**self).factor(site)
            }
        }
    )* };
}

forwarded!(&M, Box<M>, std::sync::Arc<M>);

/// The class of the largest logit at each position `[batch, position]`, on the host; the lowest
/// class wins a tie, and a NaN logit is never the largest.
///
/// Returned as rows of `position` classes per example.
pub fn predictions(logits: &Tensor<3>) -> Vec<Vec<usize>> {
    let [_, positions, classes] = logits.dims();
    let values = crate::host::floats(logits.clone());
    values
        .chunks(positions * classes)
        .map(|example| example.chunks(classes).map(argmax).collect())
        .collect()
}

fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, &value) in row.iter().enumerate() {
        if value > row[best] || (row[best].is_nan() && !value.is_nan()) {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::argmax;

    #[test]
    fn ties_go_to_the_lowest_class_and_nan_never_wins() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(&[f32::NAN, -1.0, 0.5]), 2);
        assert_eq!(argmax(&[f32::NAN, f32::NAN]), 0);
    }
}
