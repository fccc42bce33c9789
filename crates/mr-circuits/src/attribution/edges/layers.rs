//! Edge attribution between layers.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use mr_models::{
    Edit, Input, Intervened, Labels, Model, Objective, Rewrite, Tap, floats, run_with_cache,
    value_and_grad_at,
};

use super::{EdgeScores, Path};
use crate::error::CircuitError;
use crate::layered::Layered;
use crate::pair::Pair;

/// The attribution of every edge. All edges of a linear map are one product: gradients at what is read, times
/// what the linear map makes of the change of what is sent.
pub(super) fn edge_attribution(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    path: Path,
) -> Result<EdgeScores, CircuitError> {
    let layered = Layered::of(model)?;
    let written = layered.written();
    let (_, before) = run_with_cache(model, pair.clean(), &written)?;
    let (_, after) = run_with_cache(model, pair.corrupt(), &written)?;
    let mut slopes = Slopes {
        labels,
        objective,
        sums: BTreeMap::new(),
    };
    let read = layered.read();
    match path {
        Path::Clean => slopes.add(model, pair.clean(), &read)?,
        Path::Inputs(steps) => {
            for back in backs(steps) {
                slopes.add(model, &between(pair, back), &read)?;
            }
        }
        Path::Activations(steps) => {
            for back in backs(steps) {
                slopes.add(model, &between(pair, back), &read)?;
            }
            for site in written {
                let behind = layered.read_behind(site);
                let (clean, corrupt) = (before.get(site)?, after.get(site)?);
                for back in backs(steps) {
                    let held = clean.clone() + (corrupt.clone() - clean.clone()) * back;
                    let edit = Edit::at(site, Rewrite::patch(held));
                    let given = Intervened::new(model, vec![edit])?;
                    slopes.add(&given, pair.clean(), &behind)?;
                }
            }
        }
    }

    let (clean, corrupt) = (
        layered.sent(pair.clean(), &before)?,
        layered.sent(pair.corrupt(), &after)?,
    );
    let share = 1.0 / pair.clean().batch().max(1) as f32;
    let joints = layered.joints.iter().zip(clean.into_iter().zip(corrupt));
    let along = joints.map(|(linked, (clean, corrupt))| {
        let [_, read] = &linked.sites;
        let slope = read.as_map(slopes.mean(&read.name));
        floats(linked.link.along(corrupt - clean, slope) * share)
    });
    let along: Vec<Vec<f32>> = along.collect();
    let wiring = model.spec().wiring.clone();
    let scores = layered.edges(&wiring, &along);
    Ok(EdgeScores { wiring, scores })
}

/// Gradients at what is read, summed over passes.
struct Slopes<'a> {
    labels: &'a Labels,
    objective: &'a dyn Objective,
    /// By site, the sum and of how many passes it is.
    sums: BTreeMap<String, (Tensor<3>, usize)>,
}

impl Slopes<'_> {
    fn add(
        &mut self,
        model: &dyn Model,
        input: &Input,
        sites: &[&str],
    ) -> Result<(), CircuitError> {
        let taps = sites.iter().map(|&site| Tap {
            site: site.into(),
            added: None,
        });
        let taps: Vec<Tap> = taps.collect();
        let found = value_and_grad_at(model, input, self.labels, self.objective, false, &taps)?;
        for Tap { site, .. } in taps {
            let more = found.site(&site).clone();
            let sum = match self.sums.remove(&site) {
                Some((sum, passes)) => (sum + more, passes + 1),
                None => (more, 1),
            };
            self.sums.insert(site, sum);
        }
        Ok(())
    }

    fn mean(&self, site: &str) -> Tensor<3> {
        let (sum, passes) = &self.sums[site];
        sum.clone() / *passes as f32
    }
}

/// How far back from clean to corrupt each step of a path is.
fn backs(steps: usize) -> impl Iterator<Item = f32> {
    (1..=steps).map(move |step| 1.0 - step as f32 / steps as f32)
}

