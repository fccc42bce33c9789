//! A model for sequences of one length.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use crate::error::ModelError;
use crate::hook::Hook;
use crate::input::Input;
use crate::model::Model;
use crate::site::ModelSpec;
use crate::state::State;

/// A model that says the sizes which its sites have for sequences of one length, instead of those for
/// the longest: what edits and regions are checked against. It runs as before.
#[derive(Debug, Clone)]
pub struct OfLength<M> {
    model: M,
    spec: ModelSpec,
}

impl<M: Model> OfLength<M> {
    /// The model for sequences of so many positions.
    ///
    /// # Errors
    /// Those of [`ModelSpec::of_length`].
    pub fn new(model: M, positions: usize) -> Result<Self, ModelError> {
        let spec = model.spec().of_length(positions)?;
        Ok(Self { model, spec })
    }
}

impl<M: Model> Model for OfLength<M> {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        self.model.run(input, hook)
    }

    fn stages(&self) -> usize {
        self.model.stages()
    }

    fn run_stages(&self, stages: Range<usize>, state: State, hook: &mut dyn Hook) -> State {
        self.model.run_stages(stages, state, hook)
    }

    fn is_by_position(&self, stage: usize) -> bool {
        self.model.is_by_position(stage)
    }

    fn carried(&self, site: &str, channels: Range<usize>, change: Tensor<3>) -> Option<Tensor<3>> {
        self.model.carried(site, channels, change)
    }

    fn direct(&self, part: Tensor<3>, scale: Option<&Tensor<3>>) -> Option<Tensor<3>> {
        self.model.direct(part, scale)
    }

    fn is_random(&self) -> bool {
        self.model.is_random()
    }

    fn run_drawn(&self, input: &Input, keys: &[u64], hook: &mut dyn Hook) -> Tensor<3> {
        self.model.run_drawn(input, keys, hook)
    }
}
