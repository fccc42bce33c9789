//! Cut edges between layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Tensor;
use mr_models::{Cache, Edge, Hook, Input, Link, Model, Site, Wiring};

use crate::ablation::Ablation;
use crate::error::CircuitError;
use crate::layered::{Layered, Linked};

/// What layers send and what is sent instead; a joint none of whose edges are cut is left alone.
#[derive(Debug, Clone)]
pub(super) struct CutLayers {
    layered: Arc<Layered>,
    /// By joint, what is sent instead `[batch, writer, height, width]`, with 1 for axes that all share.
    ablated: Arc<Vec<Tensor<4>>>,
    /// By joint, the link over its cut edges alone.
    cut: Vec<Option<Link>>,
}

impl CutLayers {
    /// Nothing is cut yet.
    pub(super) fn new(model: &dyn Model, ablation: &Ablation) -> Result<Self, CircuitError> {
        let layered = Layered::of(model)?;
        let ablated = ablation.sent(model, &layered)?;
        Ok(Self {
            cut: vec![None; layered.joints.len()],
            layered: Arc::new(layered),
            ablated: Arc::new(ablated),
        })
    }

    /// The same with what `severed` says cut: by reader, its writers.
    pub(super) fn with(&self, wiring: &Wiring, severed: &[Vec<usize>]) -> Self {
        let joints = self.layered.joints.iter().zip(&*self.ablated);
        let cut = joints.map(|(linked, ablated)| {
            linked.over(wiring, &ablated.device(), |reader| &severed[reader])
        });
        Self {
            cut: cut.collect(),
            ..self.clone()
        }
    }

    /// The same with each edge cut as far as `closed` says, from 0 to 1, in the order of the wiring's edges.
    pub(super) fn closing(&self, wiring: &Wiring, closed: &Tensor<1>) -> Self {
        let places: BTreeMap<Edge, i64> = wiring.edges().into_iter().zip(0..).collect();
        let cut = self.layered.joints.iter().map(|linked| {
            let factors = linked.factors(wiring, &places, closed);
            Some(linked.link.scaled(&factors))
        });
        Self {
            cut: cut.collect(),
            ..self.clone()
        }
    }

    /// The same with these constants `[1, 1, channel]` sent instead, by site of a writer.
    pub(super) fn carrying(&self, constants: &BTreeMap<String, Tensor<3>>) -> Self {
        let joints = self.layered.joints.iter();
        let ablated = joints.map(|linked| {
            let constant = constants[&linked.sites[0].name].clone();
            constant.swap_dims(1, 2).unsqueeze_dim(3)
        });
        Self {
            ablated: Arc::new(ablated.collect()),
            ..self.clone()
        }
    }

    /// A hook that cuts.
    pub(super) fn cutting<'a>(&'a self, input: &Input, hook: &'a mut dyn Hook) -> Cutting<'a> {
        self.cutting_from(0, input, &Cache::default(), hook)
    }

    /// A hook that cuts from a stage on, where `written` is what was written before it.
    ///
    /// # Panics
    /// If something that cut edges carry was not.
    pub(super) fn cutting_from<'a>(
        &'a self,
        stage: usize,
        input: &Input,
        written: &Cache,
        hook: &'a mut dyn Hook,
    ) -> Cutting<'a> {
        let mut cutting = Cutting {
            layers: self,
            lost: BTreeMap::new(),
            hook,
        };
        let is_before = |linked: &Linked| linked.is_from_input() || linked.sites[0].stage < stage;
        for at in self.cut_where(is_before) {
            let sent = self.layered.joints[at].sent(input, written);
            cutting.send(at, sent.expect("what was written before is recorded"));
        }
        cutting
    }

    /// The joints with cut edges, of these.
    fn cut_where(&self, is_meant: impl Fn(&Linked) -> bool) -> Vec<usize> {
        let joints = self.layered.joints.iter().zip(&self.cut).enumerate();
        let joints = joints.filter(|(_, (linked, cut))| cut.is_some() && is_meant(linked));
        joints.map(|(at, _)| at).collect()
    }
}

/// Keeps what readers lose, from their writers on, and takes it from what they read.
pub(super) struct Cutting<'a> {
    layers: &'a CutLayers,
    /// By joint.
    lost: BTreeMap<usize, Tensor<4>>,
    hook: &'a mut dyn Hook,
}

