//! Edge attribution in a chain of layers.

use burn::tensor::Tensor;
use mr_models::{Input, Labels, Model, Objective, Tap, floats, run_with_cache, value_and_grad_at};

use super::{EdgeScores, Path};
use crate::error::CircuitError;
use crate::layered::{Layer, Layered};
use crate::pair::Pair;

/// The attribution of every edge. All edges of a layer are one product: gradients at what is read, times
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

    let layers = &layered.layers;
    let taps = layers.iter().map(|layer| Tap {
        site: layer.sites[1].name.clone(),
        added: None,
    });
    let taps: Vec<Tap> = taps.collect();
    let mut gradients: Vec<Option<Tensor<3>>> = vec![None; layers.len()];
    for step in 1..=steps {
        let back = 1.0 - step as f32 / steps as f32;
        let input = between(pair, back);
        let found = value_and_grad_at(model, &input, labels, objective, false, &taps)?;
        for (sum, tap) in gradients.iter_mut().zip(&taps) {
            let more = found.site(&tap.site).clone();
            *sum = Some(match sum.take() {
                Some(sum) => sum + more,
                None => more,
            });
        }
    }

    let share = 1.0 / (steps * pair.clean().batch().max(1)) as f32;
    let wiring = model.spec().wiring.clone();
    let mut scores = Vec::new();
    let all = layers.iter().zip(changes).zip(gradients).enumerate();
    for (at, ((layer, change), gradient)) in all {
        let gradient = gradient.expect("there is a step at least");
        let along = layer.link.along(change, layer.sites[1].as_map(gradient));
        scores.extend(Layer::edges(&wiring, at, &floats(along * share)));
    }
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
    use mr_models::{Edge, Network, values_at};

    use super::*;
    use crate::layered::tests::{convnet, copy, input, pair};

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
        let (net, pair) = (convnet(), pair());
        let whole = value(&net, pair.corrupt(), &[]) - value(&net, pair.clean(), &[]);
        let sum = |found: &EdgeScores, layer: usize, side: usize| {
            let range = &found.wiring.layers()[layer][side];
            let of = |edge: &Edge| [edge.writer, edge.reader][side];
            let scores = found.scores.iter();
            let scores = scores.filter(|(edge, _)| range.contains(&of(edge)));
            scores.map(|(_, score)| score).sum::<f32>()
        };
        let last = sum(&scores(&net, &pair, Path::Clean), 3, 1);
        assert!((last - whole).abs() < 1e-5, "{last} for {whole}");
        let first = sum(&scores(&net, &pair, Path::Inputs(300)), 0, 0);
        assert!(
            (first - whole).abs() < 1e-2 * whole.abs(),
            "{first} for {whole}"
        );
    }

    /// Every score is the slope of the objective as the reader, and it alone, gets more of what the edge
    /// carries.
    #[test]
    fn scores_are_slopes_along_what_an_edge_carries() {
        let (net, pair) = (convnet(), pair());
        let found = scores(&net, &pair, Path::Clean);
        let layered = Layered::of(&net).unwrap();
        let sent = |input: &Input| {
            let (_, cache) = run_with_cache(&net, input, &layered.written()).unwrap();
            layered.sent(input, &cache).unwrap()
        };
        let (clean, corrupt) = (sent(pair.clean()), sent(pair.corrupt()));
        for (layer, name) in [
            (0, "input.c1->conv1.c2"),
            (1, "conv1.c0->conv2.c3"),
            (2, "conv2.c3->linear1.n4"),
            (3, "linear1.n0->logits"),
        ] {
            let edge = found.wiring.edge(name).unwrap();
            let [writers, _] = &found.wiring.layers()[layer];
            let channels = found.wiring.readers[edge.reader].channels.clone();
            let rows = found.wiring.readers.iter();
            let site = &layered.layers[layer].sites[1];
            let rows = rows.filter(|port| port.site == site.name);
            let rows = rows.map(|port| port.channels.end).max().unwrap();
            let one = Tensor::<2>::zeros([rows, writers.len()], &Device::flex());
            let at = edge.writer - writers.start;
            let ones = Tensor::ones([channels.len(), 1], &Device::flex());
            let one = one.slice_assign([channels, at..at + 1], ones);
            let change = corrupt[layer].clone() - clean[layer].clone();
            let carried = layered.layers[layer].link.scaled(&one).received(change);
            let moved = |step: f32| {
                let tap = Tap {
                    site: site.name.clone(),
                    added: Some(mr_models::Site::of_map(carried.clone()) * step),
                };
                value(&net, pair.clean(), &[tap])
            };
            let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            let score = found.get(name).unwrap();
            assert!((slope - score).abs() < 1e-3, "{name}: {score} for {slope}");
        }
    }
}
