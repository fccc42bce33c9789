//! One backward pass for gradients anywhere.

use std::collections::BTreeMap;

use burn::tensor::{Gradients, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::hook::{Cache, Hook};
use crate::input::{Input, Labels};
use crate::model::Model;
use crate::objective::Objective;
use crate::shortcut::Shortcut;
use crate::site::{ModelSpec, Site};

/// Where a gradient is taken or a perturbation lives: the input, or a site by name. In files and
/// on the command line `input` or the site's name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Place {
    /// The model's input.
    #[default]
    Input,
    /// A site.
    Site(String),
}

impl Place {
    /// The site of this name.
    pub fn site(name: impl Into<String>) -> Self {
        Self::Site(name.into())
    }

    /// Checks that the model has such a place.
    ///
    /// # Errors
    /// [`ModelError::UnknownSite`] with near matches.
    pub fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        match self {
            Self::Input => Ok(()),
            Self::Site(name) => spec.site(name).map(|_| ()),
        }
    }
}

impl From<String> for Place {
    fn from(name: String) -> Self {
        if name == "input" {
            Self::Input
        } else {
            Self::Site(name)
        }
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        match place {
            Place::Input => "input".into(),
            Place::Site(name) => name,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input => f.write_str("input"),
            Self::Site(name) => f.write_str(name),
        }
    }
}

/// Something added to a site's activation, with respect to which a gradient is taken.
#[derive(Debug, Clone)]
pub struct Tap {
    /// The site's name.
    pub site: String,
    /// What is added, `[batch, position, channel]`; `None` for zero.
    pub added: Option<Tensor<3>>,
}

/// An objective's values and their gradients. All tensors are plain: off the graph.
#[derive(Debug, Clone)]
pub struct ValueAndGrad {
    /// The objective of each example `[batch]`.
    pub values: Tensor<1>,
    /// Logits `[batch, position, class]`.
    pub logits: Tensor<3>,
    input: Option<Tensor<4>>,
    sites: BTreeMap<String, Tensor<3>>,
}

impl ValueAndGrad {
    /// The gradient of the summed objective at the input `[batch, channel, height, width]`.
    ///
    /// # Panics
    /// If it was not asked for.
    pub fn input(&self) -> &Tensor<4> {
        self.input.as_ref().expect("the input was a place")
    }

    /// The gradient of the summed objective at a site `[batch, position, channel]`.
    ///
    /// # Panics
    /// If it was not asked for.
    pub fn site(&self, name: &str) -> &Tensor<3> {
        &self.sites[name]
    }
}

/// The objective of each example, and the gradient of their sum at each of `places`, in one forward
/// and one backward pass. As examples do not see each other, row i of a gradient is that of example
/// i's objective.
///
/// # Errors
/// [`ModelError::UnknownSite`] or [`ModelError::Unfit`] if a place or the objective asks for what
/// the model or the labels do not have.
pub fn value_and_grad(
    model: &dyn Model,
    input: &Input,
    labels: &Labels,
    objective: &dyn Objective,
    places: &[Place],
) -> Result<ValueAndGrad, ModelError> {
    let taps: Vec<Tap> = places
        .iter()
        .filter_map(|place| match place {
            Place::Input => None,
            Place::Site(site) => Some(Tap {
                site: site.clone(),
                added: None,
            }),
        })
        .collect();
    let at_input = places.contains(&Place::Input);
    value_and_grad_at(model, input, labels, objective, at_input, &taps)
}

/// An objective's values and the logits, by a forward pass alone. `added` may hold something that is
/// added at sites first.
///
/// # Errors
/// Those of [`value_and_grad`].
pub fn values_at(
    model: &dyn Model,
    input: &Input,
    labels: &Labels,
    objective: &dyn Objective,
    added: &[Tap],
) -> Result<(Tensor<1>, Tensor<3>), ModelError> {
    let spec = model.spec();
    objective.fits(spec)?;
    if added.is_empty()
        && objective.sites().is_empty()
        && let Some(shortcut) = model.shortcut(input)
    {
        let logits = shortcut.logits.inner();
        let values = judged(objective, &logits, &Cache::default(), labels)?;
        return Ok((values, logits));
    }
    let mut hook = Adding {
        added,
        cache: Cache::of(spec, &objective.sites())?,
    };
    let logits = model.run(input, &mut hook);
    Ok((judged(objective, &logits, &hook.cache, labels)?, logits))
}

/// The objective of each example, where the labels hold what it needs.
fn judged(
    objective: &dyn Objective,
    logits: &Tensor<3>,
    cache: &Cache,
    labels: &Labels,
) -> Result<Tensor<1>, ModelError> {
    objective.judges(labels, logits.dims())?;
    Ok(objective.value(logits, cache, labels))
}

/// Adds what is to be added, and records what the objective reads.
struct Adding<'a> {
    added: &'a [Tap],
    cache: Cache,
}

impl Hook for Adding<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.added.iter().any(|tap| tap.site == site.name) || self.cache.is_wanted(site)
    }

    fn only_reads(&self, site: &Site) -> bool {
        self.added.iter().all(|tap| tap.site != site.name)
    }

    fn at(&mut self, site: &Site, mut activation: Tensor<3>) -> Tensor<3> {
        for tap in self.added.iter().filter(|tap| tap.site == site.name) {
            if let Some(added) = &tap.added {
                activation = activation + added.clone();
            }
        }
        if self.cache.is_wanted(site) {
            self.cache.record(site, &activation);
        }
        activation
    }
}

