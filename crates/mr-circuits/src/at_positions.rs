//! A network that is asked at some of its positions alone.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use mr_models::{Hook, Input, Link, Model, ModelSpec, State};

use crate::error::CircuitError;

/// Positions of a batch that count, by example or the same ones for all.
#[derive(Debug, Clone)]
pub struct Asked {
    /// 1 where a position counts, else 0: `[batch, position, 1]`, or `[1, position, 1]` for every example.
    mask: Tensor<3>,
}

impl Asked {
    /// Every position of every example, however many there are.
    pub fn all(device: &Device) -> Self {
        Self {
            mask: Tensor::ones([1, 1, 1], device),
        }
    }

    /// The same positions of every example, counted from 0, of so many.
    ///
    /// # Errors
    /// [`CircuitError::Asked`] for one that is none, or without any.
    pub fn at(of: usize, positions: &[usize], device: &Device) -> Result<Self, CircuitError> {
        Self::of(of, &[|at: usize| positions.contains(&at)], device).and_then(|asked| {
            match positions.iter().find(|&&at| at >= of) {
                Some(at) => Err(CircuitError::Asked(format!(
                    "position {at}: there are {of}, counted from 0"
                ))),
                None => Ok(asked),
            }
        })
    }

    /// The last position of so many.
    ///
    /// # Errors
    /// [`CircuitError::Asked`] if there is none.
    pub fn last(of: usize, device: &Device) -> Result<Self, CircuitError> {
        Self::of(of, &[|at| at + 1 == of], device)
    }

    /// By example every position of so many from this one on, such as the first whose next token can be known.
    ///
    /// # Errors
    /// [`CircuitError::Asked`] for an example of which none is left.
    pub fn from(of: usize, first: &[usize], device: &Device) -> Result<Self, CircuitError> {
        let tests: Vec<_> = first.iter().map(|&first| move |at| at >= first).collect();
        Self::of(of, &tests, device)
    }

    /// By example what counts.
    fn of(
        positions: usize,
        counts: &[impl Fn(usize) -> bool],
        device: &Device,
    ) -> Result<Self, CircuitError> {
        let rows = counts.iter().map(|counts| {
            let row = (0..positions).map(|at| f32::from(u8::from(counts(at))));
            row.collect::<Vec<f32>>()
        });
        let rows: Vec<Vec<f32>> = rows.collect();
        if let Some(at) = rows.iter().position(|row| !row.contains(&1.0)) {
            return Err(CircuitError::Asked(format!(
                "example {at}: none of its {positions} positions is asked"
            )));
        }
        let data = TensorData::new(rows.concat(), [counts.len(), positions, 1]);
        Ok(Self {
            mask: Tensor::from_data(data, device),
        })
    }

    /// Whether they are other ones for each example.
    pub fn is_by_example(&self) -> bool {
        self.mask.dims()[0] > 1
    }

    /// Those of some examples.
    ///
    /// # Panics
    /// If there is no such example.
    #[must_use]
    pub fn select(&self, examples: Tensor<1, Int>) -> Self {
        let mask = match self.mask.dims()[0] {
            1 => self.mask.clone(),
            _ => self.mask.clone().select(0, examples),
        };
        Self { mask }
    }
}

/// A network whose logits are 0 at every position that is not asked, so that they tell nothing there: two of
/// its runs diverge where it is asked alone. A language model guesses at most positions, and every edge is needed
/// to guess just as it does: over all of them [`acdc`](crate::acdc) and [`learned_masks`](crate::learned_masks)
/// look for a circuit of these guesses too.
#[derive(Debug, Clone)]
pub struct AtPositions<M> {
    model: M,
    asked: Asked,
}

impl<M> AtPositions<M> {
    /// A network, and where it is asked: of the batch that it will be run on.
    pub fn new(model: M, asked: Asked) -> Self {
        Self { model, asked }
    }

    fn only(&self, logits: Tensor<3>) -> Tensor<3> {
        logits * self.asked.mask.clone()
    }
}

impl<M: Model> Model for AtPositions<M> {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    /// # Panics
    /// As the model's own; and for another number of examples or positions than is asked of.
    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        self.only(self.model.run(input, hook))
    }

    fn stages(&self) -> usize {
        self.model.stages()
    }

    fn run_stages(&self, stages: Range<usize>, state: State, hook: &mut dyn Hook) -> State {
        let is_end = stages.end == self.stages() && !stages.is_empty();
        match self.model.run_stages(stages, state, hook) {
            State::Sequence(logits) if is_end => State::Sequence(self.only(logits)),
            state => state,
        }
    }

    fn is_by_position(&self, stage: usize) -> bool {
        // The last stage asks which position it is at.
        stage + 1 < self.stages() && self.model.is_by_position(stage)
    }

    fn is_random(&self) -> bool {
        self.model.is_random()
    }

    fn run_drawn(&self, input: &Input, keys: &[u64], hook: &mut dyn Hook) -> Tensor<3> {
        self.only(self.model.run_drawn(input, keys, hook))
    }

    fn links(&self) -> Vec<Link> {
        self.model.links()
    }
}

