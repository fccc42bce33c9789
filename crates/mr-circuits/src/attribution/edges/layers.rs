//! Edge attribution between layers.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use mr_models::{Input, Labels, Model, Objective, Tap, floats, run_with_cache, value_and_grad_at};

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
    let steps = match path {
        Path::Clean => 1,
        Path::Inputs(steps) => steps,
        Path::Activations(_) => {
            return Err(CircuitError::Unstreamed {
                network: model.spec().name.clone(),
            });
        }
    };
    let layered = Layered::of(model)?;
    let sent = |input: &Input| -> Result<Vec<Tensor<4>>, CircuitError> {
        model.spec().accepts(input)?;
        let (_, cache) = run_with_cache(model, input, &layered.written())?;
        layered.sent(input, &cache)
    };
    let (clean, corrupt) = (sent(pair.clean())?, sent(pair.corrupt())?);
    let changes = clean.into_iter().zip(corrupt);
    let changes: Vec<Tensor<4>> = changes.map(|(clean, corrupt)| corrupt - clean).collect();

    let taps = layered.read().into_iter().map(|site| Tap {
        site: site.into(),
        added: None,
    });
    let taps: Vec<Tap> = taps.collect();
    let mut gradients: BTreeMap<&str, Tensor<3>> = BTreeMap::new();
    for step in 1..=steps {
        let back = 1.0 - step as f32 / steps as f32;
        let input = between(pair, back);
        let found = value_and_grad_at(model, &input, labels, objective, false, &taps)?;
        for Tap { site, .. } in &taps {
            let more = found.site(site).clone();
            let sum = match gradients.remove(site.as_str()) {
                Some(sum) => sum + more,
                None => more,
            };
            gradients.insert(site, sum);
        }
    }

    let share = 1.0 / (steps * pair.clean().batch().max(1)) as f32;
    let along = layered.joints.iter().zip(changes).map(|(linked, change)| {
        let [_, read] = &linked.sites;
        let gradient = read.as_map(gradients[read.name.as_str()].clone());
        floats(linked.link.along(change, gradient) * share)
    });
    let along: Vec<Vec<f32>> = along.collect();
    let wiring = model.spec().wiring.clone();
    let scores = layered.edges(&wiring, &along);
    Ok(EdgeScores { wiring, scores })
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
    use crate::layered::tests::{convnet, copy, input, pair, resnet};

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
