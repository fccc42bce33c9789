//! A network that speaks through a dictionary.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{Hook, Input, Model, ModelError, ModelSpec, Site, State};
use serde::{Deserialize, Serialize};

use crate::dictionary::{Dictionary, samples};

/// A site of a network whose activation becomes what a dictionary makes of it.
#[derive(Clone)]
pub struct Splice {
    /// The dictionary.
    pub dictionary: Arc<dyn Dictionary>,
    /// The site that is read.
    pub site: String,
    /// The site that is written, where that is another one: a transcoder's.
    pub writes: Option<String>,
    /// What becomes of what the dictionary misses.
    pub error: ErrorTerm,
    /// What is done to its codes.
    pub edits: Vec<LatentEdit>,
}

/// What becomes of the difference between an activation and its reconstruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorTerm {
    /// It stays: only edits change anything, and where nothing is edited not a bit.
    #[default]
    Kept,
    /// It stays in value and is a constant to gradients, which pass through latents alone.
    Constant,
    /// It is gone: the network goes on with what the dictionary wrote.
    Dropped,
}

/// A change of some latents at some positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentEdit {
    /// The latents, counted from 0; all of them if `None`.
    #[serde(default)]
    pub latents: Option<Vec<usize>>,
    /// Positions of the site; all of them if `None`.
    #[serde(default)]
    pub positions: Option<Range<usize>>,
    /// What they become.
    pub change: LatentChange,
}

/// What a latent becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LatentChange {
    /// This value; 0 ablates.
    Set {
        /// The value.
        value: f32,
    },
    /// Values of their own, one for each latent that the edit names: means, for instance.
    Become {
        /// The values.
        values: Vec<f32>,
    },
    /// Its own value and so much more: steering.
    Add {
        /// How much.
        value: f32,
    },
    /// Its own value times this.
    Scale {
        /// The factor.
        factor: f32,
    },
}

impl LatentEdit {
    /// Ablates latents everywhere.
    pub fn ablate(latents: Vec<usize>) -> Self {
        Self {
            latents: Some(latents),
            positions: None,
            change: LatentChange::Set { value: 0.0 },
        }
    }

    /// Codes `[batch, position, latent]` after the change.
    fn apply(&self, codes: Tensor<3>) -> Tensor<3> {
        let [_, positions, latents] = codes.dims();
        let mut mask = vec![0.0f32; positions * latents];
        for position in self.positions.clone().unwrap_or(0..positions) {
            let row = &mut mask[position * latents..(position + 1) * latents];
            match &self.latents {
                None => row.fill(1.0),
                Some(some) => {
                    for &latent in some {
                        row[latent] = 1.0;
                    }
                }
            }
        }
        let mask = TensorData::new(mask, [1, positions, latents]);
        let mask = Tensor::<3>::from_data(mask, &codes.device().inner());
        match &self.change {
            LatentChange::Set { value } => codes * (-mask.clone() + 1.0) + mask * *value,
            LatentChange::Become { values } => {
                let mut row = vec![0.0; latents];
                match &self.latents {
                    None => row.copy_from_slice(values),
                    Some(some) => {
                        for (&latent, &value) in some.iter().zip(values) {
                            row[latent] = value;
                        }
                    }
                }
                let row = TensorData::new(row, [1, 1, latents]);
                let row = Tensor::<3>::from_data(row, &mask.device());
                codes * (-mask.clone() + 1.0) + mask * row
            }
            LatentChange::Add { value } => codes + mask * *value,
            LatentChange::Scale { factor } => codes * (mask * (*factor - 1.0) + 1.0),
        }
    }
}

impl Splice {
    /// The reconstruction of a site, without what it misses and without edits.
    pub fn new(dictionary: Arc<dyn Dictionary>, site: impl Into<String>, error: ErrorTerm) -> Self {
        Self {
            dictionary,
            site: site.into(),
            writes: None,
            error,
            edits: Vec::new(),
        }
    }

