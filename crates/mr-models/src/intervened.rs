//! A network with edits, which is again a network.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use crate::edit::Edit;
use crate::error::ModelError;
use crate::hook::Hook;
use crate::input::Input;
use crate::link::Link;
use crate::model::Model;
use crate::site::{ModelSpec, Site};
use crate::state::State;

/// A model whose sites are rewritten by edits, in their order, before any hook sees them. An attack
/// on it is an attack through the edits.
#[derive(Debug, Clone)]
pub struct Intervened<M> {
    model: M,
    edits: Vec<Edit>,
}

impl<M: Model> Intervened<M> {
    /// The model with these edits.
    ///
    /// # Errors
    /// Those of [`Edit::fits`].
    pub fn new(model: M, edits: Vec<Edit>) -> Result<Self, ModelError> {
        for edit in &edits {
            edit.fits(model.spec())?;
        }
        Ok(Self { model, edits })
    }

    /// Whether an edit is in the stage of this number.
    fn edits_stage(&self, stage: usize) -> bool {
        let sites = &self.model.spec().sites;
        let mut there = sites.iter().filter(|site| site.stage == stage);
        there.any(|site| self.edits.iter().any(|edit| edit.site == site.name))
    }

    /// The edits.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }
}

impl<M: Model> Model for Intervened<M> {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        let mut edited = Edited {
            edits: &self.edits,
            hook,
        };
        self.model.run(input, &mut edited)
    }

    fn stages(&self) -> usize {
        self.model.stages()
    }

    fn run_stages(&self, stages: Range<usize>, state: State, hook: &mut dyn Hook) -> State {
        let mut edited = Edited {
            edits: &self.edits,
            hook,
        };
        self.model.run_stages(stages, state, &mut edited)
    }

    fn is_by_position(&self, stage: usize) -> bool {
        !self.edits_stage(stage) && self.model.is_by_position(stage)
    }

    fn carried(&self, site: &str, channels: Range<usize>, change: Tensor<3>) -> Option<Tensor<3>> {
        let at = self.model.spec().site(site).ok()?;
        if self.edits_stage(at.stage) {
            return None;
        }
        self.model.carried(site, channels, change)
    }

    fn direct(&self, part: Tensor<3>, scale: Option<&Tensor<3>>) -> Option<Tensor<3>> {
        let last = self.model.spec().stages() - 1;
        let linear = !self.edits_stage(last);
        linear.then(|| self.model.direct(part, scale)).flatten()
    }

    fn is_random(&self) -> bool {
        self.model.is_random()
    }

    fn run_drawn(&self, input: &Input, keys: &[u64], hook: &mut dyn Hook) -> Tensor<3> {
        let mut edited = Edited {
            edits: &self.edits,
            hook,
        };
        self.model.run_drawn(input, keys, &mut edited)
    }

    fn links(&self) -> Vec<Link> {
        self.model.links()
    }
}

struct Edited<'a> {
    edits: &'a [Edit],
    hook: &'a mut dyn Hook,
}

impl Hook for Edited<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.edits.iter().any(|edit| edit.site == site.name) || self.hook.wants(site)
    }

    fn only_reads(&self, site: &Site) -> bool {
        self.edits.iter().all(|edit| edit.site != site.name) && self.hook.only_reads(site)
    }

    fn at(&mut self, site: &Site, activation: Tensor<3>) -> Tensor<3> {
        let edited = self
            .edits
            .iter()
            .filter(|edit| edit.site == site.name)
            .fold(activation, |activation, edit| edit.apply(activation));
        if self.hook.wants(site) {
            self.hook.at(site, edited)
        } else {
            edited
        }
    }
}