/// A point on the straight way from the clean to the corrupt input.
fn between(pair: &Pair, back: f32) -> Input {
    if back == 0.0 {
        return pair.clean().clone();
    }
    let (clean, corrupt) = (pair.clean().real(), pair.corrupt().real());
    Input::Real(clean.clone() + (corrupt - clean) * back)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::objective::LogitDifference;
    use mr_models::{Edge, Joint, Network, Site, Wiring, values_at};

    use super::*;
    use crate::layered::tests::{self as layered, convnet, copy, input, pair, resnet};

    const DIFFERENCE: LogitDifference = LogitDifference { more: 1, less: 0 };

    fn scores(net: &Network, pair: &Pair, path: Path) -> EdgeScores {
        let labels = Labels::of_classes(&vec![0; pair.clean().batch()], &Device::flex());
        crate::edge_attribution(net, pair, &labels, &DIFFERENCE, path).unwrap()
    }

    fn value(net: &Network, input: &Input, taps: &[Tap]) -> f32 {
        let labels = Labels::of_classes(&vec![0; input.batch()], &Device::flex());
        let (values, _) = values_at(net, input, &labels, &DIFFERENCE, taps).unwrap();
        floats(values).iter().sum::<f32>() / input.batch() as f32
    }

    #[test]
    fn edges_of_a_net_that_copies_carry_what_they_copy() {
        let pair = Pair::new(input([3.0, 1.0]), input([0.0, 2.0])).unwrap();
        let found = scores(&copy(), &pair, Path::Clean);
        // z_1 - z_0 loses 3 by input 0, and gets 1 more by input 1.
        for (name, expected) in [
            ("input.c0->linear1.n0", 3.0),
            ("input.c1->linear1.n0", 0.0),
            ("input.c0->linear1.n1", 0.0),
            ("input.c1->linear1.n1", 1.0),
            ("linear1.n0->logits", 3.0),
            ("linear1.n1->logits", 1.0),
        ] {
            assert_eq!(found.get(name).unwrap(), expected, "{name}");
        }
        assert_eq!(found.scores.len(), 6);
    }

    /// On its way from -1 to 1 an input of a net that copies is at -.5, 0, .5 and 1, and its unit open at the
    /// last two. A path at the unit itself lets no gradient through to the input, and does not count for it.
    #[test]
    fn paths_of_activations_are_those_of_hand() {
        let pair = Pair::new(input([1.0, 1.0]), input([-1.0, 1.0])).unwrap();
        for (path, first) in [
            (Path::Clean, 2.0),
            (Path::Inputs(4), 1.0),
            (Path::Activations(4), 1.0),
        ] {
            let found = scores(&copy(), &pair, path);
            // z_1 - z_0: the edge carries -2, the unit goes from 1 to 0.
            assert_eq!(found.get("input.c0->linear1.n0").unwrap(), first);
            assert_eq!(found.get("linear1.n0->logits").unwrap(), 1.0);
        }
        // A path of one step is its end.
        let (net, images) = (resnet(), layered::pair());
        let of = |path| scores(&net, &images, path);
        let [clean, one] = [Path::Clean, Path::Activations(1)].map(of);
        for (a, b) in clean.scores.iter().zip(&one.scores) {
            assert!((a.1 - b.1).abs() < 1e-5, "{a:?} for {b:?}");
        }
        assert_ne!(of(Path::Activations(3)), of(Path::Inputs(3)));
    }

    /// What goes to the logits is the whole change, and along the path of inputs what leaves the input is.
    #[test]
    fn a_layer_carries_the_whole_change() {
        for net in [convnet(), resnet()] {
            let pair = pair();
            let whole = value(&net, pair.corrupt(), &[]) - value(&net, pair.clean(), &[]);
            let sum = |found: &EdgeScores, at: &dyn Fn(&Wiring, &Edge) -> bool| {
                let scores = found.scores.iter();
                let scores = scores.filter(|(edge, _)| at(&found.wiring, edge));
                scores.map(|(_, score)| score).sum::<f32>()
            };
            let to_logits = |wiring: &Wiring, edge: &Edge| edge.reader + 1 == wiring.readers.len();
            let last = sum(&scores(&net, &pair, Path::Clean), &to_logits);
            assert!((last - whole).abs() < 1e-5, "{last} for {whole}");
            let from_input =
                |wiring: &Wiring, edge: &Edge| wiring.writers[edge.writer].site == "input";
            let first = sum(&scores(&net, &pair, Path::Inputs(300)), &from_input);
            assert!(
                (first - whole).abs() < 1e-2 * whole.abs(),
                "{first} for {whole}"
            );
        }
    }

    /// Every score is the slope of the objective as the reader, and it alone, gets more of what the edge
    /// carries.
    #[test]
    fn scores_are_slopes_along_what_an_edge_carries() {
        let of_convnet = [
            "input.c1->conv1.c2",
            "conv1.c0->conv2.c3",
            "conv2.c3->linear1.n4",
            "linear1.n0->logits",
        ];
        let of_resnet = [
            "input.c1->conv1.c1",
            "conv1.c0->layer1.0.conv1.c1",
            "layer1.0.conv1.c0->layer1.0.c1",
            "conv1.c1->layer1.0.c1",
            "layer1.0.c0->layer2.0.c3",
            "layer2.0.conv1.c2->layer2.0.c3",
            "layer2.0.c1->logits",
        ];
        for (net, names) in [(convnet(), &of_convnet[..]), (resnet(), &of_resnet)] {
            let pair = pair();
            let found = scores(&net, &pair, Path::Clean);
            assert_eq!(found.scores.len(), found.wiring.edges().len());
            let layered = Layered::of(&net).unwrap();
            let sent = |input: &Input| {
                let (_, cache) = run_with_cache(&net, input, &layered.written()).unwrap();
                layered.sent(input, &cache).unwrap()
            };
            let (clean, corrupt) = (sent(pair.clean()), sent(pair.corrupt()));
            for name in names {
                let edge = found.wiring.edge(name).unwrap();
                let mut joints = layered.joints.iter();
                let is_own = |at: &Joint| {
                    let reads = at.readers.contains(&edge.reader);
                    reads && at.reaching(edge.reader).contains(&edge.writer)
                };
                let at = joints.position(|linked| is_own(&linked.joint)).unwrap();
                let linked = &layered.joints[at];
                let writers = linked.joint.reaching(edge.reader);
                let [_, site] = &linked.sites;
                let channels = found.wiring.readers[edge.reader].channels.clone();
                let one = Tensor::<2>::zeros([site.channels, writers.len()], &Device::flex());
                let column = edge.writer - writers.start;
                let ones = Tensor::ones([channels.len(), 1], &Device::flex());
                let one = one.slice_assign([channels, column..column + 1], ones);
                let change = corrupt[at].clone() - clean[at].clone();
                let carried = linked.link.scaled(&one).received(change);
                let moved = |step: f32| {
                    let tap = Tap {
                        site: site.name.clone(),
                        added: Some(Site::of_map(carried.clone()) * step),
                    };
                    value(&net, pair.clean(), &[tap])
                };
                let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                let score = found.get(name).unwrap();
                assert!((slope - score).abs() < 1e-3, "{name}: {score} for {slope}");
            }
        }
    }
}