    /// The same of a transcoder that writes this site.
    pub fn writing(mut self, site: impl Into<String>) -> Self {
        self.writes = Some(site.into());
        self
    }

    /// The same with one more edit.
    pub fn edited(mut self, edit: LatentEdit) -> Self {
        self.edits.push(edit);
        self
    }

    /// Where it writes.
    fn written(&self) -> &str {
        self.writes.as_deref().unwrap_or(&self.site)
    }

    /// Checks sites, widths, latents and positions against a model.
    ///
    /// # Errors
    /// [`ModelError::UnknownSite`] or [`ModelError::Unfit`].
    pub fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        let (read, written) = (spec.site(&self.site)?, spec.site(self.written())?);
        let widths = [self.dictionary.d_in(), self.dictionary.d_out()];
        for (site, width) in [read, written].into_iter().zip(widths) {
            if site.channels != width {
                return Err(ModelError::Unfit(format!(
                    "a dictionary of {width} channels at `{}`, which has {}",
                    site.name, site.channels
                )));
            }
        }
        let place = |name: &str| spec.sites.iter().position(|site| site.name == name);
        if self.writes.is_some()
            && (place(&read.name) >= place(&written.name) || read.positions != written.positions)
        {
            return Err(ModelError::Unfit(format!(
                "a transcoder from `{}` to `{}`: what is written comes after what is read, with as many positions",
                read.name, written.name
            )));
        }
        let latents = self.dictionary.d_sae();
        for edit in &self.edits {
            let mut named = edit.latents.iter().flatten();
            if let Some(latent) = named.find(|&&latent| latent >= latents) {
                return Err(ModelError::Unfit(format!(
                    "latent {latent} does not exist: the dictionary has {latents}, counted from 0"
                )));
            }
            if let LatentChange::Become { values } = &edit.change {
                let wanted = edit.latents.as_ref().map_or(latents, Vec::len);
                if values.len() != wanted {
                    return Err(ModelError::Unfit(format!(
                        "{} values for {wanted} latents",
                        values.len()
                    )));
                }
            }
            if let Some(range) = &edit.positions
                && (range.is_empty() || range.end > read.positions)
            {
                return Err(ModelError::Unfit(format!(
                    "positions {}..{} of `{}`: it has {}, and a range must not be empty",
                    range.start, range.end, read.name, read.positions
                )));
            }
        }
        Ok(())
    }

    /// What the written site becomes, given what was read, `[batch, position, channel]` both.
    fn apply(&self, read: &Tensor<3>, written: Tensor<3>) -> Tensor<3> {
        let dictionary = &self.dictionary;
        let [batch, positions, channels] = written.dims();
        let x = samples(read.clone());
        let codes = dictionary.encode(x.clone());
        let latents = codes.dims()[1];
        let edited = self.edits.iter().fold(
            codes.clone().reshape([batch, positions, latents]),
            |codes, edit| edit.apply(codes),
        );
        let decode = |codes: Tensor<2>| {
            let made = dictionary.decode_at(codes, &x);
            made.reshape([batch, positions, channels])
        };
        match self.error {
            ErrorTerm::Dropped => decode(samples(edited)),
            // The difference first, so that no edit is exactly none.
            ErrorTerm::Kept if self.edits.is_empty() => written,
            ErrorTerm::Kept => written + (decode(samples(edited)) - decode(codes)),
            ErrorTerm::Constant => {
                let missed = (written - decode(codes)).detach();
                decode(samples(edited)) + missed
            }
        }
    }
}

/// A model with dictionaries in it, which is again a model: it is attacked, patched and evaluated like any other. Hooks see
/// what the dictionaries wrote.
#[derive(Clone)]
pub struct Spliced<M> {
    model: M,
    splices: Vec<Splice>,
}