impl Cutting<'_> {
    /// The joints with cut edges from a site.
    fn written(&self, site: &Site) -> Vec<usize> {
        let layers = self.layers;
        layers.cut_where(|linked| linked.sites[0].name == site.name)
    }

    /// The joints with cut edges to a site.
    fn read(&self, site: &Site) -> Vec<usize> {
        let layers = self.layers;
        layers.cut_where(|linked| linked.sites[1].name == site.name)
    }

    fn send(&mut self, at: usize, sent: Tensor<4>) {
        let changed = sent - self.layers.ablated[at].clone();
        if let Some(cut) = &self.layers.cut[at] {
            self.lost.insert(at, cut.received(changed));
        }
    }
}

impl Hook for Cutting<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.hook.wants(site) || !self.written(site).is_empty() || !self.read(site).is_empty()
    }

    fn only_reads(&self, site: &Site) -> bool {
        let asked = self.hook.wants(site);
        self.read(site).is_empty() && (!asked || self.hook.only_reads(site))
    }

    fn at(&mut self, site: &Site, mut activation: Tensor<3>) -> Tensor<3> {
        for at in self.read(site) {
            if let Some(lost) = self.lost.remove(&at) {
                activation = activation - Site::of_map(lost);
            }
        }
        if self.hook.wants(site) {
            activation = self.hook.at(site, activation);
        }
        for at in self.written(site) {
            let linked = &self.layers.layered.joints[at];
            let sent = linked.link.sent(site.as_map(activation.clone()));
            self.send(at, sent);
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
    use crate::layered::tests::{convnet, pair, resnet};

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
        for net in [convnet(), resnet()] {
            let pair = pair();
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
    }

    #[test]
    fn nothing_is_left_of_the_input_under_zero_and_mean_ablation() {
        for net in [convnet(), resnet()] {
            let pair = pair();
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
    }

    /// The edges that lead to a node.
    fn into(net: &Network, node: &str) -> Vec<String> {
        let wiring = &net.spec().wiring;
        let edges = wiring.edges().into_iter();
        let edges = edges.filter(|edge| wiring.readers[edge.reader].node == node);
        edges.map(|edge| wiring.name(edge)).collect()
    }

    /// A reader that is cut off from all its writers reads what it reads in the other run.
    #[test]
    fn a_node_that_is_cut_off_is_patched() {
        for (net, node, site, count) in [
            (convnet(), "conv2.c3", "conv2.hook_pre", 3),
            (resnet(), "layer1.0.c1", "layer1.0.hook_pre", 2 + 1),
            (resnet(), "layer2.0.c3", "layer2.0.hook_pre", 4 + 2),
        ] {
            let pair = pair();
            let other = Ablation::Resample(pair.corrupt().clone());
            let names = into(&net, node);
            assert_eq!(names.len(), count);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let off = cut(&net, &names, &other);
            let (_, cache) = run_with_cache(&net, pair.corrupt(), &[site]).unwrap();
            let channel = node.rsplit('c').next().unwrap().parse().unwrap();
            let region = Region::channel(channel);
            let patch = Rewrite::patch(region.cut(cache.get(site).unwrap()));
            let edit = Edit::at(site, patch).within(region);
            let patched = Intervened::new(&net, vec![edit]).unwrap();
            close(&logits(&off, pair.clean()), &logits(&patched, pair.clean()));
            assert_ne!(logits(&off, pair.clean()), logits(&net, pair.clean()));
        }
    }

    /// Of a writer cut off from all its readers nothing passes; a hook sees what it holds all the same.
    #[test]
    fn a_node_that_nothing_reads_is_zeroed() {
        for (net, node, site, count) in [
            (convnet(), "conv2.c1", "conv2.hook_out", 5),
            (resnet(), "conv1.c1", "conv1.hook_out", 2 + 1),
            (resnet(), "layer1.0.c1", "layer1.0.hook_out", 4 + 4),
        ] {
            let pair = pair();
            let wiring = &net.spec().wiring;
            let edges = wiring.edges().into_iter();
            let edges = edges.filter(|edge| wiring.writers[edge.writer].node == node);
            let edges: Vec<Edge> = edges.collect();
            assert_eq!(edges.len(), count);
            let off = Cut::new(&net, &edges, &Ablation::Zero).unwrap();
            let zero = Rewrite::Scale { factor: 0.0 };
            let edit = Edit::at(site, zero).within(Region::channel(1));
            let zeroed = Intervened::new(&net, vec![edit]).unwrap();
            close(&logits(&off, pair.clean()), &logits(&zeroed, pair.clean()));
            let held = |model: &dyn Model| {
                let (_, cache) = run_with_cache(model, pair.clean(), &[site]).unwrap();
                floats(cache.get(site).unwrap().clone())
            };
            assert_eq!(held(&off), held(&net));
        }
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
