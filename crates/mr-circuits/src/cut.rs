//! A network with cut edges, which is again a network.

mod layers;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use mr_models::{
    Cache, Edge, Hook, Idle, Input, Joined, Link, Model, ModelSpec, Site, State, Wiring,
};

use crate::ablation::Ablation;
use crate::error::CircuitError;
use layers::CutLayers;

/// A model some of whose edges carry something else: over a cut edge a reader gets what the ablation
/// says, and over every other what the writer writes in this very run. Attacked and evaluated like any
/// model, it is a circuit under attack.
#[derive(Debug, Clone)]
pub struct Cut<M> {
    model: M,
    wiring: Wiring,
    /// By reader, the writers that it is cut off from.
    severed: Vec<Vec<usize>>,
    /// Of a residual stream, what is written instead.
    ablated: BTreeMap<String, Tensor<3>>,
    /// Of layers, what joins them.
    layers: Option<CutLayers>,
}

impl<M: Model> Cut<M> {
    /// The model with these edges cut.
    ///
    /// # Errors
    /// [`CircuitError::Unwired`] if it has no edges, [`CircuitError::Random`] if it draws random numbers.
    ///
    /// # Panics
    /// If an edge is not of the model's wiring.
    pub fn new(model: M, edges: &[Edge], ablation: &Ablation) -> Result<Self, CircuitError> {
        let wiring = model.spec().wiring.clone();
        if wiring.writers.is_empty() {
            return Err(CircuitError::Unwired {
                network: model.spec().name.clone(),
            });
        }
        if model.is_random() {
            return Err(CircuitError::Random {
                network: model.spec().name.clone(),
            });
        }
        let severed = by_reader(&wiring, edges);
        let (ablated, layers) = match &wiring.joined {
            Joined::Stream => (ablation.values(&model, &wiring)?, None),
            Joined::Layers(_) => {
                let layers = CutLayers::new(&model, ablation)?;
                (BTreeMap::new(), Some(layers.with(&wiring, &severed)))
            }
        };
        Ok(Self {
            model,
            wiring,
            severed,
            ablated,
            layers,
        })
    }

    /// The same with other edges cut.
    ///
    /// # Panics
    /// If an edge is not of the model's wiring.
    #[must_use]
    pub fn with(&self, edges: &[Edge]) -> Self
    where
        M: Clone,
    {
        let severed = by_reader(&self.wiring, edges);
        let layers = self.layers.as_ref();
        Self {
            layers: layers.map(|layers| layers.with(&self.wiring, &severed)),
            severed,
            ..self.clone()
        }
    }

    /// The same with other values `[1, 1, channel]` over cut edges, by site of a writer.
    pub(crate) fn carrying(&self, ablated: BTreeMap<String, Tensor<3>>) -> Self
    where
        M: Clone,
    {
        Self {
            layers: self.layers.as_ref().map(|layers| layers.carrying(&ablated)),
            ablated,
            ..self.clone()
        }
    }

    /// Of a residual stream, by site of a writer, what cut edges carry.
    pub(crate) fn written_instead(&self) -> Option<&BTreeMap<String, Tensor<3>>> {
        self.layers.is_none().then_some(&self.ablated)
    }

    /// The same with each edge cut as far as `closed` says, from 0 to 1, in the order of the wiring's edges; of
    /// layers alone.
    pub(crate) fn closing(&self, closed: &Tensor<1>) -> Self
    where
        M: Clone,
    {
        let layers = self.layers.as_ref();
        Self {
            layers: layers.map(|layers| layers.closing(&self.wiring, closed)),
            ..self.clone()
        }
    }

    /// The logits of a run of this input that goes on from the state before a stage of the whole network, where
    /// nothing is cut before that stage and `written` is what was written there.
    ///
    /// # Panics
    /// If something that cut edges carry was not written.
    pub(crate) fn resumed(
        &self,
        stage: usize,
        state: State,
        input: &Input,
        written: &Cache,
    ) -> Tensor<3> {
        let mut idle = Idle;
        let stages = stage..self.model.stages();
        if let Some(layers) = &self.layers {
            let mut cutting = layers.cutting_from(stage, input, written, &mut idle);
            return self.model.run_stages(stages, state, &mut cutting).logits();
        }
        let held = written.iter();
        let held = held.map(|(site, all)| (site.to_string(), all.clone()));
        let mut cutting = Cutting {
            written: held.collect(),
            ..self.cutting(&mut idle)
        };
        self.model.run_stages(stages, state, &mut cutting).logits()
    }

