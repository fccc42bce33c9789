//! One interface to read and rewrite what passes through a network.

use std::collections::{BTreeMap, HashSet};

use burn::tensor::Tensor;

use crate::error::ModelError;
use crate::input::Input;
use crate::model::Model;
use crate::site::{ModelSpec, Site};

/// Sees activations on their way through a network, and may replace them.
pub trait Hook {
    /// Whether [`at`](Self::at) is to be called there. An unwanted site costs one such call and
    /// nothing else: no copy, no reshape.
    fn wants(&self, site: &Site) -> bool;

    /// Whether [`at`](Self::at) gives back what it took, at a site that it wants. Then what it gives
    /// back is not looked at, and the network goes on as if nobody had been there.
    fn only_reads(&self, site: &Site) -> bool {
        let _ = site;
        false
    }

    /// Takes the activation `[batch, position, channel]` and gives what the network goes on with.
    fn at(&mut self, site: &Site, activation: Tensor<3>) -> Tensor<3>;
}

/// The hook that wants nothing: a plain forward pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Idle;

impl Hook for Idle {
    fn wants(&self, _site: &Site) -> bool {
        false
    }

    fn at(&mut self, _site: &Site, activation: Tensor<3>) -> Tensor<3> {
        activation
    }
}

/// Activations by site name, each `[batch, position, channel]`. As a [`Hook`] it records the sites
/// that it was made for.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    wanted: HashSet<String>,
    activations: BTreeMap<String, Tensor<3>>,
}

impl Cache {
    /// A cache that records these sites.
    ///
    /// # Errors
    /// [`ModelError::UnknownSite`] if the model has no such site.
    pub fn of<S: AsRef<str>>(spec: &ModelSpec, sites: &[S]) -> Result<Self, ModelError> {
        let mut wanted = HashSet::with_capacity(sites.len());
        for site in sites {
            wanted.insert(spec.site(site.as_ref())?.name.clone());
        }
        Ok(Self {
            wanted,
            activations: BTreeMap::new(),
        })
    }

    /// A cache that records every site but those that are computed on demand.
    pub fn of_all(spec: &ModelSpec) -> Self {
        let sites = spec.sites.iter().filter(|site| !site.on_demand);
        Self {
            wanted: sites.map(|site| site.name.clone()).collect(),
            activations: BTreeMap::new(),
        }
    }

    /// The activation recorded at a site.
    ///
    /// # Errors
    /// [`ModelError::UnknownSite`] if none was recorded there; a cache is never silently empty.
    pub fn get(&self, site: &str) -> Result<&Tensor<3>, ModelError> {
        self.activations
            .get(site)
            .ok_or_else(|| ModelError::UnknownSite {
                name: site.into(),
                hint: format!(
                    "the cache holds: {}",
                    self.activations
                        .keys()
                        .map(String::as_str)
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            })
    }

    /// What was recorded, by site name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<3>)> {
        self.activations
            .iter()
            .map(|(name, activation)| (name.as_str(), activation))
    }

    /// What an objective's own site holds.
    ///
    /// # Panics
    /// If the site was not recorded: whoever runs an objective caches the sites that it names.
    pub fn expect(&self, site: &str) -> &Tensor<3> {
        self.activations
            .get(site)
            .unwrap_or_else(|| panic!("site `{site}` was not cached"))
    }

    pub(crate) fn record(&mut self, site: &Site, activation: &Tensor<3>) {
        self.activations
            .insert(site.name.clone(), activation.clone());
    }

    pub(crate) fn is_wanted(&self, site: &Site) -> bool {
        self.wanted.contains(&site.name)
    }
}

impl Hook for Cache {
    fn wants(&self, site: &Site) -> bool {
        self.is_wanted(site)
    }

    fn only_reads(&self, _site: &Site) -> bool {
        true
    }

    fn at(&mut self, site: &Site, activation: Tensor<3>) -> Tensor<3> {
        self.record(site, &activation);
        activation
    }
}

/// Runs a model and keeps the activations of some sites.
///
/// # Errors
/// [`ModelError::UnknownSite`] if the model has no such site.
pub fn run_with_cache<S: AsRef<str>>(
    model: &dyn Model,
    input: &Input,
    sites: &[S],
) -> Result<(Tensor<3>, Cache), ModelError> {
    let mut cache = Cache::of(model.spec(), sites)?;
    let logits = model.run(input, &mut cache);
    Ok((logits, cache))
}