impl<M: Model> Spliced<M> {
    /// The model with these splices, which are done in the order of their sites.
    ///
    /// # Errors
    /// Those of [`Splice::fits`], and [`ModelError::Unfit`] if two write one site.
    pub fn new(model: M, splices: Vec<Splice>) -> Result<Self, ModelError> {
        for (at, splice) in splices.iter().enumerate() {
            splice.fits(model.spec())?;
            let mut others = splices[..at].iter();
            if others.any(|other| other.written() == splice.written()) {
                return Err(ModelError::Unfit(format!(
                    "two dictionaries write `{}`",
                    splice.written()
                )));
            }
        }
        Ok(Self { model, splices })
    }

    /// The splices.
    pub fn splices(&self) -> &[Splice] {
        &self.splices
    }

    fn hook<'a>(&'a self, hook: &'a mut dyn Hook) -> Speaking<'a> {
        Speaking {
            splices: &self.splices,
            read: vec![None; self.splices.len()],
            hook,
        }
    }

    fn is_in_stage(&self, stage: usize) -> bool {
        let sites = &self.model.spec().sites;
        let mut there = sites.iter().filter(|site| site.stage == stage);
        there.any(|site| {
            let touches =
                |splice: &Splice| splice.site == site.name || splice.written() == site.name;
            self.splices.iter().any(touches)
        })
    }
}

impl<M: Model> Model for Spliced<M> {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        self.model.run(input, &mut self.hook(hook))
    }

    /// As a whole where a transcoder has to remember what it read.
    fn stages(&self) -> usize {
        let remembers = self.splices.iter().any(|splice| splice.writes.is_some());
        if remembers { 1 } else { self.model.stages() }
    }

    fn run_stages(&self, stages: Range<usize>, state: State, hook: &mut dyn Hook) -> State {
        if self.stages() == 1 {
            assert_eq!(stages, 0..1, "this model runs only as a whole");
            return State::Sequence(self.run(&state.input(), hook));
        }
        self.model.run_stages(stages, state, &mut self.hook(hook))
    }

    fn is_by_position(&self, stage: usize) -> bool {
        self.stages() > 1 && !self.is_in_stage(stage) && self.model.is_by_position(stage)
    }

    fn is_random(&self) -> bool {
        self.model.is_random()
    }

    fn run_drawn(&self, input: &Input, keys: &[u64], hook: &mut dyn Hook) -> Tensor<3> {
        self.model.run_drawn(input, keys, &mut self.hook(hook))
    }
}

/// Reads and writes for dictionaries, then lets another hook see.
struct Speaking<'a> {
    splices: &'a [Splice],
    /// What each has read in this run.
    read: Vec<Option<Tensor<3>>>,
    hook: &'a mut dyn Hook,
}

impl Hook for Speaking<'_> {
    fn wants(&self, site: &Site) -> bool {
        let touches = |splice: &Splice| splice.site == site.name || splice.written() == site.name;
        self.splices.iter().any(touches) || self.hook.wants(site)
    }

    fn only_reads(&self, site: &Site) -> bool {
        let writes = |splice: &Splice| splice.written() == site.name;
        !self.splices.iter().any(writes) && (!self.hook.wants(site) || self.hook.only_reads(site))
    }

    fn at(&mut self, site: &Site, activation: Tensor<3>) -> Tensor<3> {
        let mut activation = activation;
        for (splice, read) in self.splices.iter().zip(&mut self.read) {
            if splice.written() == site.name {
                let seen = read.take().unwrap_or_else(|| activation.clone());
                activation = splice.apply(&seen, activation);
            }
        }
        let activation = if self.hook.wants(site) {
            self.hook.at(site, activation)
        } else {
            activation
        };
        for (splice, read) in self.splices.iter().zip(&mut self.read) {
            if splice.writes.is_some() && splice.site == site.name {
                *read = Some(activation.clone());
            }
        }
        activation
    }
}

#[cfg(test)]
mod tests;
