//! Cut edges of a chain of layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use mr_models::{Hook, Input, Link, Model, Site, Wiring};

use crate::ablation::Ablation;
use crate::error::CircuitError;
use crate::layered::Layered;

/// What the layers send and what is sent instead; a layer none of whose edges are cut is left alone.
#[derive(Debug, Clone)]
pub(super) struct CutLayers {
    layered: Arc<Layered>,
    /// By layer, what is sent instead `[batch, writer, height, width]`, with 1 for axes that all share.
    ablated: Arc<Vec<Tensor<4>>>,
    /// By layer, the link over its cut edges alone.
    cut: Vec<Option<Link>>,
}

impl CutLayers {
    /// Nothing is cut yet.
    pub(super) fn new(model: &dyn Model, ablation: &Ablation) -> Result<Self, CircuitError> {
        let layered = Layered::of(model)?;
        let ablated = ablation.sent(model, &layered)?;
        Ok(Self {
            cut: vec![None; layered.layers.len()],
            layered: Arc::new(layered),
            ablated: Arc::new(ablated),
        })
    }

    /// The same with what `severed` says cut: by reader, its writers.
    pub(super) fn with(&self, wiring: &Wiring, severed: &[Vec<usize>]) -> Self {
        let of = |(at, [writers, readers]): (usize, [std::ops::Range<usize>; 2])| {
            let severed = &severed[readers.clone()];
            if severed.iter().all(Vec::is_empty) {
                return None;
            }
            let ports = &wiring.readers[readers];
            let rows = ports.last().map_or(0, |port| port.channels.end);
            let mut factors = vec![0.0; rows * writers.len()];
            for (port, cut_off) in ports.iter().zip(severed) {
                for channel in port.channels.clone() {
                    for writer in cut_off {
                        factors[channel * writers.len() + writer - writers.start] = 1.0;
                    }
                }
            }
            let factors = TensorData::new(factors, [rows, writers.len()]);
            let device = self.ablated[at].device();
            let link = &self.layered.layers[at].link;
            Some(link.scaled(&Tensor::from_data(factors, &device)))
        };
        Self {
            cut: wiring.layers().into_iter().enumerate().map(of).collect(),
            ..self.clone()
        }
    }

    /// A hook that cuts.
    pub(super) fn cutting<'a>(&'a self, input: &Input, hook: &'a mut dyn Hook) -> Cutting<'a> {
        let mut cutting = Cutting {
            layers: self,
            lost: BTreeMap::new(),
            hook,
        };
        if let Some(Some(_)) = self.cut.first() {
            cutting.send(0, input.real());
        }
        cutting
    }
}

/// Keeps what readers lose, from their writers on, and takes it from what they read.
pub(super) struct Cutting<'a> {
    layers: &'a CutLayers,
    /// By layer.
    lost: BTreeMap<usize, Tensor<4>>,
    hook: &'a mut dyn Hook,
}

impl Cutting<'_> {
    /// The layer with cut edges from or to a site.
    fn layer(&self, site: &Site, is_end: impl Fn(&[Site; 2], &Site) -> bool) -> Option<usize> {
        let layers = self.layers.layered.layers.iter().zip(&self.layers.cut);
        let mut layers = layers.enumerate().filter(|(_, (_, cut))| cut.is_some());
        let found = layers.find(|(_, (layer, _))| is_end(&layer.sites, site));
        found.map(|(at, _)| at)
    }

    fn written(&self, site: &Site) -> Option<usize> {
        self.layer(site, |[written, _], site| written.name == site.name)
    }

    fn read(&self, site: &Site) -> Option<usize> {
        self.layer(site, |[_, read], site| read.name == site.name)
    }

    fn send(&mut self, at: usize, held: Tensor<4>) {
        let sent = self.layers.layered.layers[at].link.sent(held);
        let changed = sent - self.layers.ablated[at].clone();
        if let Some(cut) = &self.layers.cut[at] {
            self.lost.insert(at, cut.received(changed));
        }
    }
}

impl Hook for Cutting<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.hook.wants(site) || self.written(site).is_some() || self.read(site).is_some()
    }

    fn only_reads(&self, site: &Site) -> bool {
        let asked = self.hook.wants(site);
        self.read(site).is_none() && (!asked || self.hook.only_reads(site))
    }

    fn at(&mut self, site: &Site, mut activation: Tensor<3>) -> Tensor<3> {
        if let Some(lost) = self.read(site).and_then(|at| self.lost.remove(&at)) {
            activation = activation - Site::of_map(lost);
        }
        if self.hook.wants(site) {
            activation = self.hook.at(site, activation);
        }
        if let Some(at) = self.written(site) {
            self.send(at, site.as_map(activation.clone()));
        }
        activation
    }
}

#[cfg(test)]
mod tests {
    use mr_models::{
        Edit, Intervened, Labels, Network, Place, Region, Rewrite, floats, objective,
        run_with_cache, value_and_grad,
    };

