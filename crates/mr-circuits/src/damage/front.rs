//! Parts of a network that together carry everything that passes.

use std::ops::Range;

use mr_models::{InputKind, Joined, ModelSpec, Place};

use crate::error::CircuitError;

/// Parts of a network through which, together, every change passes: a complete cut of it. The change of an
/// objective is the sum of what goes through each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// Where the straight path from the clean to the adversarial run lies.
    pub place: Place,
    /// The parts.
    pub parts: Vec<Part>,
}

/// A channel, a neuron, a head or an MLP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name, as circuits have it where it is a node of one: `conv1.c3`, `linear1.n7`, `a0.h1`; else
    /// `SITE[CHANNEL]`.
    pub name: String,
    /// The site that holds it; `input` for the input itself.
    pub site: String,
    /// Its channels there.
    pub channels: Range<usize>,
}

impl Front {
    /// The channels of a site, or of the input. The sum of their shares is the whole change where the site
    /// is all that later layers read, as it is everywhere in a chain of layers; elsewhere, as within a
    /// residual block, the completeness error says how much goes around it.
    ///
    /// # Errors
    /// [`CircuitError::Model`] for an unknown site or an input of tokens.
    pub fn channels(spec: &ModelSpec, place: &Place) -> Result<Self, CircuitError> {
        let (site, channels) = match (place, spec.input) {
            (Place::Input, InputKind::Real { shape }) => ("input", shape[0]),
            (Place::Input, InputKind::Tokens { .. }) => {
                return Err(CircuitError::Tokens);
            }
            (Place::Site(name), _) => (name.as_str(), spec.site(name)?.channels),
        };
        let wiring = &spec.wiring;
        let nodes = wiring.writers.iter().chain(&wiring.readers);
        let nodes = nodes.filter(|port| port.site == site && wiring.joined != Joined::Stream);
        let nodes: Vec<_> = nodes.filter(|port| port.channels.len() == 1).collect();
        let name = |channel: usize| {
            let node = nodes.iter().find(|port| port.channels.start == channel);
            node.map_or_else(|| format!("{site}[{channel}]"), |port| port.node.clone())
        };
        let parts = (0..channels).map(|channel| Part {
            name: name(channel),
            site: site.into(),
            channels: channel..channel + 1,
        });
        Ok(Self {
            place: place.clone(),
            parts: parts.collect(),
        })
    }

    /// The channels of every layer that no linear map leads past, in forward order: of a chain every layer, of a
    /// residual net the stem and the ends of its blocks. None of a network without layers.
    ///
    /// # Errors
    /// Never, as every port has its site; the error is that of [`channels`](Self::channels).
    pub fn layers(spec: &ModelSpec) -> Result<Vec<Self>, CircuitError> {
        let wiring = &spec.wiring;
        let ends = wiring.joints().iter().map(|joint| {
            let (from, to) = (joint.writers.start, joint.readers.start);
            [wiring.writers[from].order(), wiring.readers[to].order()]
        });
        let ends: Vec<[usize; 2]> = ends.collect();
        let mut sites: Vec<&str> = Vec::new();
        for joint in wiring.joints() {
            let port = &wiring.writers[joint.writers.start];
            let is_passed = ends
                .iter()
                .any(|&[from, to]| from < port.order() && port.order() < to);
            if !is_passed && port.site != "input" && !sites.contains(&port.site.as_str()) {
                sites.push(&port.site);
            }
        }
        let fronts = sites.into_iter();
        fronts
            .map(|site| Self::channels(spec, &Place::site(site)))
            .collect()
    }

    /// The writers of a residual stream, at its end: what the embedding, each head and each MLP add to
    /// what the logits are read from. A share is of what a writer does directly.
    ///
    /// # Errors
    /// [`CircuitError::Unwired`] if the network has no residual stream.
    pub fn writers(spec: &ModelSpec) -> Result<Self, CircuitError> {
        let wiring = &spec.wiring;
        let (Joined::Stream, Some(last)) = (&wiring.joined, wiring.readers.last()) else {
            return Err(CircuitError::Unwired {
                network: spec.name.clone(),
            });
        };
        let parts = wiring.writers.iter().map(|port| Part {
            name: port.node.clone(),
            site: port.site.clone(),
            channels: port.channels.clone(),
        });
        Ok(Self {
            place: Place::site(last.site.clone()),
            parts: parts.collect(),
        })
    }

    /// The name of the part at this index.
    ///
    /// # Panics
    /// If there is none.
    pub fn name(&self, part: usize) -> &str {
        &self.parts[part].name
    }

    /// The sites that hold parts, but for the input.
    pub(super) fn sites(&self) -> Vec<&str> {
        let mut sites: Vec<&str> = Vec::new();
        for part in &self.parts {
            if part.site != "input" && !sites.contains(&part.site.as_str()) {
                sites.push(&part.site);
            }
        }
        sites
    }
}