#[cfg(test)]
mod tests {
    use mr_models::objective::kl_divergence;
    use mr_models::{Idle, NormKind, floats};

    use super::*;
    use crate::attribution::tests::{net, pair};
    use crate::{Ablation, acdc};

    #[test]
    fn what_is_asked_is_what_it_was_and_nothing_else_is_told() {
        let (net, input) = (net(NormKind::Layer), pair().clean().clone());
        let device = net.device();
        let whole = net.logits(&input);
        let [batch, positions, _] = whole.dims();
        let counts = |asked: Asked, at: &dyn Fn(usize, usize) -> bool| {
            let model = AtPositions::new(&net, asked);
            let found = model.logits(&input);
            for example in 0..batch {
                for position in 0..positions {
                    let part = |all: &Tensor<3>| {
                        let row = all.clone().narrow(0, example, 1);
                        floats(row.narrow(1, position, 1))
                    };
                    let (found, whole) = (part(&found), part(&whole));
                    if at(example, position) {
                        assert_eq!(found, whole);
                    } else {
                        assert!(found.iter().all(|&logit| logit == 0.0));
                    }
                }
            }
            let begun = model.run_stages(0..1, State::Input(input.clone()), &mut Idle);
            let ended = model.run_stages(1..model.stages(), begun, &mut Idle);
            assert_eq!(floats(ended.logits()), floats(found));
        };
        counts(Asked::all(&device), &|_, _| true);
        let last = Asked::last(positions, &device).unwrap();
        counts(last.clone(), &|_, position| position + 1 == positions);
        let some = Asked::at(positions, &[1, 3], &device).unwrap();
        counts(some, &|_, position| [1, 3].contains(&position));
        let from = Asked::from(positions, &[4, 2], &device).unwrap();
        counts(from.clone(), &|example, position| {
            position >= [4, 2][example]
        });
        let second = from.select(Tensor::from_data([1_i64], &device));
        assert_eq!(floats(second.mask), [0., 0., 1., 1., 1., 1.]);

        // The divergence of all positions is the sum over the parts that are asked.
        let corrupt = pair().corrupt().clone();
        let far = |asked: Asked| {
            let model = AtPositions::new(&net, asked);
            floats(kl_divergence(
                &model.logits(&input),
                &model.logits(&corrupt),
            ))
        };
        let parts = [
            far(last),
            far(Asked::at(positions, &[0, 1, 2, 3, 4], &device).unwrap()),
        ];
        let all = floats(kl_divergence(&whole, &net.logits(&corrupt)));
        for (example, all) in all.into_iter().enumerate() {
            let sum = parts[0][example] + parts[1][example];
            assert!((sum - all).abs() < 1e-5 * all, "{sum} of {all}");
        }
    }

    #[test]
    fn positions_that_are_none_are_named() {
        let device = Device::flex();
        for (asked, names) in [
            (Asked::at(6, &[2, 6], &device), "position 6: there are 6"),
            (Asked::at(6, &[], &device), "none of its 6 positions"),
            (Asked::from(6, &[0, 6], &device), "example 1"),
            (Asked::last(0, &device), "none of its 0"),
        ] {
            let error = asked.unwrap_err().to_string();
            assert!(error.contains(names), "{error}");
        }
    }

    /// Edges that count elsewhere go, and what is left says at the last position what the network says.
    #[test]
    fn a_circuit_of_the_last_position_is_smaller() {
        let (net, pair) = (net(NormKind::Layer), pair());
        let corrupt = Ablation::Resample(pair.corrupt().clone());
        let quiet = &mut |_, _| {};
        let all = acdc(&net, &pair, &corrupt, 1e-4, None, quiet)
            .unwrap()
            .len();
        let asked = Asked::last(6, &net.device()).unwrap();
        let at_last = AtPositions::new(&net, asked);
        let last = acdc(at_last, &pair, &corrupt, 1e-4, None, quiet).unwrap();
        assert!(
            !last.is_empty() && last.len() < all,
            "{} of {all}",
            last.len()
        );
    }
}