    use super::*;
    use crate::cut::Cut;
    use crate::layered::tests::{convnet, pair};

    fn logits(model: &dyn Model, input: &Input) -> Vec<f32> {
        floats(model.logits(input))
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        let pairs = found.iter().zip(expected);
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{a} for {b}"));
    }

    fn cut<'a>(net: &'a Network, names: &[&str], ablation: &Ablation) -> Cut<&'a Network> {
        let edges = names
            .iter()
            .map(|name| net.spec().wiring.edge(name).unwrap());
        Cut::new(net, &edges.collect::<Vec<_>>(), ablation).unwrap()
    }

    #[test]
    fn nothing_cut_is_the_net_and_everything_cut_is_the_other_run() {
        let (net, pair) = (convnet(), pair());
        let whole = cut(&net, &[], &Ablation::Zero);
        assert_eq!(logits(&whole, pair.clean()), logits(&net, pair.clean()));
        let other = Ablation::Resample(pair.corrupt().clone());
        let none = Cut::new(&net, &net.spec().wiring.edges(), &other).unwrap();
        close(&logits(&none, pair.clean()), &logits(&net, pair.corrupt()));
        assert_eq!(
            logits(&none.with(&[]), pair.clean()),
            logits(&net, pair.clean())
        );
        let itself = Ablation::Resample(pair.clean().clone());
        let same = Cut::new(&net, &net.spec().wiring.edges(), &itself).unwrap();
        assert_eq!(logits(&same, pair.clean()), logits(&net, pair.clean()));
    }

    #[test]
    fn nothing_is_left_of_the_input_under_zero_and_mean_ablation() {
        let (net, pair) = (convnet(), pair());
        let edges = net.spec().wiring.edges();
        for ablation in [
            Ablation::Zero,
            Ablation::Mean(pair.clean().clone()),
            Ablation::PositionalMean(pair.clean().clone()),
        ] {
            let cut = Cut::new(&net, &edges, &ablation).unwrap();
            close(&logits(&cut, pair.clean()), &logits(&cut, pair.corrupt()));
        }
    }

    /// A reader that is cut off from all its writers reads what it reads in the other run.
    #[test]
    fn a_node_that_is_cut_off_is_patched() {
        let (net, pair) = (convnet(), pair());
        let other = Ablation::Resample(pair.corrupt().clone());
        let off = cut(
            &net,
            &[
                "conv1.c0->conv2.c3",
                "conv1.c1->conv2.c3",
                "conv1.c2->conv2.c3",
            ],
            &other,
        );
        let site = "conv2.hook_pre";
        let (_, cache) = run_with_cache(&net, pair.corrupt(), &[site]).unwrap();
        let region = Region::channel(3);
        let patch = Rewrite::patch(region.cut(cache.get(site).unwrap()));
        let edit = Edit::at(site, patch).within(region);
        let patched = Intervened::new(&net, vec![edit]).unwrap();
        close(&logits(&off, pair.clean()), &logits(&patched, pair.clean()));
        assert_ne!(logits(&off, pair.clean()), logits(&net, pair.clean()));
    }

    /// Of a writer cut off from all its readers nothing passes; a hook sees what it holds all the same.
    #[test]
    fn a_node_that_nothing_reads_is_zeroed() {
        let (net, pair) = (convnet(), pair());
        let names: Vec<String> = (0..5).map(|n| format!("conv2.c1->linear1.n{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let off = cut(&net, &names, &Ablation::Zero);
        let site = "conv2.hook_out";
        let edit = Edit::at(site, Rewrite::Scale { factor: 0.0 }).within(Region::channel(1));
        let zeroed = Intervened::new(&net, vec![edit]).unwrap();
        close(&logits(&off, pair.clean()), &logits(&zeroed, pair.clean()));
        let held = |model: &dyn Model| {
            let (_, cache) = run_with_cache(model, pair.clean(), &[site]).unwrap();
            floats(cache.get(site).unwrap().clone())
        };
        assert_eq!(held(&off), held(&net));
    }

    /// Where the only edges of an input are cut, nothing depends on it.
    #[test]
    fn gradients_go_around_what_is_cut() {
        let (net, pair) = (convnet(), pair());
        let names = [
            "input.c0->conv1.c0",
            "input.c0->conv1.c1",
            "input.c0->conv1.c2",
        ];
        let off = cut(&net, &names, &Ablation::Zero);
        let labels = Labels::of_classes(&[0, 1], &net.device());
        let places = [Place::Input];
        let margin = &objective::Margin;
        let found = value_and_grad(&off, pair.clean(), &labels, margin, &places).unwrap();
        let gradient = found.input();
        let size = |channel| floats(gradient.clone().narrow(1, channel, 1).abs().max())[0];
        assert!(
            size(0) < 1e-6 && size(1) > 1e-3,
            "{} and {}",
            size(0),
            size(1)
        );
    }
}