    fn cutting<'a>(&'a self, hook: &'a mut dyn Hook) -> Cutting<'a> {
        Cutting {
            wiring: &self.wiring,
            severed: &self.severed,
            ablated: &self.ablated,
            written: BTreeMap::new(),
            hook,
        }
    }
}

/// By reader, the writers that it is cut off from. Heads that share keys and values share a port: what is
/// cut for one of them is cut for all, once.
fn by_reader(wiring: &Wiring, edges: &[Edge]) -> Vec<Vec<usize>> {
    let mut cut = vec![Vec::new(); wiring.readers.len()];
    for edge in edges {
        let own = &wiring.readers[edge.reader];
        let mut readers = wiring.readers.iter();
        let first = readers.position(|port| port.site == own.site && port.channels == own.channels);
        let writers: &mut Vec<usize> = &mut cut[first.unwrap_or(edge.reader)];
        if !writers.contains(&edge.writer) {
            writers.push(edge.writer);
        }
    }
    cut
}

impl<M: Model> Model for Cut<M> {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    /// # Panics
    /// As the model's own; and if the ablation holds another number of examples than the input.
    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        if let Some(layers) = &self.layers {
            return self.model.run(input, &mut layers.cutting(input, hook));
        }
        self.model.run(input, &mut self.cutting(hook))
    }

    fn is_random(&self) -> bool {
        self.model.is_random()
    }

    fn links(&self) -> Vec<Link> {
        self.model.links()
    }
}

/// Keeps what is written, and takes from what is read what cut edges carried.
struct Cutting<'a> {
    wiring: &'a Wiring,
    severed: &'a [Vec<usize>],
    ablated: &'a BTreeMap<String, Tensor<3>>,
    written: BTreeMap<String, Tensor<3>>,
    hook: &'a mut dyn Hook,
}

impl Cutting<'_> {
    fn readers(&self, site: &Site) -> impl Iterator<Item = usize> {
        let cut = self.wiring.readers.iter().zip(self.severed).enumerate();
        cut.filter(|(_, (port, writers))| port.site == site.name && !writers.is_empty())
            .map(|(reader, _)| reader)
    }

    fn is_written(&self, site: &Site) -> bool {
        let mut cut = self.severed.iter().flatten();
        cut.any(|&writer| self.wiring.writers[writer].site == site.name)
    }

    /// What a reader loses by what it is cut off from.
    fn lost(&self, reader: usize) -> Tensor<3> {
        let parts = self.severed[reader].iter().map(|&writer| {
            let port = &self.wiring.writers[writer];
            let now = self.written[&port.site].clone();
            let positions = now.dims()[1];
            let mut instead = self.ablated[&port.site].clone();
            if instead.dims()[1] > 1 {
                instead = instead.narrow(1, 0, positions);
            }
            (now - instead).slice_dim(2, port.channels.clone())
        });
        let sum = parts.reduce(|all, part| all + part);
        sum.expect("only readers that are cut off from something are asked")
    }
}

impl Hook for Cutting<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.hook.wants(site) || self.is_written(site) || self.readers(site).next().is_some()
    }

    fn only_reads(&self, site: &Site) -> bool {
        let asked = self.hook.wants(site);
        self.readers(site).next().is_none() && (!asked || self.hook.only_reads(site))
    }

    fn at(&mut self, site: &Site, mut activation: Tensor<3>) -> Tensor<3> {
        let readers: Vec<usize> = self.readers(site).collect();
        for reader in readers {
            let channels = self.wiring.readers[reader].channels.clone();
            let [batch, positions, _] = activation.dims();
            let left = activation.clone().slice_dim(2, channels.clone()) - self.lost(reader);
            activation = activation.slice_assign([0..batch, 0..positions, channels], left);
        }
        if self.hook.wants(site) {
            activation = self.hook.at(site, activation);
        }
        if self.is_written(site) {
            self.written.insert(site.name.clone(), activation.clone());
        }
        activation
    }
}

#[cfg(test)]
mod tests;