/// As [`value_and_grad`], with something added at sites before the gradient is taken there: latent
/// attacks climb from a non-zero perturbation.
///
/// # Errors
/// Those of [`value_and_grad`].
pub fn value_and_grad_at(
    model: &dyn Model,
    input: &Input,
    labels: &Labels,
    objective: &dyn Objective,
    at_input: bool,
    taps: &[Tap],
) -> Result<ValueAndGrad, ModelError> {
    let read: &[&str] = &[];
    let found = value_and_grad_reading(model, input, labels, objective, at_input, taps, read)?;
    Ok(found.0)
}

/// As [`value_and_grad_at`], with the activations at the sites `read` of the same pass, off the graph.
///
/// # Errors
/// Those of [`value_and_grad`].
pub fn value_and_grad_reading<S: AsRef<str>>(
    model: &dyn Model,
    input: &Input,
    labels: &Labels,
    objective: &dyn Objective,
    at_input: bool,
    taps: &[Tap],
    read: &[S],
) -> Result<(ValueAndGrad, Cache), ModelError> {
    let spec = model.spec();
    objective.fits(spec)?;
    for tap in taps {
        spec.site(&tap.site)?;
    }
    if at_input
        && taps.is_empty()
        && read.is_empty()
        && objective.sites().is_empty()
        && let Some(shortcut) = model.shortcut(input)
    {
        let found = by_shortcut(shortcut, labels, objective)?;
        return Ok((found, Cache::default()));
    }
    let (leaf, tracked) = match input {
        Input::Real(values) if at_input => {
            let leaf = values.clone().autodiff().require_grad();
            (Some(leaf.clone()), Input::Real(leaf))
        }
        Input::Tokens(_) if at_input => {
            return Err(ModelError::Unfit(
                "tokens have no gradient: name the embedding's site instead of the input".into(),
            ));
        }
        Input::Real(_) | Input::Tokens(_) => (None, input.clone()),
    };
    let mut hook = Tapping {
        taps,
        leaves: BTreeMap::new(),
        cache: Cache::of(spec, &objective.sites())?,
        read: Cache::of(spec, read)?,
    };
    let logits = model.run(&tracked, &mut hook);
    let values = judged(objective, &logits, &hook.cache, labels)?;
    let plain_values = off_graph(values.clone());
    // An edit may have cut every place off: then nothing depends on them, and gradients are 0.
    let mut gradients = values.is_tracked().then(|| values.sum().backward());
    let input = leaf.map(|leaf| gradient_of(&leaf, gradients.as_mut()));
    let sites = hook
        .leaves
        .into_iter()
        .map(|(name, leaf)| (name, gradient_of(&leaf, gradients.as_mut())))
        .collect();
    let found = ValueAndGrad {
        values: plain_values,
        logits: off_graph(logits),
        input,
        sites,
    };
    Ok((found, hook.read))
}

/// Of logits alone, by the model's own way back.
fn by_shortcut(
    shortcut: Shortcut<'_>,
    labels: &Labels,
    objective: &dyn Objective,
) -> Result<ValueAndGrad, ModelError> {
    let Shortcut { logits, leaf, back } = shortcut;
    let values = judged(objective, &logits, &Cache::default(), labels)?;
    let plain_values = off_graph(values.clone());
    let mut gradients = values.is_tracked().then(|| values.sum().backward());
    let input = back(gradient_of(&leaf, gradients.as_mut()));
    Ok(ValueAndGrad {
        values: plain_values,
        logits: off_graph(logits),
        input: Some(input),
        sites: BTreeMap::new(),
    })
}

fn gradient_of<const D: usize>(leaf: &Tensor<D>, gradients: Option<&mut Gradients>) -> Tensor<D> {
    gradients
        .and_then(|gradients| leaf.grad_remove(gradients))
        .unwrap_or_else(|| off_graph(leaf.zeros_like()))
}

fn off_graph<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.is_autodiff() {
        tensor.inner()
    } else {
        tensor
    }
}

/// Adds a leaf at each tapped site, and records what the objective reads.
struct Tapping<'a> {
    taps: &'a [Tap],
    leaves: BTreeMap<String, Tensor<3>>,
    cache: Cache,
    /// What is read besides.
    read: Cache,
}

impl Hook for Tapping<'_> {
    fn wants(&self, site: &Site) -> bool {
        let is_tapped = self.taps.iter().any(|tap| tap.site == site.name);
        is_tapped || self.cache.is_wanted(site) || self.read.is_wanted(site)
    }

    fn only_reads(&self, site: &Site) -> bool {
        self.taps.iter().all(|tap| tap.site != site.name)
    }

    fn at(&mut self, site: &Site, mut activation: Tensor<3>) -> Tensor<3> {
        if let Some(tap) = self.taps.iter().find(|tap| tap.site == site.name) {
            // A smoothed network passes a site once for each copy: all add the same leaf.
            let leaf = self.leaves.entry(site.name.clone()).or_insert_with(|| {
                let added = tap.added.clone();
                let added = added.unwrap_or_else(|| off_graph(activation.zeros_like()));
                added.autodiff().require_grad()
            });
            let leaf = leaf.clone();
            activation = if activation.is_autodiff() {
                activation + leaf
            } else {
                activation.autodiff() + leaf
            };
        }
        if self.read.is_wanted(site) {
            self.read.record(site, &off_graph(activation.clone()));
        }
        if self.cache.is_wanted(site) {
            self.cache.record(site, &activation);
        }
        activation
    }
}
